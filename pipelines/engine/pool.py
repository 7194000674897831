"""The processes of this machine that share the steps of a stage: light ones, which never import Beam.

They are forked from a server that imports what a step needs, at the same time as the main process imports Beam.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, Final, TypeVar

T = TypeVar("T")

_METHOD: Final = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's `mallopt` (https://man7.org/linux/man-pages/man3/mallopt.3.html)."""

_executor: ProcessPoolExecutor | None = None


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def import_ahead(*modules: str) -> None:
    """Have the server of processes import some modules now, in the background.

    Args:
        modules: names of the modules that hold a stage's steps.
    """
    if _METHOD == "forkserver" and cores() > 1:
        multiprocessing.set_forkserver_preload(list(modules))
        multiprocessing.forkserver.ensure_running()


@contextlib.contextmanager
def processes(count: int) -> Iterator[None]:
    """Let `submit` use this many processes in the block; they end with it, whatever they are doing then.

    Args:
        count: number of processes; with one, `submit` needs none.
    """
    global _executor
    if count == 1:
        _keep_freed_memory()
        yield
        return
    context = multiprocessing.get_context(_METHOD)
    theirs, ours = context.Pipe(duplex=False)
    _executor = ProcessPoolExecutor(count, context, _begin, (theirs,))
    try:
        yield
    finally:
        ours.close()
        _executor.shutdown(cancel_futures=True)
        _executor = None


def submit(function: Callable[..., T], *arguments: Any) -> Future[T]:
    """Call a function in one of the processes, or here at once where there are none."""
    if _executor is not None:
        return _executor.submit(function, *arguments)
    done: Future[T] = Future()
    try:
        done.set_result(function(*arguments))
    except Exception as error:
        done.set_exception(error)
    return done


def _begin(lifeline: Connection) -> None:
    """In a new process: end with the main one. What outlived it would write into the output of the next run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main one answers
    _keep_freed_memory()

    def end_with_main() -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv()
        os._exit(1)

    threading.Thread(target=end_with_main, daemon=True).start()


def _keep_freed_memory() -> None:
    """Have freed arrays stay in the process for the next ones; else the kernel clears their pages again and again."""
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 256 << 20)
        mallopt(_M_TOP_PAD, 16 << 20)

"""The processes of this machine that share the steps of a stage: light ones, which never import Beam.

They are forked from a server that imports what a step needs, at the same time as the main process imports Beam.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, Final, TypeVar

from base.lifeline import end_with
from pipelines.engine import collector

T = TypeVar("T")

_METHOD: Final = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
"""Parameters of glibc's `mallopt` (https://man7.org/linux/man-pages/man3/mallopt.3.html)."""

_QUIET_TRACKER: Final = "ignore:resource_tracker:UserWarning"

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
        multiprocessing.set_forkserver_preload(["pipelines.engine.pool_server", *modules])
        _start_server()


def _start_server() -> None:
    """Start the server of processes where it does not run, so that Ctrl-C is the main process's alone to answer.

    What is blocked here stays so in the server and in its processes, from their first instruction on. The server's
    companion, which frees semaphores that a killed run has left, is to do so without a warning.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join((*((before,) if before else ()), _QUIET_TRACKER))
    try:
        multiprocessing.resource_tracker.ensure_running()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            multiprocessing.forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


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
    if _METHOD == "forkserver":
        _start_server()
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
    """Call a function in one of the processes, or here at once where there are none.

    Returns:
        What becomes of the call; BrokenProcessPool where processes or their server were killed.
    """
    if _executor is not None:
        try:
            return _executor.submit(function, *arguments)
        except (BrokenProcessPool, OSError, EOFError) as error:
            return _failed(BrokenProcessPool(str(error)))
    done: Future[T] = Future()
    try:
        done.set_result(function(*arguments))
    except Exception as error:
        return _failed(error)
    return done


def _failed(error: Exception) -> Future[Any]:
    failed: Future[Any] = Future()
    failed.set_exception(error)
    return failed


def _begin(lifeline: Connection) -> None:
    """In a new process, which ends with the main one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collector.resume()
    _keep_freed_memory()
    end_with(lifeline)


def _keep_freed_memory() -> None:
    """Have freed arrays stay in the process for the next ones; else the kernel clears their pages again and again."""
    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 256 << 20)
        mallopt(_M_TOP_PAD, 16 << 20)

"""Runs a command and measures it from outside: time, processor time, and memory of its whole tree of processes."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

from base.errors import DataError
from base.processor import processor

RSS_INTERVAL_S: Final = 0.2
PSS_INTERVAL_S: Final = 2.0
WORK_SECONDS_FILE: Final = "work_seconds.txt"
"""In the output of a command that tells how many seconds it worked after its start-up."""

_STDERR: Final = 2
_PACKAGES: Final = ("apache-beam", "tensorflow-cpu", "numpy", "librosa")


@dataclass(frozen=True)
class Measurement:
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        cpu_seconds: processor time, user and system, of all its processes.
        peak_rss_bytes: largest sum of the resident memory of all its processes at one moment, sampled every 0.2 s;
            pages that two processes share count twice.
        peak_pss_bytes: the same with shared pages divided among those that share them, sampled every 2 s; None where
            the system does not tell.
    """

    seconds: float
    cpu_seconds: float
    peak_rss_bytes: int
    peak_pss_bytes: int | None


@dataclass
class _Watch:
    """What was seen of a tree of processes so far; CPU seconds by process, so that those that ended still count."""

    cpu_seconds: dict[int, float] = field(default_factory=dict)
    peak_rss_bytes: int = 0
    peak_pss_bytes: int = 0

    def look(self, root: psutil.Process, *, at_pss: bool) -> None:
        """Take one sample."""
        tree = _tree(root)
        self.peak_rss_bytes = max(self.peak_rss_bytes, sum(self._rss(process) for process in tree))
        if at_pss:
            self.peak_pss_bytes = max(self.peak_pss_bytes, sum(_pss(process) for process in tree))

    def _rss(self, process: psutil.Process) -> int:
        try:
            with process.oneshot():
                times = process.cpu_times()
                self.cpu_seconds[process.pid] = times.user + times.system
                return int(process.memory_info().rss)
        except psutil.Error:  # it ended meanwhile
            return 0


def _tree(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _pss(process: psutil.Process) -> int:
    try:
        return int(getattr(process.memory_full_info(), "pss", 0))
    except psutil.Error:
        return 0


def measure(command: list[str], folder: Path, environment: Mapping[str, str]) -> Measurement:
    """Run a command to its end; what it prints goes to stderr.

    Args:
        command: the Python interpreter and its arguments.
        folder: its working directory.
        environment: variables to set in addition to those of this process.

    Raises:
        DataError: it ends with another exit code than 0.
    """
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=_STDERR)
    try:
        watch, waited_cpu_seconds = _watch(process)
    except BaseException:
        process.terminate()
        raise
    seconds = time.monotonic() - started
    if process.returncode:
        raise DataError(
            f"`python {' '.join(command[1:])}` ended with exit code {process.returncode}: the lines above say why"
        )
    cpu_seconds = max(waited_cpu_seconds, sum(watch.cpu_seconds.values()))
    return Measurement(seconds, cpu_seconds, watch.peak_rss_bytes, watch.peak_pss_bytes or None)


def _watch(process: subprocess.Popen[bytes]) -> tuple[_Watch, float]:
    """Sample until the process ends: what was seen, and the CPU seconds of those processes that it waited for."""
    watch, root, sample = _Watch(), psutil.Process(process.pid), 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return watch, usage.ru_utime + usage.ru_stime
        watch.look(root, at_pss=sample % round(PSS_INTERVAL_S / RSS_INTERVAL_S) == 0)
        sample += 1
        time.sleep(RSS_INTERVAL_S)


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, memory, system, versions, and the load before the start."""
    return {
        "cpu": processor(),
        "cores": len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "load_before": os.getloadavg()[0],
    }

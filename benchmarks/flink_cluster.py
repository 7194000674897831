"""A cluster of Flink on this machine: a job manager and task managers, each a process that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from base.errors import DataError
from benchmarks.engine_parts import OPENED, Flink

_JOB_MANAGER: Final = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER: Final = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_HEAP: Final = "-Xmx512m"
_START_SECONDS: Final = 120.0
_MEMORY: Final = {
    "taskmanager.cpu.cores": "1",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.max": "192m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.managed.size": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.task.heap.size": "256m",
    "taskmanager.memory.task.off-heap.size": "0",
}
"""Flink's scripts compute what its Java classes want to be told."""
RESTARTS: Final = {
    "restart-strategy.fixed-delay.attempts": "10",
    "restart-strategy.fixed-delay.delay": "1 s",
    "restart-strategy.type": "fixed-delay",
}
"""Batch jobs of Beam take the cluster's strategy, which is none by default, and not --number_of_execution_retries."""


class Cluster:
    """A job manager and its task managers.

    Attributes:
        address: HOST:PORT of its REST service.
        task_managers: the processes that are alive.
    """

    def __init__(self, flink: Flink, folder: Path, slots: int) -> None:
        """Start the job manager.

        Args:
            flink: the programs.
            folder: for configuration, logs and temporary files.
            slots: of each task manager.
        """
        self._flink, self._folder = flink, folder
        rest, rpc = free_port(), free_port()
        self.address = f"localhost:{rest}"
        self.task_managers: list[subprocess.Popen[bytes]] = []
        self._started = 0
        (folder / "tmp").mkdir(parents=True)
        settings = {
            "blob.storage.directory": str(folder / "tmp"),
            "heartbeat.interval": "1000",
            "heartbeat.timeout": "8000",
            "io.tmp.dirs": str(folder / "tmp"),
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": str(rpc),
            "parallelism.default": str(slots),
            "rest.address": "localhost",
            "rest.port": str(rest),
            "taskmanager.bind-host": "localhost",
            "taskmanager.host": "localhost",
            "taskmanager.numberOfTaskSlots": str(slots),
            **_MEMORY,
            **RESTARTS,
        }
        (folder / "flink-conf.yaml").write_text("".join(f"{name}: {value}\n" for name, value in settings.items()))
        self._job_manager = self._start(_JOB_MANAGER, "job-manager")

    def start_task_manager(self) -> None:
        """Start one more."""
        self._started += 1
        self.task_managers.append(self._start(_TASK_MANAGER, f"task-manager-{self._started}"))

    def kill_task_manager(self) -> None:
        """Kill the oldest, as a machine that fails; its workers stay."""
        first = self.task_managers.pop(0)
        first.kill()
        first.wait()

    def wait(self, task_managers: int) -> None:
        """Wait until as many have joined.

        Raises:
            DataError: they do not.
        """
        give_up = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up:
            with contextlib.suppress(OSError, ValueError):
                if self.ask("overview")["taskmanagers"] >= task_managers:
                    return
            if self._job_manager.poll() is not None:
                break
            time.sleep(0.5)
        log = (self._folder / "job-manager.log").read_text(errors="replace").strip().splitlines()
        raise DataError(f"Flink did not start: {log[-1] if log else 'it said nothing'}")

    def ask(self, what: str) -> Any:
        """An answer of the REST service, such as that to "overview"."""
        with urllib.request.urlopen(f"http://{self.address}/{what}", timeout=10) as answer:
            return json.load(answer)

    def stop(self) -> None:
        """Kill all processes and remove what they keep; the logs stay."""
        for process in (*self.task_managers, self._job_manager):
            process.kill()
            process.wait()
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)

    def _start(self, main: str, name: str) -> subprocess.Popen[bytes]:
        libraries = os.pathsep.join(str(each) for each in self._flink.libraries)
        log = self._folder / f"{name}.log"
        properties = (
            "-Dlog4j.rootLogger.level=INFO",
            "-Dlog4j2.level=INFO",
            f"-Djava.io.tmpdir={self._folder / 'tmp'}",
        )
        command = ["java", _HEAP, *OPENED, *properties, "-cp", libraries, main, "--configDir", str(self._folder)]
        with open(log, "ab") as output:
            return subprocess.Popen(command, cwd=self._folder, stdout=output, stderr=subprocess.STDOUT)


@contextlib.contextmanager
def cluster(flink: Flink, folder: Path, task_managers: int = 2, slots: int = 1) -> Iterator[Cluster]:
    """A cluster in the block.

    Args:
        flink: the programs.
        folder: a new folder for its files.
        task_managers: to start.
        slots: of each task manager.
    """
    made = Cluster(flink, folder, slots)
    try:
        for _ in range(task_managers):
            made.start_task_manager()
        made.wait(task_managers)
        yield made
    finally:
        made.stop()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return int(taken.getsockname()[1])

"""The engines that the matrix tries: how each is started here, and what of it can be killed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

from base.errors import DataError
from benchmarks.engine_parts import FLINK, FLINK_VERSION, JOB_SERVER, OPENED, PRISM, flink, prism
from benchmarks.flink_cluster import RESTARTS, Cluster, cluster, free_port
from pipelines.engine.needs import WORKER

_RETRIES: Final = "--number_of_execution_retries=5"
_PROCESS: Final = "--environment_type=PROCESS"
_POOL_SECONDS: Final = 60.0
_BEAM: Final = f"Beam {version('apache-beam')}"


@dataclass(frozen=True)
class Running:
    """An engine that runs.

    Attributes:
        options: with which a stage uses it.
        cluster: of Flink, or None.
    """

    options: tuple[str, ...]
    cluster: Cluster | None = None

    def workers(self) -> list[psutil.Process]:
        """The processes on this machine, started by this one or below, that work on items."""
        found = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(Path(part).name == WORKER for part in process.cmdline()[:2]):
                    found.append(process)
        return found


Start = Callable[[Path, Path], AbstractContextManager[Running]]
"""Starts an engine in a folder for its files, with the interpreter of the installed package."""


@dataclass(frozen=True)
class Target:
    """An engine of the matrix.

    Attributes:
        name: of its row.
        starts: how it is started, in a few words.
        versions: of what.
        start: starts it; raises DataError where it can't be had.
        victims: what is killed in the middle of a stage: "worker", "task manager".
        goes_on: whether the stage ends well all the same, else the same command resumes.
    """

    name: str
    starts: str
    versions: str
    start: Start
    victims: tuple[str, ...] = ()
    goes_on: bool = False


def _with(*options: str) -> Start:
    @contextlib.contextmanager
    def start(folder: Path, python: Path) -> Iterator[Running]:
        yield Running(options)

    return start


def _on_prism(*options: str) -> Start:
    @contextlib.contextmanager
    def start(folder: Path, python: Path) -> Iterator[Running]:
        yield Running(("--runner=PrismRunner", f"--prism_location={prism()}", *options))

    return start


def _flink_options(master: str, *more: str) -> tuple[str, ...]:
    server = flink().job_server
    opened = tuple(f"--job_server_jvm_properties={each}" for each in OPENED)
    return (
        "--runner=FlinkRunner",
        f"--flink_master={master}",
        f"--flink_version={FLINK_VERSION}",
        f"--flink_job_server_jar={server}",
        "--parallelism=2",
        _RETRIES,
        *opened,
        *more,
    )


@contextlib.contextmanager
def _in_the_job_server(folder: Path, python: Path) -> Iterator[Running]:
    (folder / "flink-conf.yaml").write_text("".join(f"{name}: {value}\n" for name, value in RESTARTS.items()))
    yield Running(_flink_options("[local]", _PROCESS, f"--flink_conf_dir={folder}"))


@contextlib.contextmanager
def _on_a_cluster(folder: Path, python: Path) -> Iterator[Running]:
    with cluster(flink(), folder / "flink") as running:
        yield Running(_flink_options(running.address, _PROCESS), running)


@contextlib.contextmanager
def _with_a_pool(folder: Path, python: Path) -> Iterator[Running]:
    """A pool is of one task manager: it knows workers by numbers that each task manager gives from 1 on."""
    one = cluster(flink(), folder / "flink", task_managers=1, slots=2)
    with one as running, worker_pool(folder, python) as address:
        options = ("--environment_type=EXTERNAL", f"--environment_config={address}")
        yield Running(_flink_options(running.address, *options), running)


@contextlib.contextmanager
def worker_pool(folder: Path, python: Path) -> Iterator[str]:
    """A pool that starts the project's workers, as next to a task manager; HOST:PORT of it.

    Raises:
        DataError: it does not start.
    """
    port = free_port()
    launcher = python.with_name(WORKER)
    command = [str(python), "-m", "apache_beam.runners.worker.worker_pool_main"]
    command += [f"--service_port={port}", f"--container_executable={launcher}"]
    with open(folder / "pool.log", "wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        give_up = time.monotonic() + _POOL_SECONDS
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("localhost", port), 1).close()
                break
            if process.poll() is not None or time.monotonic() > give_up:
                raise DataError(f"the pool of workers did not start: see {folder / 'pool.log'}")
            time.sleep(0.2)
        yield f"localhost:{port}"
    finally:
        started = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait()
        for each in started:
            with contextlib.suppress(psutil.Error):
                each.kill()


@contextlib.contextmanager
def _in_a_cloud(folder: Path, python: Path) -> Iterator[Running]:
    raise DataError("needs a project of Google Cloud; a test checks the graph of the job")
    yield


_FLINK_VERSIONS: Final = f"{FLINK.replace('==', ' ')}, {JOB_SERVER[1]} {JOB_SERVER[2]}, {_BEAM}"
_PRISM_VERSIONS: Final = f"prism {PRISM.rpartition('@')[2]}, {_BEAM}"

TARGETS: Final = {
    "one-process": Target(
        "Beam's Python runner, one process", "`--direct_num_workers=1`", _BEAM, _with("--direct_num_workers=1")
    ),
    "default": Target("Beam's Python runner, a process a core", "no option", _BEAM, _with()),
    "direct": Target("DirectRunner", "`--runner=DirectRunner`", _BEAM, _with("--runner=DirectRunner")),
    "prism": Target("Prism, in this process", "`LOOPBACK`, the default", _PRISM_VERSIONS, _on_prism()),
    "prism-process": Target(
        "Prism, worker processes", "`PROCESS`", _PRISM_VERSIONS, _on_prism(_PROCESS), victims=("worker",)
    ),
    "flink-local": Target(
        "Flink in the job server",
        "`--flink_master=[local]`, `PROCESS`",
        _FLINK_VERSIONS,
        _in_the_job_server,
        victims=("worker",),
        goes_on=True,
    ),
    "flink": Target(
        "Flink, a job manager and two task managers",
        "`--flink_master=HOST:PORT`, `PROCESS`",
        _FLINK_VERSIONS,
        _on_a_cluster,
        victims=("worker", "task manager"),
        goes_on=True,
    ),
    "flink-pool": Target(
        "Flink, a job manager, and a task manager with a pool of workers",
        "`--flink_master=HOST:PORT`, `EXTERNAL`",
        _FLINK_VERSIONS,
        _with_a_pool,
        victims=("worker", "task manager"),
        goes_on=True,
    ),
    "dataflow": Target("Dataflow", "a Flex Template", _BEAM, _in_a_cloud),
}

"""What an engine needs and is not there is one sentence before anything is touched; so is a job that never ends."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from conftest import Call
from corpus_tools import assert_refused, contents, run_stage

from base import files
from base.errors import DataError
from pipelines.engine import elsewhere, needs
from pipelines.engine.runner import prepare
from pipelines.engine.work import begin_store

NO_SUCH = "/no/such/program"
ON_PRISM = ("--runner=PrismRunner", f"--prism_location={sys.executable}")
PROCESS = "--environment_type=PROCESS"


@pytest.fixture
def closed() -> str:
    """HOST:PORT where nothing answers."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return f"localhost:{taken.getsockname()[1]}"


@pytest.fixture
def mute() -> Iterator[str]:
    """HOST:PORT of something that is no job server: it takes connections and says nothing."""
    with socket.create_server(("localhost", 0)) as server:
        yield f"localhost:{server.getsockname()[1]}"


REFUSED = {
    "no address of prism": (("--runner=PrismRunner",), "needs --prism_location=PATH of the program prism"),
    "no prism there": (("--runner=PrismRunner", f"--prism_location={NO_SUCH}"), f"{NO_SUCH}: there is no such file"),
    "no job server": (("--runner=PortableRunner",), "needs --job_endpoint=HOST:PORT"),
    "no answer": (("--runner=PortableRunner", "--job_endpoint=CLOSED"), "CLOSED: nothing answers"),
    "no port": (("--runner=PortableRunner", "--job_endpoint=here"), "--job_endpoint=here: expected HOST:PORT"),
    "no cluster": (("--runner=FlinkRunner", "--flink_master=CLOSED"), "--flink_master=CLOSED: nothing answers"),
    "no job server of Flink": (("--runner=FlinkRunner",), "needs --flink_job_server_jar=PATH"),
    "no Java": (
        ("--runner=FlinkRunner", f"--flink_job_server_jar={sys.executable}", f"--job_server_java_launcher={NO_SUCH}"),
        f"{NO_SUCH}: there is no such program, and the job server needs Java",
    ),
    "no worker command": (
        (*ON_PRISM, PROCESS, f"--environment_option=process_command={NO_SUCH}"),
        f"{NO_SUCH}: there is no such program to start workers with",
    ),
    "no worker command in JSON": (
        (*ON_PRISM, PROCESS, "--environment_config={}"),
        'expected \'{"command": "PATH"}\' for --environment_type=PROCESS',
    ),
    "no address of a pool": ((*ON_PRISM, "--environment_type=EXTERNAL"), "needs --environment_config=HOST:PORT"),
    "no pool": (
        (*ON_PRISM, "--environment_type=EXTERNAL", "--environment_config=CLOSED"),
        "--environment_config=CLOSED: nothing answers",
    ),
    "no such environment": ((*ON_PRISM, "--environment_type=PROCES"), "--environment_type=PROCES: no such way"),
    "no such option of Beam": (("--runner=DirectRunner", "--flink_mster=x"), "--flink_mster: no such option"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_missing_is_one_sentence(what: str, closed: str, finished: Path, call: Call) -> None:
    options, message = REFUSED[what]
    before = contents(finished)
    outcome = call(finished, "ingest", "raw", "clips", *(option.replace("CLOSED", closed) for option in options))
    assert_refused(outcome, message.replace("CLOSED", closed))
    assert contents(finished) == before


def test_docker_that_does_not_answer_is_one_sentence(
    finished: Path, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = call(finished, "ingest", "raw", "clips", *ON_PRISM, "--environment_type=DOCKER")
    assert_refused(outcome, "workers are to run in Docker, which is not here or does not answer")


def test_the_launcher_that_is_not_installed_is_one_sentence(
    finished: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "WORKER", "no-such-worker")
    outcome = call(finished, "ingest", "raw", "clips", *ON_PRISM, PROCESS)
    assert_refused(outcome, "starts no-such-worker, which is not installed here: install this project")


def test_what_answers_and_is_no_job_server_is_one_sentence(
    mute: str, finished: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "_SERVER_SECONDS", 2)
    options = ("--runner=PortableRunner", f"--job_endpoint={mute}", "--environment_type=LOOPBACK")
    assert_refused(call(finished, "ingest", "raw", "clips", *options), "does not answer as a job server; its log is")


def test_a_program_that_is_not_prism_is_one_sentence(finished: Path, tmp_path: Path) -> None:
    program = tmp_path / "prism"
    program.write_text("#!/bin/sh\nexit 3\n")
    outcome = run_stage(finished, "ingest", "raw", "clips", "--runner=PrismRunner", f"--prism_location={program}")
    assert_refused(outcome, "its job server did not start: Service failed to start up with error 3")


def test_workers_get_the_installed_launcher_unless_the_options_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = tmp_path / needs.WORKER
    launcher.write_text("#!/bin/sh\n")
    launcher.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

    def command(*more: str) -> str | None:
        options = PipelineOptions(["--prism_location=/bin/sh", PROCESS, *more])
        needs.check(options, "PrismRunner")
        found: str | None = options.view_as(PortableOptions).lookup_environment_option("process_command")
        return found

    assert command() == str(launcher)
    assert command("--environment_option=process_command=/bin/cat") == "/bin/cat"
    assert command(f"--environment_config={json.dumps({'command': '/bin/cat'})}") is None


def test_paths_are_those_of_this_folder_wherever_workers_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = prepare(("--runner=DirectRunner",))
    assert other.place("data/raw") == str(tmp_path / "data/raw")
    assert other.place("s3://bucket/raw") == "s3://bucket/raw"
    assert prepare(()).place("data/raw") == "data/raw"


class Endless:
    """A job of Beam's that never ends."""

    def wait_until_finish(self) -> None:
        threading.Event().wait()

    def cancel(self) -> None:
        """Do nothing."""


class Broken(Endless):
    """A job of Beam's that fails at once, as where Prism trips over the end of a worker."""

    def wait_until_finish(self) -> None:
        raise RuntimeError("send on closed channel")


def test_a_job_that_waits_for_a_dead_worker_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "_SECONDS_AFTER_DEATH", 0.5)
    work = begin_store(str(tmp_path / "clips"), {})
    files.write_text(work.started, "")
    threading.Timer(0.5, logging.getLogger("PrismRunner").error, ["process failed while running (envID='a')"]).start()
    with (
        elsewhere._death_of_a_worker() as died,
        pytest.raises(DataError, match="a worker was killed, and the job waits for it"),
    ):
        elsewhere._wait(cast("Any", Endless()), "PrismRunner", work, 30.0, died)


def test_a_worker_that_died_before_the_job_was_waited_for_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "_SECONDS_AFTER_DEATH", 0.5)
    work = begin_store(str(tmp_path / "clips"), {})
    with elsewhere._death_of_a_worker() as died:
        logging.getLogger("PrismRunner").error("process failed while running (envID='a')")
        with pytest.raises(DataError, match="a worker ended before it began: see that the command"):
            elsewhere._wait(cast("Any", Endless()), "PrismRunner", work, 30.0, died)
        with pytest.raises(DataError, match="a worker ended before it began: see that the command"):
            elsewhere._wait(cast("Any", Broken()), "PrismRunner", work, 30.0, died)

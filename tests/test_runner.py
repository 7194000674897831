"""Beam's options reach Beam, misspelt ones do not pass in silence, and no worker outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from conftest import Call
from corpus_tools import assert_refused, contents, environment, run_stage, write_parameters, write_raw

from pipelines.engine.runner import prepare


def test_the_workers_are_those_asked_for_else_the_stages_own_number_else_one_a_core() -> None:
    cores = len(os.sched_getaffinity(0))
    assert prepare(()).processes == cores
    assert prepare(("--direct_num_workers=0",)).processes == cores
    assert prepare(("--direct_num_workers", "0"), 1).processes == cores
    assert prepare((), 1).processes == 1
    assert prepare(("--direct_num_workers=3",), 1).processes == 3


_COLLECTORS = """
import gc

if __name__ == "__main__":
    from pipelines.engine import start

    start.import_ahead("pipelines.ingest.seal")
    print(gc.isenabled())
    from pipelines.engine import pool, runner

    runner.prepare(())
    print(gc.isenabled(), gc.get_freeze_count() > 10_000)
    with pool.processes(2):
        print(pool.submit(gc.isenabled).result(), pool.submit(gc.get_freeze_count).result() > 10_000)
"""


def test_collectors_rest_while_a_command_imports_and_work_afterwards(tmp_path: Path) -> None:
    (tmp_path / "command.py").write_text(_COLLECTORS)
    done = subprocess.run(
        [sys.executable, "command.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", *["True"] * 4]


def test_the_direct_runner_is_beams_runner_in_this_process_and_downloads_nothing() -> None:
    for options in (("--direct_running_mode=multi_threading",), ("--runner=DirectRunner",)):
        engine = prepare(options)
        assert isinstance(engine.runner, FnApiRunner) and engine.processes == 1 and engine.name == "DirectRunner"
    assert isinstance(prepare(("--direct_num_workers=2",)).runner, FnApiRunner)
    assert prepare(("--runner=FnApiRunner", "--direct_num_workers=2")).processes == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--direct_num_wokers=1", "--direct_num_wokers: no such option"),
        ("--direct_num_workers=one", "argument --direct_num_workers: invalid int value: 'one'; give another value"),
        ("elsewhere", "elsewhere: one argument too many"),
        ("--runner=Nonsense", "--runner=Nonsense: Beam has no such runner here"),
    ],
)
@pytest.mark.parametrize("stage", ["ingest", "select", "extract"])
def test_a_wrong_option_is_refused_before_anything_is_touched(
    stage: str, option: str, message: str, finished: Path, call: Call
) -> None:
    before = contents(finished)
    arguments = {
        "ingest": ("raw", "clips"),
        "select": ("clips", "selection.parquet"),
        "extract": ("clips", "selection.parquet", "features/mfcc"),
    }[stage]
    if (stage, option) == ("extract", "elsewhere"):
        message = "elsewhere: no such view"  # extract takes any number of folders
    assert_refused(call(finished, stage, *arguments, option), message)
    assert contents(finished) == before


@pytest.fixture
def ingesting(tmp_path: Path, small_archive: bytes) -> Iterator[subprocess.Popen[str]]:
    """`ingest` with two processes, at work on its shards."""
    write_parameters(tmp_path, ingest__shards=400)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.ingest", "raw", "clips", "--direct_num_workers=2"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not list((tmp_path / "clips").glob("_work/*/seal-*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    yield process
    process.kill()
    process.communicate()


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """The processes that do the steps: the children of the server of processes."""
    return [worker for server in process.children() for worker in server.children()]


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_a_run_that_was_ended(ending: signal.Signals, ingesting: subprocess.Popen[str]) -> None:
    process = psutil.Process(ingesting.pid)
    assert len(workers_of(process)) == 2
    started = process.children(recursive=True)
    process.send_signal(ending)
    assert ingesting.wait(30) != 0
    assert not psutil.wait_procs(started, timeout=10)[1]


@pytest.mark.slow
def test_a_worker_that_is_killed_ends_the_run_with_one_line_and_the_next_run_resumes(
    ingesting: subprocess.Popen[str], tmp_path: Path
) -> None:
    workers_of(psutil.Process(ingesting.pid))[0].kill()
    errors = ingesting.communicate(timeout=30)[1]
    assert ingesting.returncode == 1
    assert "error: a worker process was killed" in errors.splitlines()[-1] and "Traceback" not in errors
    assert run_stage(tmp_path, "ingest", "raw", "clips").code == 0
    assert run_stage(tmp_path, "ingest", "raw", "again", "--direct_num_workers=1").code == 0
    assert contents(tmp_path / "clips") == contents(tmp_path / "again")

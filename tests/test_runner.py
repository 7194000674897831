"""Beam's options reach Beam, misspelt ones do not pass in silence, and no worker outlives its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import DirectOptions
from apache_beam.runners.direct.direct_runner import SwitchingDirectRunner
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from conftest import Call
from corpus_tools import assert_refused, contents, environment, write_parameters, write_raw

from pipelines.engine.runner import prepare


def workers_of(arguments: tuple[str, ...], default: int | None = None) -> int:
    return int(prepare(arguments, default).options.view_as(DirectOptions).direct_num_workers)


def test_the_workers_are_those_asked_for_else_the_stages_own_number_else_one_a_core() -> None:
    cores = os.cpu_count()
    assert (
        workers_of(())
        == workers_of(("--direct_num_workers=0",))
        == workers_of(("--direct_num_workers", "0"), 1)
        == cores
    )
    assert workers_of((), 1) == 1
    assert workers_of(("--direct_num_workers=3",), 1) == 3


def test_a_named_runner_or_mode_is_beams() -> None:
    assert isinstance(prepare(("--runner=FlinkRunner", "--flink_master=localhost:8081")).runner, FlinkRunner)
    assert isinstance(prepare(("--direct_running_mode=multi_threading",)).runner, SwitchingDirectRunner)
    assert isinstance(prepare(("--direct_num_workers=2",)).runner, FnApiRunner)


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
    assert_refused(call(finished, stage, *arguments, option), message)
    assert contents(finished) == before


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    threads = listed.parent.parent.glob("*/children")
    return [int(child) for file in threads for child in file.read_text().split()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc tells here which processes live")
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_a_run_that_was_ended(ending: signal.Signals, tmp_path: Path, small_archive: bytes) -> None:
    write_parameters(tmp_path, ingest__shards=400)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines.ingest", "raw", "clips", "--direct_num_workers=2"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not list((tmp_path / "clips").glob("_work/*/seal-*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    workers = children(process.pid)
    assert len(workers) == 2
    process.send_signal(ending)
    assert process.wait(30) != 0
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)

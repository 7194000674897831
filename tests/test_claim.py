"""One run at a time for one output: the second is refused and told of the first, whatever becomes of that one."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Call
from corpus_tools import ROOT, assert_refused, contents, write_parameters
from stage_processes import STAGES, at_work, inputs_of, run, started, wait_until

from base import boot, conditional, files, lease
from base.claim import claimed, work_of_file, work_of_folder
from base.errors import DataError

HOLD = """
import sys
from base.claim import claimed, work_of_folder
with claimed(sys.argv[1], work_of_folder(sys.argv[1]), lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""

RACE = """
import os, sys
from base.claim import claimed, work_of_folder
from base.errors import DataError
output, times, held = sys.argv[1], 0, 0
while times < 300:
    times += 1
    try:
        with claimed(output, work_of_folder(output), lambda: None):
            os.close(os.open(output + ".alone", os.O_CREAT | os.O_EXCL))
            held += 1
            os.unlink(output + ".alone")
    except DataError as error:
        assert "is being written by" in str(error)
print(held)
"""


def nothing() -> None:
    return None


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def holder(output: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has an output for itself."""
    process = python(HOLD, output)
    assert process.stdout and process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_the_second_is_told_who_the_first_is_where_and_since_when(tmp_path: Path) -> None:
    output = str(tmp_path / "clips")
    with holder(tmp_path / "clips") as process:
        named = rf"process {process.pid} on {re.escape(socket.gethostname())} since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        with (
            pytest.raises(DataError, match=f"{output} is being written by {named}: wait until it has ended"),
            claimed(output, work_of_folder(output), nothing),
        ):
            pass
        process.communicate("")
    with claimed(output, work_of_folder(output), nothing):
        pass
    assert contents(tmp_path) == {} and not (tmp_path / "clips" / "_work").exists()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_holder_that_is_killed_holds_nothing(ending: signal.Signals, tmp_path: Path) -> None:
    output = str(tmp_path / "clips")
    with holder(tmp_path / "clips") as process:
        process.send_signal(ending)
        process.wait()
        assert (tmp_path / "clips" / "_work" / "lock").exists()
        with claimed(output, work_of_folder(output), nothing):
            pass
    assert contents(tmp_path) == {}


def test_processes_that_race_for_an_output_have_it_one_at_a_time(tmp_path: Path) -> None:
    """Each run removes the lock at its end, while others open it."""
    racing = [python(RACE, tmp_path / "clips") for _ in range(3)]
    held = [int(process.communicate(timeout=120)[0]) for process in racing]
    assert all(process.returncode == 0 for process in racing) and sum(held) >= 300 // 3
    assert contents(tmp_path) == {}


def test_outputs_next_to_each_other_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, other = str(tmp_path / "one.parquet"), str(tmp_path / "other.parquet")
    with claimed(one, work_of_file(one), nothing), claimed(other, work_of_file(other), nothing):
        assert sorted(contents(tmp_path)) == ["_work/one.parquet/lock", "_work/other.parquet/lock"]
    assert list(tmp_path.iterdir()) == []


def test_what_no_run_has_made_is_named_before_anything_is_touched(tmp_path: Path) -> None:
    output = str(tmp_path / "clips")
    with (
        pytest.raises(DataError, match="thesis was not made by this command: move it away"),
        claimed(output, work_of_folder(output), lambda: "thesis"),
    ):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_half_way_leaves_the_lock_as_a_sign_of_whose_the_half_is(tmp_path: Path) -> None:
    output = str(tmp_path / "evaluation")
    half = tmp_path / "evaluation" / "metrics.json"

    def foreign() -> str | None:
        return str(half) if half.exists() else None

    with pytest.raises(OSError), claimed(output, work_of_folder(output), foreign):
        half.write_text("{")
        raise OSError(errno.ENOSPC, "No space left on device")
    with claimed(output, work_of_folder(output), foreign):
        half.unlink()
    assert contents(tmp_path) == {}


def test_a_file_system_without_locks_gets_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    output = str(tmp_path / "clips")
    with claimed(output, work_of_folder(output), nothing):
        pass
    assert capsys.readouterr().err.startswith(f"warning: {output} is on a file system without locks")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ingest", "train"])
def test_a_second_run_of_a_stage_is_refused_and_the_first_ends_as_if_alone(
    name: str, chain: Path, tmp_path: Path, call: Call, request: pytest.FixtureRequest
) -> None:
    """For `ingest` the second one has other parameters: both together once made a store of both."""
    made = request.getfixturevalue("trained" if name == "train" else "chain")
    stage, other = STAGES[name], tmp_path / "other"
    other.mkdir()
    inputs_of(stage, made, tmp_path)
    (tmp_path / stage.output).mkdir()
    if name == "ingest":
        (other / "raw").symlink_to(made / "raw")
        write_parameters(other, ingest__shards=4)
    else:
        inputs_of(stage, made, other)
    (other / stage.output).symlink_to(tmp_path / stage.output)
    with started(stage, tmp_path) as process:
        assert wait_until(lambda: at_work(stage, tmp_path, process), process)
        process.send_signal(signal.SIGSTOP)  # however slow this machine is
        second = call(other, "ingest", "raw", "clips") if name == "ingest" else run(stage, other)
        process.send_signal(signal.SIGCONT)
        assert_refused(second, f"is being written by process {process.pid} on ")
        assert process.communicate(timeout=240) and process.returncode == 0
    assert contents(tmp_path / stage.output) == contents(made / stage.output)


def test_two_machines_that_do_not_name_their_start_are_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "_BOOT_ID", tmp_path / "none")
    assert lease._machine() is None


def test_a_renewal_that_is_under_way_when_the_run_ends_leaves_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On storage that takes any write, where a renewal could come after the removal."""
    monkeypatch.setattr(lease, "RENEWED_SECONDS", 0.0)
    renewing, ended = threading.Event(), threading.Event()

    def renew_late(path: str, data: bytes, mark: str) -> str:
        renewing.set()
        ended.wait(0.5)
        return replace(path, data, mark)

    replace = conditional.replace
    monkeypatch.setattr(conditional, "replace", renew_late)
    output = "memory://renewed/clips"
    lock = f"{work_of_folder(output)}/lock"
    with claimed(output, work_of_folder(output), lambda: None):
        assert renewing.wait(10) and files.is_file(lock)
    ended.set()
    assert not files.exists(lock)
    time.sleep(0.2)
    assert not files.exists(lock)

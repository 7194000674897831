"""What the system refuses is one sentence and exit code 1, and after the mend the same command goes on."""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tqdm.std
from conftest import Call
from corpus_tools import Outcome, assert_refused, contents, environment, write_parameters
from stage_processes import STAGES, inputs_of, run

FULL = ("No space left on device", "free some space, then run the same command again to resume")
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 24, 1, 2


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A disk of its own at a folder; what is yielded changes its size or its mode."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("no right to mount a disk here")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True) and None
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts disks and gives up rights")


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Parameters, and the inputs of all stages as links."""
    write_parameters(tmp_path, augment__recipes__few=[{"kind": "gain", "copies": 2, "gain_db": [-6.0, 6.0]}])
    for name in ("raw", "clips", "selection.parquet"):
        (tmp_path / name).symlink_to(finished / name)
    return tmp_path


COMMANDS: dict[str, tuple[str, ...]] = {
    "ingest": ("ingest", "raw", "out/clips"),
    "select": ("select", "clips", "out/selection.parquet"),
    "augment": ("augment", "clips", "selection.parquet", "out/few"),
    "extract": ("extract", "clips", "selection.parquet", "out/mfcc"),
}
SIZES = {
    "ingest": ("4k", "200k", "4000k", "4600k"),
    "select": ("4k", "16k", "32k"),
    "augment": ("100k", "3000k"),
    "extract": ("16k", "600k"),
}
"""Of disks that are full before the first file, while steps write, and while the output is made of what they wrote."""


@pytest.mark.parametrize(("stage", "size"), [(stage, size) for stage, sizes in SIZES.items() for size in sizes])
def test_a_full_disk_is_one_sentence_and_with_more_room_the_same_command_goes_on(
    stage: str, size: str, folder: Path, tmp_path: Path, call: Call
) -> None:
    with disk(tmp_path / "out", size) as change:
        assert_refused(call(folder, *COMMANDS[stage]), *FULL)
        change("size=64m")
        outcome = call(folder, *COMMANDS[stage])
        assert outcome.code == 0, outcome.stderr
        found = contents(tmp_path / "out")
    assert call(folder, *COMMANDS[stage]).code == 0
    assert found == contents(tmp_path / "out")


def test_a_full_disk_ends_a_run_with_workers_in_one_sentence_too(folder: Path, tmp_path: Path, call: Call) -> None:
    with disk(tmp_path / "out", "600k"):
        assert_refused(call(folder, *COMMANDS["extract"], "--direct_num_workers=2"), *FULL)


def test_an_output_that_can_only_be_read_is_one_sentence(folder: Path, tmp_path: Path, call: Call) -> None:
    with disk(tmp_path / "out", "64m") as change:
        for command in COMMANDS.values():
            change("ro")
            assert_refused(call(folder, *command), "Read-only file system", "name another place")
            change("rw")
            assert call(folder, *command).code == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # a thread of Beam's that tidies up
def test_a_clock_that_jumps_changes_nothing(
    finished: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    numbers, count = random.Random(0), itertools.count()
    moments: list[int] = []

    def jumping() -> float:
        moments.append(next(count))
        return numbers.uniform(0, 2e9)

    monkeypatch.setattr(time, "time", jumping)
    monkeypatch.setattr(tqdm.std, "time", jumping)
    assert call(folder, *COMMANDS["ingest"]).code == 0
    assert contents(folder / "out" / "clips") == contents(finished / "clips") and moments


def without_rights(folder: Path, *arguments: str) -> Outcome:
    """Run a stage as a user who has no right to read and write what others have locked."""
    prctl = ctypes.CDLL(None).prctl

    def give_up() -> None:
        for right in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            prctl(_PR_CAPBSET_DROP, right, 0, 0, 0)

    done = subprocess.run(
        [sys.executable, "-m", f"pipelines.{arguments[0]}", *arguments[1:]],
        cwd=folder,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=give_up,
        check=False,
    )
    return Outcome(done.returncode, done.stderr)


@pytest.mark.slow
def test_what_may_not_be_read_or_written_is_one_sentence(finished: Path, folder: Path, tmp_path: Path) -> None:
    (folder / "raw").unlink()
    shutil.copytree(finished / "raw", folder / "raw")
    (archive,) = (folder / "raw").glob("*.tar.gz")
    archive.chmod(0)
    refused = without_rights(folder, *COMMANDS["ingest"])
    assert_refused(refused, "Permission denied", archive.name, "get the permission or name another place")
    archive.chmod(0o600)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out").chmod(0o500)
    assert_refused(without_rights(folder, *COMMANDS["select"]), "Permission denied", "out/_work")
    (tmp_path / "out").chmod(0o700)
    assert without_rights(folder, *COMMANDS["select"]).code == 0


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("train", "60k"), ("evaluate", "8k")])
def test_a_full_disk_ends_training_and_evaluation_likewise(name: str, size: str, trained: Path, tmp_path: Path) -> None:
    stage = STAGES[name]
    inputs_of(stage, trained, tmp_path)
    with disk(tmp_path / stage.output, size) as change:
        refused = run(stage, tmp_path)
        errors = [line for line in refused.errors if not line.startswith(("epoch ", "test: "))]
        assert refused.code == 1 and len(errors) == 1 and errors[0].startswith("error: "), refused.stderr
        assert all(part in errors[0] for part in FULL)
        change("size=64m")
        outcome = run(stage, tmp_path)
        assert outcome.code == 0, outcome.stderr
        found = contents(tmp_path / stage.output)
    assert name != "train" or found == contents(trained / stage.output)
    assert not [path for path in found if "_work" in path or path.endswith(".part")]

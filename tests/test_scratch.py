"""Where work on remote storage keeps what one step leaves for the next: on this machine, if all steps run there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from pipelines.engine import scratch

HOME = "memory://bucket/clips/_work"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_remote_work_that_is_all_done_here_has_a_folder_of_this_user(temporary: Path) -> None:
    found = scratch.folder(HOME, "plan", 1000)
    assert found and Path(found).is_dir() and Path(found).is_relative_to(temporary)
    assert Path(found).parent.stat().st_mode & 0o777 == 0o700
    assert scratch.folder(HOME, "plan", 1000) == found


@pytest.mark.parametrize(("home", "passing_bytes"), [("data/clips/_work", 1000), (HOME, None), (HOME, 1 << 60)])
def test_other_work_and_work_without_room_for_it_has_none(home: str, passing_bytes: int | None) -> None:
    assert scratch.folder(home, "plan", passing_bytes) is None


def test_a_link_in_the_place_of_the_users_folder_is_not_followed(
    temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (temporary / f"keyword-spotting-{os.getuid()}").symlink_to(other)
    assert scratch.folder(HOME, "plan", 1000) is None
    assert not list(other.iterdir())


def test_what_a_killed_run_of_an_older_plan_has_left_goes_and_that_of_other_work_stays() -> None:
    older, other = scratch.folder(HOME, "older", 1), scratch.folder("memory://bucket/other/_work", "older", 1)
    assert older and other
    assert scratch.folder(HOME, "newer", 1) != older
    assert not os.path.exists(older) and os.path.exists(other)


def test_a_restart_of_the_machine_takes_what_was_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before = scratch.folder(HOME, "plan", 1)
    monkeypatch.setattr(scratch, "boot_id", lambda: "another start")
    assert before and scratch.folder(HOME, "plan", 1) != before
    assert not os.path.exists(before)

"""The file layer takes paths literally, here and on object storage, and a file has its name only when it is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from base import files

STRANGE = ("run[1]", "proj?", "a*b", "{x}", "sp ace", "über", "#1", "%41", "-rf")
"""Names that shells, globs and URLs read as something else."""


@pytest.fixture(params=["local", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder on this machine's disk, and one that behaves like object storage."""
    if request.param == "local":
        return str(tmp_path)
    return f"memory://{tmp_path.name}-{request.node.name.replace('/', '_')}"


@pytest.mark.parametrize("name", STRANGE)
def test_a_path_is_taken_literally_whatever_characters_it_holds(root: str, name: str) -> None:
    mine, others = (
        files.join(root, name, "f"),
        [files.join(root, other, "f") for other in ("run1", "projx", "aXb", "x")],
    )
    for path in (mine, *others):
        files.write_text(path, path)
    assert files.read_text(mine) == mine
    assert files.names(files.join(root, name)) == ["f"]
    assert files.size(mine) == len(mine.encode())
    files.remove(files.join(root, name))
    assert not files.exists(mine) and all(files.read_text(other) == other for other in others)


def test_a_block_that_fails_leaves_the_file_before_and_nothing_else(root: str) -> None:
    path = files.join(root, "file")
    files.write_text(path, "before")
    with pytest.raises(ZeroDivisionError), files.published(path) as file:
        file.write(b"half of what was to")
        raise ZeroDivisionError
    assert files.read_text(path) == "before" and files.names(root) == ["file"]


def test_what_a_killed_attempt_left_is_replaced_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".file.part").write_bytes(b"of a killed attempt")
    files.write_text(str(tmp_path / "file"), "whole")
    assert files.names(str(tmp_path)) == ["file"]


def test_a_folder_that_holds_something_exists_and_another_does_not(root: str) -> None:
    files.write_text(files.join(root, "a", "b", "c"), "x")
    assert files.is_folder(files.join(root, "a")) and files.exists(files.join(root, "a", "b"))
    assert not files.is_file(files.join(root, "a")) and not files.exists(files.join(root, "other"))
    assert files.names(files.join(root, "a")) == ["b"] and files.names(files.join(root, "other")) == []
    with pytest.raises(FileNotFoundError):
        files.read_bytes(files.join(root, "other"))


def test_a_file_that_is_moved_takes_the_place_of_the_one_there(root: str) -> None:
    one, other = files.join(root, "x", "one"), files.join(root, "y", "other")
    files.write_text(one, "new")
    files.write_text(other, "old")
    files.move(one, other)
    assert files.read_text(other) == "new" and not files.exists(one)


def test_of_a_link_to_a_folder_the_link_alone_is_removed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("mine")
    os.symlink(tmp_path / "kept", tmp_path / "link")
    files.remove(str(tmp_path / "link"))
    assert not (tmp_path / "link").exists() and (tmp_path / "kept" / "file").read_text() == "mine"


@given(st.binary(max_size=200))
def test_the_hash_is_that_of_the_bytes(content: bytes) -> None:
    import hashlib

    with files.published("memory://hash/file") as file:
        file.write(content)
    assert files.sha256("memory://hash/file") == hashlib.sha256(content).hexdigest()

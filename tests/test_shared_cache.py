"""`dvc repro` in two clones that share DVC's cache, at the same time: both finish, alike, and the cache stays whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from corpus_tools import copy_project, environment
from ruamel.yaml import YAML

pytestmark = pytest.mark.slow

SPEAKERS = 24
EPOCHS = 2
PATIENCE_S = 900


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def dvc(folder: Path, *arguments: str) -> str:
    """What a command of DVC prints; it must end well."""
    process = start(folder, sys.executable, "-m", "dvc", *arguments)
    printed, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, printed
    return printed


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=test", "-c", "user.email=test@localhost")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the project and a small corpus."""
    folder = tmp_path_factory.mktemp("origin")
    copy_project(folder)
    yaml, place = YAML(), folder / "params.yaml"
    content = yaml.load(place)
    content["corpus"]["synthesis"] |= {"speakers": SPEAKERS, "noise_seconds": 20}
    content["ingest"]["shards"] = 4
    content["models"]["cnn"] |= {"filters": [4, 4], "kernel_size": 3, "dense_units": [8]}
    content["models"]["cnn"]["fit"] = {"epochs": EPOCHS}
    yaml.dump(content, place)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "the project")
    return folder


def clone(origin: Path, name: str, cache: Path) -> Path:
    folder = origin.parent / f"{origin.name}-{name}"
    git(origin.parent, "clone", "--quiet", str(origin), str(folder))
    dvc(folder, "cache", "dir", "--local", str(cache))
    return folder


def files_of(folder: Path) -> dict[str, str]:
    """Path → MD5 of all files below the outputs of the chain."""
    outputs = ("data", "models", "evaluation", "exports")
    paths = [path for output in outputs for path in sorted((folder / output).rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.md5(path.read_bytes()).hexdigest() for path in paths}


def test_two_clones_at_once_and_a_third_after_them(origin: Path) -> None:
    cache = origin.parent / "shared-cache"
    first, second = (clone(origin, name, cache) for name in ("first", "second"))

    both = [start(folder, sys.executable, "-m", "dvc", "repro") for folder in (first, second)]
    printed = [process.communicate(timeout=PATIENCE_S)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(printed)

    assert (first / "dvc.lock").read_text() == (second / "dvc.lock").read_text()
    assert files_of(first) == files_of(second)
    for folder in (first, second):
        assert "up to date" in dvc(folder, "status")

    kept = [path for path in (cache / "files/md5").rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        assert hashlib.md5(path.read_bytes()).hexdigest() == path.parent.name + path.name.removesuffix(".dir")

    third = clone(origin, "third", cache)
    shutil.copyfile(first / "dvc.lock", third / "dvc.lock")
    dvc(third, "checkout")
    assert "Running stage" not in dvc(third, "repro")
    assert files_of(third) == files_of(first)
    assert not [name for folder in (first, second, third) for name in os.listdir(folder / "data") if "part" in name]

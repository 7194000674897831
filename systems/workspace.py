"""A folder in which a system's chain runs: a copy of the project's code, parameters of its own, DVC's cache shared."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from base import params
from base.files import write_text

CHAIN_FILE: Final = "dvc.yaml"
LOCK_FILE: Final = "dvc.lock"
_SHARED_STAGES: Final = {"corpus": Path("data/raw"), "ingest": Path("data/clips")}
"""The stages whose outputs are the same for all systems of a corpus."""


def prepare(folder: Path, content: Mapping[str, Any], corpus: Path, project: Path = Path()) -> None:
    """Make a folder in which `dvc repro` runs the project's chain with other parameters.

    What stands in it of an earlier run stays, and DVC finds what still holds.

    Args:
        folder: the folder.
        content: of its params.yaml.
        corpus: the folder of all systems of the same corpus; an archive and clips that one of them has are taken over.
        project: the project's root.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for room in rooms(project):
        shutil.rmtree(folder / room, ignore_errors=True)
        shutil.copytree(project / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (CHAIN_FILE, ".dvcignore"):
        shutil.copyfile(project / name, folder / name)
    _write_yaml(folder / params.PARAMS_FILE, content)
    _write_settings(folder, project)
    if not (folder / LOCK_FILE).exists():
        _take_over(folder, corpus)


def rooms(project: Path) -> list[str]:
    """The folders of code that the chain's stages depend on."""
    stages = params.read_yaml(project / CHAIN_FILE)["stages"].values()
    firsts = {Path(dep).parts[0] for stage in stages for dep in stage.get("do", stage)["deps"]}
    return sorted(first for first in firsts if next((project / first).glob("*.py"), None))


def _write_yaml(path: Path, content: Any) -> None:
    yaml = YAML(typ="safe", pure=True)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)


def _write_settings(folder: Path, project: Path) -> None:
    """DVC's settings: those of the project, outside Git, with the project's cache."""
    settings = (project / ".dvc" / "config").read_text()
    settings = settings.replace("[core]", "[core]\n    no_scm = true")
    settings = settings.replace("[cache]", f"[cache]\n    dir = {(project / '.dvc' / 'cache').resolve()}")
    (folder / ".dvc").mkdir(exist_ok=True)
    write_text(str(folder / ".dvc" / "config"), settings)


def _take_over(folder: Path, corpus: Path) -> None:
    """Begin with the archive and the clips of another system, as links; DVC checks whether they are the right ones."""
    for lock in sorted(corpus.glob(f"**/{LOCK_FILE}")):
        stages = params.read_yaml(lock)["stages"]
        if all(stage in stages and (lock.parent / out).is_dir() for stage, out in _SHARED_STAGES.items()):
            for out in _SHARED_STAGES.values():
                shutil.rmtree(folder / out, ignore_errors=True)
                shutil.copytree(lock.parent / out, folder / out, copy_function=os.link)
            _write_yaml(
                folder / LOCK_FILE, {"schema": "2.0", "stages": {name: stages[name] for name in _SHARED_STAGES}}
            )
            return

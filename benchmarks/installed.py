"""The project as an installed package, in a virtual environment of its own on top of the libraries of this one."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import tempfile
import tomllib
import venv
from pathlib import Path

from base.errors import DataError

PROJECT = Path(__file__).resolve().parents[1]


def install(folder: Path) -> Path:
    """Make an environment with the package.

    Args:
        folder: the new folder of the environment.

    Returns:
        Its interpreter, next to which the worker launcher is.

    Raises:
        DataError: the package can't be built.
    """
    python = on_top(folder)
    with tempfile.TemporaryDirectory() as source:
        _copy(Path(source))
        command = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", source]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"the package can't be installed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return python


def on_top(folder: Path) -> Path:
    """Make an environment that has nothing but the libraries of this one; its interpreter."""
    venv.create(folder, symlinks=True, with_pip=True)
    python = folder / "bin" / "python"
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    (Path(found.stdout.strip()) / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return python


def _copy(target: Path) -> None:
    """Copy what the package is built of: what lies in its folders from builds before would be taken into it."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    rooms = [each.rstrip("*") for each in settings["tool"]["setuptools"]["packages"]["find"]["include"]]
    for name in ("pyproject.toml", "LICENSE", *settings["tool"]["setuptools"]["dynamic"]["dependencies"]["file"]):
        shutil.copyfile(PROJECT / name, target / name)
    for room in rooms:
        shutil.copytree(PROJECT / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))

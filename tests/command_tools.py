"""Runs `python -m features` in this process, as the command line does, for the tests of its commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import command
from features.__main__ import main


class Result(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.stdout)


Features = Callable[..., Result]


def features_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> Callable[..., Result]:
    """`python -m features` in a folder: `run("sample", store, "--word", "yes")`."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", ["features", *(str(argument) for argument in arguments)])
        code = 0
        try:
            command.run(main)
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    return run

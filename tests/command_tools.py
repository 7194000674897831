"""Runs commands in this process, as the command line does, for the tests of `python -m registry` and of the stages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from base import command
from registry.__main__ import main


class Result(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.stdout)


RegistryCommand = Callable[..., Result]
"""`python -m registry` in a folder: `run("sample", store, "--word", "yes")`."""


def exit_code(program: click.Command, *arguments: object) -> int:
    """Run a command; its exit code."""
    try:
        command.run(program, [str(argument) for argument in arguments])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def registry_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> RegistryCommand:
    """`python -m registry` in a folder."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        monkeypatch.chdir(folder)
        return Result(exit_code(main, *arguments), *capsys.readouterr())

    return run

"""`python -m registry` lists its commands, and none of them loads the libraries of another."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_tools import RegistryCommand
from corpus_tools import ROOT

LIBRARIES = {"tensorflow", "torch", "apache_beam", "matplotlib", "scipy", "jinja2", "PIL", "keras", "dvc"}
NEEDED: dict[str, set[str]] = {
    "list": set(),
    "describe": set(),
    "verify": set(),
    "diff": set(),
    "validate": set(),
    "card": {"matplotlib", "jinja2", "PIL"},
    "sample": {"matplotlib", "PIL"},
    "export": set(),
    "manifest": set(),
}


def test_the_help_names_every_command(run: RegistryCommand) -> None:
    printed = run("--help")
    assert printed.code == 0
    named = [line.split()[0] for line in printed.stdout.partition("Commands:\n")[2].splitlines()]
    assert named == list(NEEDED)


@pytest.mark.parametrize("name", NEEDED)
def test_a_command_starts_without_the_libraries_of_others(name: str) -> None:
    code = (
        "import sys; from registry.__main__ import main; main.get_command(None, sys.argv[1]); "
        "print(*set(sys.argv[2:]) & sys.modules.keys())"
    )
    arguments = [sys.executable, "-c", code, name, *sorted(LIBRARIES)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == NEEDED[name]


def test_an_unknown_command_is_refused(run: RegistryCommand) -> None:
    printed = run("forget")
    assert printed.code == 2 and "No such command 'forget'" in printed.stderr

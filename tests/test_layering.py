"""The rooms of the house: who may import whom, and each file says in one sentence what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from corpus_tools import ROOT

FORBIDDEN = {
    "features": {"pipelines", "training", "serving", "params", "command", "benchmarks", "apache_beam", "keras"},
    "pipelines": {"training", "serving", "benchmarks", "keras"},
    "training": {"pipelines", "serving", "benchmarks", "apache_beam"},
}
FILES = sorted(
    path
    for pattern in (
        "*.py",
        "features/**/*.py",
        "pipelines/**/*.py",
        "training/**/*.py",
        "benchmarks/**/*.py",
        "tests/**/*.py",
    )
    for path in ROOT.glob(pattern)
)
COMMAND_LINE = {ROOT / "features" / "__main__.py", *(ROOT / "features" / "commands").glob("*.py")}
"""The command line of the stores reads params.yaml and shows progress as the stages do."""


def imports(path: Path) -> set[str]:
    """First names of the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = [path for path in FILES if path.is_relative_to(ROOT / room)]
    assert files
    for path in files:
        allowed = {"params", "command"} if path in COMMAND_LINE else set()
        assert not imports(path) & (FORBIDDEN[room] - allowed), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_begins_with_a_docstring_whose_first_paragraph_is_one_sentence(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    sentence = docstring.partition("\n\n")[0]
    assert sentence.endswith(".") and "\n" not in sentence
    assert ". " not in sentence

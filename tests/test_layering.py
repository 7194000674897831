"""The rooms of the house: who may import whom, without exception, and each file says in one sentence what it is."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from corpus_tools import ROOT

MAY_IMPORT: dict[str, set[str]] = {
    "base": set(),
    "features": {"base"},
    "stores": {"base", "features"},
    "readers": {"base", "features", "stores"},
    "results": {"base", "features", "stores"},
    "pipelines": {"base", "features", "stores"},
    "reports": {"base", "features", "stores", "readers", "results"},
    "training": {"base", "features", "stores", "readers", "results", "reports"},
    "serving": {"base", "features", "stores", "readers", "results", "pipelines"},
    "registry": {"base", "features", "stores", "readers", "results", "reports"},
    "examples": {"base", "features", "stores", "readers"},
    "docs": {"base"},
    "benchmarks": {"base", "features", "stores", "readers", "results", "pipelines", "training", "serving"},
    "reproduce": {"base", "results"},
    "systems": {"base", "results", "reproduce"},
}
"""Room → the rooms below it that it may use; `reproduce` is a module, not a folder."""

MAY_NOT_IMPORT: dict[str, set[str]] = {
    "base": {"apache_beam", "tensorflow", "keras", "matplotlib", "pyarrow"},
    "features": {"apache_beam", "keras", "matplotlib", "pyarrow", "click", "tqdm", "fsspec"},
    "stores": {"apache_beam", "keras", "matplotlib", "click"},
    "readers": {"apache_beam", "keras", "matplotlib", "click"},
    "results": {"apache_beam", "tensorflow", "matplotlib", "click"},
    "pipelines": {"keras", "matplotlib"},
    "training": {"apache_beam", "matplotlib"},
    "serving": {"matplotlib"},
    "reports": {"apache_beam", "keras"},
    "registry": {"apache_beam", "keras"},
}
"""Room → libraries that have no place in it."""

FILES = [
    *sorted(path for room in (*MAY_IMPORT, "tests") for path in ROOT.glob(f"{room}/**/*.py")),
    ROOT / "reproduce.py",
]


def imports(path: Path) -> set[str]:
    """First names of the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def files_of(room: str) -> list[Path]:
    found = [path for path in FILES if path.relative_to(ROOT).parts[0] in (room, f"{room}.py")]
    assert found
    return found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    for path in files_of(room):
        above = imports(path) & set(MAY_IMPORT) - MAY_IMPORT[room] - {room}
        assert not above, f"{path.relative_to(ROOT)} imports {above}"


def test_only_the_pipeline_over_archives_brings_the_pipelines_into_serving() -> None:
    """What decodes files and listens runs where Beam is not installed."""
    own = ROOT / "serving" / "predict_archive"
    assert imports(own / "predict_archive.py") >= {"pipelines", "apache_beam"}
    for path in files_of("serving"):
        above = imports(path) & {"pipelines", "apache_beam"}
        assert not above or own in path.parents, f"{path.relative_to(ROOT)} imports {above}"
        modules = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
        assert own in path.parents or not any(
            module and module.startswith("serving.predict_archive") for module in modules
        )


def test_no_room_is_below_itself() -> None:
    for room, below in MAY_IMPORT.items():
        assert room not in set().union(below, *(MAY_IMPORT[each] for each in below))


@pytest.mark.parametrize("room", MAY_NOT_IMPORT)
def test_a_room_does_without_the_libraries_of_others(room: str) -> None:
    for path in files_of(room):
        foreign = imports(path) & MAY_NOT_IMPORT[room]
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_every_folder_of_python_files_is_a_room() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("*/**/*.py")}
    known = {*MAY_IMPORT, "tests"}
    assert {each for each in folders if not each.startswith(".")} <= known


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_begins_with_a_docstring_whose_first_paragraph_is_one_sentence(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    sentence = docstring.partition("\n\n")[0]
    assert sentence.endswith(".") and "\n" not in sentence
    assert ". " not in sentence

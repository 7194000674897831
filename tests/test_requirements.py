"""The files of requirements agree on what decides bytes, and ask by name for all that the pipelines import."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from corpus_tools import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from test_layering import MAY_IMPORT, files_of, imports

DECIDE_BYTES = {
    "apache-beam",
    "espeakng-loader",
    "google-crc32c",
    "isal",
    "numpy",
    "pyarrow",
    "scipy",
    "soundfile",
    "soxr",
}
OF_TRAINING = {"dvc", "dvclive", "keras", "librosa", "matplotlib", "pandas", "tensorboard", "tensorflow-cpu"}
ONLY_FOR_TRAINING = {"tensorflow"}
"""Imported by functions of `features` and `stores` that no pipeline calls."""

Packages = dict[str, SpecifierSet]


def asked(path: Path) -> Packages:
    """What a file asks for, and the .in files that it includes."""
    found: Packages = {}
    for line in path.read_text().splitlines():
        if line.startswith("-r ") and line.endswith(".in"):
            found |= asked(path.with_name(line.removeprefix("-r ")))
        elif not line.startswith(("#", "-")):
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            found[name] = found.get(name, SpecifierSet()) & requirement.specifier
    assert found
    return found


def entries(path: Path) -> list[str]:
    """What a pinned file says of each package, its hashes included."""
    text = path.read_text().replace("\\\n", "")
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pinned(path: Path) -> dict[str, str]:
    """Package → version, of a file that `make lock` has written."""
    found = dict(entry.split()[0].split("==") for entry in entries(path))
    assert found
    return found


def test_two_environments_have_the_same_version_of_what_both_ask_for() -> None:
    whole, pipelines = ROOT / "requirements.in", ROOT / "requirements-pipelines.in"
    shared = asked(whole).keys() & asked(pipelines).keys()
    versions = [
        {name: pinned(file.with_suffix(".txt"))[name] for name in sorted(shared)} for file in (whole, pipelines)
    ]
    assert versions[0] == versions[1]
    assert shared >= DECIDE_BYTES


@pytest.mark.parametrize("file", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: str(path.name))
def test_a_pinned_file_holds_what_is_asked_for(file: Path) -> None:
    versions = pinned(file)
    for name, allowed in asked(file.with_suffix(".in")).items():
        assert name in versions and versions[name] in allowed, f"{name}: run `make lock`"


@pytest.mark.parametrize("file", sorted(ROOT.glob("requirements*.txt")), ids=lambda path: str(path.name))
def test_every_pinned_package_has_the_hashes_of_its_files(file: Path) -> None:
    assert not [entry for entry in entries(file) if not re.search(r" --hash=sha256:[0-9a-f]{64}( |$)", entry)]


def test_nothing_is_installed_whose_hash_is_not_known() -> None:
    recipes = [ROOT / "Makefile", *ROOT.glob("deploy/**/Dockerfile")]
    installs = [line for path in recipes for line in path.read_text().splitlines() if "pip install" in line]
    assert len(installs) > 1
    assert not [line for line in installs if "--require-hashes" not in line and "--no-deps" not in line]


def test_the_environment_of_the_pipelines_has_nothing_of_training() -> None:
    assert not OF_TRAINING & pinned(ROOT / "requirements-pipelines.txt").keys()
    assert pinned(ROOT / "requirements-dev.txt").keys() >= OF_TRAINING


def test_all_that_the_pipelines_import_is_asked_for_by_name_and_no_more() -> None:
    rooms = {"pipelines", *MAY_IMPORT["pipelines"]}
    modules = set().union(*(imports(path) for room in rooms for path in files_of(room)))
    packages = importlib.metadata.packages_distributions()
    found = {
        canonicalize_name(name)
        for module in modules - set(sys.stdlib_module_names) - rooms - ONLY_FOR_TRAINING
        for name in packages[module]
    }
    assert found == asked(ROOT / "requirements-common.in").keys()

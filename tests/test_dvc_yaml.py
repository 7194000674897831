"""dvc.yaml tells the truth: a stage depends on exactly the packages that it imports, and on parameters that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import params

ROOT = Path(__file__).parent.parent
PACKAGES = ("features", "pipelines", "training")
STAGES: dict[str, Any] = params.read_yaml(ROOT / "dvc.yaml")["stages"]
NAMES = list(STAGES)


def stage_definition(name: str) -> dict[str, Any]:
    stage: dict[str, Any] = STAGES[name]
    return {**stage, **stage.get("do", {})}


def module_file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def imported_modules(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {module for module in modules if module.split(".")[0] in PACKAGES}


def packages_behind(module: str) -> set[str]:
    """Packages of ours that a module needs, directly or through others."""
    files: set[Path] = set()
    waiting = [module]
    while waiting:
        file = module_file(waiting.pop())
        if file is not None and file not in files:
            files.add(file)
            waiting += imported_modules(file)
    return {file.relative_to(ROOT).parts[0] for file in files}


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_depends_on_exactly_the_packages_that_it_imports(name: str) -> None:
    stage = stage_definition(name)
    module = re.search(r"python -m (\S+)", stage["cmd"])
    assert module
    assert set(stage["deps"]) & set(PACKAGES) == packages_behind(module[1])


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_names_only_paths_that_it_declares(name: str) -> None:
    stage = stage_definition(name)
    arguments = stage["cmd"].split()[3:]
    paths = [argument for argument in arguments if "/" in argument]
    outs = [
        next(iter(out)) if isinstance(out, dict) else out for out in [*stage.get("outs", []), *stage.get("metrics", [])]
    ]
    for path in paths:
        assert path in stage["deps"] or any(out == path or out.startswith(f"{path}/") for out in outs), path


@pytest.mark.parametrize("name", NAMES)
def test_the_parameters_of_a_stage_are_in_its_own_section(name: str) -> None:
    content = params.read_yaml(ROOT / "params.yaml")
    for key in stage_definition(name).get("params", []):
        parts = re.sub(r"\$\{[^}]*\}", "*", key).split(".")
        assert parts[0] == name or (name, key) == ("evaluate", "extract.views")
        place: Any = content
        for part in parts:
            place = place if part == "*" else place[part]

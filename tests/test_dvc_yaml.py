"""dvc.yaml tells the truth: a stage depends on exactly the code that it imports; an edit runs what it touches alone."""

from __future__ import annotations

import ast
import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus_tools import ROOT, copy_project

from base import params

ROOMS = ("base", "features", "stores", "readers", "results", "pipelines", "training", "serving", "reports", "registry")
DEFINED: dict[str, Any] = params.read_yaml(ROOT / "dvc.yaml")["stages"]
FINETUNED: dict[str, Any] = {"more": {"model": "cnn", "task": "words", "source": "mfcc_small", "layers": "dense"}}
CONTENT: dict[str, Any] = {**params.read_yaml(ROOT / "params.yaml"), "finetuned": FINETUNED}
CONTENT["distilled"] = CONTENT["models"]


def filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text, text
    return text


def stage(name: str) -> dict[str, Any]:
    """A stage as DVC runs it for the first view or model of params.yaml."""
    defined = DEFINED[name]
    values = {"item.view": CONTENT["views"][0], "clips_from": CONTENT["clips_from"], "item.recipe": "ninefold"}
    values["item.source"] = CONTENT["views"][0]
    if defined.get("foreach") == "${finetuned}":
        ((key, entry),) = FINETUNED.items()
        values |= {"key": key, **{f"item.{name}": value for name, value in entry.items()}}
        defined = defined["do"]
    elif "foreach" in defined:
        key, model = next(iter(CONTENT["models"].items()))
        values |= {"key": key, "item.teacher": "teacher"}
        values |= {f"item.{each}": model[each] for each in ("view", "source", "network")}
        values["train.recipe"] = CONTENT["train"]["recipe"]
        defined = defined["do"]
    fields = ("deps", "params", "outs", "metrics", "plots")
    listed = {field: [filled(name_of(each), values) for each in defined.get(field, [])] for field in fields}
    return {"cmd": filled(defined["cmd"], values), **listed}


def name_of(entry: Any) -> str:
    return next(iter(entry)) if isinstance(entry, dict) else entry


def module_files(module: str) -> list[Path]:
    """The files that importing a module of ours runs: those of its packages, then its own."""
    parts, found = module.split("."), []
    for depth in range(1, len(parts) + 1):
        path = ROOT.joinpath(*parts[:depth])
        found += [file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()]
    return [
        file for file in found if len(ast.parse(file.read_text()).body) > 1
    ]  # not those that hold a docstring alone


def imported_modules(file: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {module for module in modules if module.split(".")[0] in ROOMS}


def found_by_name(name: str, files: set[Path]) -> Iterator[Path]:
    """What a stage imports by a name in params.yaml: its network, or the layouts of the archives; templates, too."""
    if name in ("train", "distill"):
        yield ROOT / "training" / "models" / f"{next(iter(CONTENT['models'].values()))['network']}.py"
    if ROOT / "pipelines" / "layouts" / "__init__.py" in files:
        yield from (ROOT / "pipelines" / "layouts").glob("*.py")
    for file in files:
        yield from (file.with_name(each) for each in re.findall(r'"(\w+\.\w+\.j2)"', file.read_text()))


def closure(name: str) -> set[Path]:
    """All files of ours that a stage's command reads, directly or through others."""
    module = re.search(r"python -m (\S+)", stage(name)["cmd"])
    assert module
    entry = ROOT.joinpath(*module[1].split("."))
    waiting = module_files(module[1]) + ([entry / "__main__.py"] if entry.is_dir() else [])
    files: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file not in files:
            files.add(file)
            if file.suffix == ".py":
                waiting += [each for imported in imported_modules(file) for each in module_files(imported)]
        waiting = waiting or [each for each in found_by_name(name, files) if each not in files]
    return files


def code_of(name: str) -> set[str]:
    """The files and folders of ours among a stage's dependencies."""
    return {dep for dep in stage(name)["deps"] if dep.split("/")[0] in ROOMS}


@pytest.mark.parametrize("name", DEFINED)
def test_a_stage_depends_on_exactly_the_code_that_it_imports(name: str) -> None:
    imported = {file.relative_to(ROOT).as_posix() for file in closure(name)}
    declared = code_of(name)
    missing = {file for file in imported if not any(file == dep or file.startswith(f"{dep}/") for dep in declared)}
    idle = {dep for dep in declared if not any(file == dep or file.startswith(f"{dep}/") for file in imported)}
    assert not missing, f"{name} imports these and does not declare them"
    assert not idle, f"{name} declares these and does not import them"


@pytest.mark.parametrize("name", DEFINED)
def test_a_stage_names_only_paths_that_it_declares(name: str) -> None:
    defined = stage(name)
    arguments = [argument for argument in defined["cmd"].split()[3:] if "/" in argument]
    outs = [*defined["outs"], *defined["metrics"], *defined["plots"]]
    for path in arguments:
        files = f"{path}/"
        assert any(each == path or each.startswith(files) for each in (*defined["deps"], *outs)), path


@pytest.mark.parametrize("name", DEFINED)
def test_the_parameters_of_a_stage_exist(name: str) -> None:
    for key in stage(name)["params"]:
        params.part_of(CONTENT, key)


SMALL = "network: cnn, view: mfcc_small, source: mfcc_small, kernel_size: 3, dense_units: []"
FIRST = f"  cnn: {{{SMALL}, filters: [4], dropout: 0.4}}\n"
SECOND = f"  second: {{{SMALL}, filters: [8], dropout: 0.1}}\n"
THIRD = SECOND.replace("second", "third")


class Project:
    """A copy of the project with two models, in which every stage has run as far as DVC can tell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        copy_project(folder)
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        written = (folder / "params.yaml").read_text()
        below = written[written.index("distilled:") :]
        (folder / "params.yaml").write_text(f"views: [mfcc_small]\nmodels:\n{SECOND}{FIRST}{below}")
        with contextlib.chdir(folder), self.repo() as repo:
            # what others read inside an output comes first, and makes a folder of it
            for made in (*repo.index.deps, *repo.index.outs):
                if not Path(made.fs_path).exists():
                    Path(made.fs_path).parent.mkdir(parents=True, exist_ok=True)
                    Path(made.fs_path).write_text("made")
            repo.commit(force=True)
        assert not self.stale()

    def repo(self) -> Any:
        from dvc.repo import Repo

        return Repo(str(self.folder))

    def stale(self) -> set[str]:
        """The stages that `dvc repro` would run first; what follows from them runs if their outputs change."""
        with contextlib.chdir(self.folder), self.repo() as repo:
            stale = [name for name in repo.status() if not name.startswith("deploy/")]
            return {name.partition("@")[0] if "@" not in name else name for name in stale}

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.folder / path).read_text()
        assert old in text, (path, old)
        (self.folder / path).write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"))


REPORTS, TRAINS, EVALUATES, EXPORTS = (
    {f"{stage}@{model}" for model in ("cnn", "second")} for stage in ("report", "train", "evaluate", "export")
)
EDITS: dict[str, tuple[str, str, str, set[str]]] = {
    "the report's CSS": ("reports/evaluation.html.j2", "--paper: #ffffff", "--paper: #fffffe", REPORTS),
    "a chart of the report": ("reports/evaluation_charts.py", "from __future__", "# x\nfrom __future__", REPORTS),
    "the look of pictures": ("reports/pictures.py", "from __future__", "# x\nfrom __future__", REPORTS),
    "an export of stores": ("registry/export/parquet.py", "from __future__", "# x\nfrom __future__", set()),
    "a docstring of verify": ("registry/commands/verify.py", '"""', '"""Once more: ', set()),
    "the data card": ("reports/data_card.md.j2", "Data card", "Card of the data", set()),
    "a figure's mathematics": (
        "results/metrics.py",
        "from __future__",
        "# x\nfrom __future__",
        EVALUATES | REPORTS | EXPORTS,
    ),
    "a view that nobody reads": ("params.yaml", "frame_ms: 20", "frame_ms: 25", set()),
    "the view that is read": ("params.yaml", "coefficients: 20", "coefficients: 13", {"extract@mfcc_small"} | TRAINS),
    "a new network": ("training/models/wide.py", "", '"""Another network."""\n', set()),
    "the network": ("training/models/cnn.py", "from __future__", "# x\nfrom __future__", TRAINS),
    "a new model": (
        "params.yaml",
        FIRST,
        f"{THIRD}{FIRST}",
        {"train@third", "evaluate@third", "report@third", "export@third"},
    ),
    "an exported format": ("serving/formats.py", "from __future__", "# x\nfrom __future__", EXPORTS),
    "how streams are listened to": ("serving/recognizer.py", "from __future__", "# x\nfrom __future__", set()),
    "the rule of thresholds": ("params.yaml", "false_accepts: 0.01", "false_accepts: 0.02", EXPORTS),
    "a model's own number": ("params.yaml", "dropout: 0.4", "dropout: 0.3", {"train@cnn"}),
    "one model's learning rate": (
        "params.yaml",
        "dropout: 0.1",
        "dropout: 0.1, fit: {learning_rate: 1.0}",
        {"train@second"},
    ),
    "a recipe that is not in use": ("params.yaml", "epochs: 15", "epochs: 16", set()),
    "the split": ("params.yaml", 'salt: ""', 'salt: "a"', {"select"}),
    "augmentation": ("training/fitting/augment.py", "from __future__", "# x\nfrom __future__", TRAINS),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_makes_stale_only_what_it_touches(what: str, project: Project) -> None:
    path, old, new, expected = EDITS[what]
    place = project.folder / path
    before = place.read_text() if place.exists() else None
    if before is None:
        place.write_text(new)
    else:
        project.edit(path, old, new)
    try:
        assert project.stale() == expected
    finally:
        if before is None:
            place.unlink()
        else:
            place.write_text(before)


def test_the_reader_makes_training_stale_but_not_the_pipelines(project: Project) -> None:
    path = project.folder / "readers" / "store.py"
    before = path.read_text()
    project.edit("readers/store.py", "from __future__", "# x\nfrom __future__")
    stale = project.stale()
    path.write_text(before)
    assert stale >= TRAINS
    assert not {name.partition("@")[0] for name in stale} & {"corpus", "ingest", "select", "extract"}


def test_copies_are_made_and_extracted_only_where_parameters_ask_for_them(project: Project) -> None:
    def of_copies() -> dict[str, set[str]]:
        with contextlib.chdir(project.folder), project.repo() as repo:
            names = ("augment", "extract")
            return {
                each.addressing: {str(dep) for dep in each.deps if str(dep).startswith("data")}
                for each in repo.index.stages
                if each.addressing.startswith(names)
            }

    assert of_copies() == {"extract@mfcc_small": {"data/clips", "data/selection.parquet"}}
    path = project.folder / "params.yaml"
    before = path.read_text()
    project.edit("params.yaml", "augmented: []", "augmented: [ninefold]")
    project.edit("params.yaml", "clips_from: data", "clips_from: data/augmented/ninefold")
    made = of_copies()
    path.write_text(before)
    assert made == {
        "augment@ninefold": {"data/clips", "data/selection.parquet"},
        "extract@mfcc_small": {"data/augmented/ninefold/clips", "data/augmented/ninefold/selection.parquet"},
    }


def test_what_follows_from_a_models_training_is_its_own_evaluation_report_and_export() -> None:
    assert all("models/cnn" in stage(name)["deps"] for name in ("evaluate", "report", "export"))
    assert set(stage("report")["deps"]) >= {"evaluation/cnn/predictions.parquet"}

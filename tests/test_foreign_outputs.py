"""No stage replaces or deletes what is not its own earlier output: it says so, and nothing is touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_tools import exit_code
from conftest import Call
from corpus_tools import assert_refused, contents
from training_store import feature_store
from training_tools import MODEL

from base.errors import DataError
from registry.commands import validate
from results.evaluation import foreign_file as foreign_evaluation
from results.model import foreign_file as foreign_model
from training.train import train

THESIS = b"five years of work"


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A folder with parameters, archive, clips, selection and features, to be changed."""
    for name in ("raw", "clips", "features"):
        shutil.copytree(finished / name, tmp_path / name)
    for name in ("params.yaml", "selection.parquet"):
        shutil.copyfile(finished / name, tmp_path / name)
    return tmp_path


def a_thesis(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(THESIS)


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "select onto a text": (("select", "clips", "mine/thesis.txt"), "mine/thesis.txt"),
    "select onto a table of something else": (("select", "clips", "clips/catalog.parquet"), "clips/catalog.parquet"),
    "ingest onto a manifest of something else": (("ingest", "raw", "mine"), "mine/manifest.json"),
    "ingest onto features": (("ingest", "raw", "VIEW"), "VIEW/SHA256SUMS"),
    "extract onto a catalog of something else": (
        ("extract", "clips", "selection.parquet", "mine/mfcc"),
        "mine/mfcc/VERSION/catalog.parquet",
    ),
    "augment onto the clips that it reads": (("augment", "clips", "selection.parquet", "."), "./clips/SHA256SUMS"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_stage_refuses_to_replace_what_it_has_not_made(mistake: str, folder: Path, call: Call) -> None:
    (view,) = (folder / "features" / "mfcc").iterdir()
    arguments, named = MISTAKES[mistake]
    filled = [each.replace("VIEW", str(view.relative_to(folder))) for each in (*arguments, named)]
    *command, path = [each.replace("VERSION", view.name) for each in filled]
    if path.startswith("mine"):
        a_thesis(folder / path)
    if command[0] == "augment":
        text = (folder / "params.yaml").read_text().replace("ninefold:", f"{folder.name}:", 1)
        (folder / "params.yaml").write_text(text)
        command[-1], path = str(folder), str(folder / "clips" / "SHA256SUMS")
    before = contents(folder)
    assert_refused(call(folder, *command), f"{path} was not made by this command: move it away, or name another output")
    assert contents(folder) == before


def test_a_work_folder_of_the_users_own_keeps_what_is_in_it(folder: Path, call: Call) -> None:
    a_thesis(folder / "clips" / "_work" / "thesis.txt")
    a_thesis(folder / "_work" / "selection.parquet" / "draft" / "thesis.txt")
    assert call(folder, "ingest", "raw", "clips").code == 0
    assert call(folder, "select", "clips", "selection.parquet").code == 0
    assert (folder / "clips" / "_work" / "thesis.txt").read_bytes() == THESIS
    assert (folder / "_work" / "selection.parquet" / "draft" / "thesis.txt").read_bytes() == THESIS


def test_a_folder_named_like_a_version_that_holds_no_store_of_ours_is_kept(folder: Path, call: Call) -> None:
    a_thesis(folder / "features" / "mfcc" / "1.2.3" / "manifest.json")
    assert call(folder, "extract", "clips", "selection.parquet", "features/mfcc").code == 0
    assert (folder / "features" / "mfcc" / "1.2.3" / "manifest.json").read_bytes() == THESIS


def test_stores_of_other_code_are_a_stages_own(folder: Path, call: Call) -> None:
    """Of an older format that this code can't read, or half replaced by a run that was killed."""
    place = folder / "clips" / "manifest.json"
    expected = contents(folder / "clips")
    place.write_text(json.dumps({**json.loads(place.read_text()), "format": "keyword-spotting-store/1"}))
    assert call(folder, "ingest", "raw", "clips").code == 0
    assert contents(folder / "clips") == expected
    place.unlink()
    (folder / "clips" / "_work").mkdir()
    (folder / "clips" / "_work" / "lock").write_text("{}")
    assert call(folder, "ingest", "raw", "clips").code == 0
    assert contents(folder / "clips") == expected


@pytest.mark.parametrize("name", ["model.json", "model.keras", "history.csv", "checkpoint/notes.txt"])
def test_training_refuses_a_folder_with_files_of_others(name: str, tmp_path: Path) -> None:
    store = feature_store(tmp_path / "features")
    a_thesis(tmp_path / "models" / name)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=f"{name} was not made by this command"):
        train(MODEL, store, tmp_path / "models", tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(("foreign", "name"), [(foreign_evaluation, "metrics.json"), (foreign_model, "history.csv")])
def test_other_folders_may_hold_what_no_stage_writes(
    foreign: Callable[[Path], str | None], name: str, tmp_path: Path
) -> None:
    assert foreign(tmp_path / "none") is None
    a_thesis(tmp_path / "thesis.txt")
    assert foreign(tmp_path) is None
    a_thesis(tmp_path / name)
    assert foreign(tmp_path) == str(tmp_path / name)


def test_validate_refuses_to_write_over_a_file_of_another_kind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    a_thesis(folder / "mine.csv")
    assert exit_code(validate.main, "features/mfcc", "--output", "mine.csv") == 1
    assert "mine.csv was not made by this command" in capsys.readouterr().err
    assert (folder / "mine.csv").read_bytes() == THESIS

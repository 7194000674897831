"""A made-up miniature of each layout goes from the archive to a verified store of features, by the command lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_tools import exit_code
from conftest import Call
from corpus_tools import store_folder, table, write_parameters
from miniatures import MINIATURES, Miniature, words_of_nobody

from registry.__main__ import main as registry_main

NOISES = ("musan", "demand", "fsd50k", "noise")
QUICK = {"kind": "waveform", "sample_rate_hz": 8000}


def chain(folder: Path, call: Call, sources: list[Any], **changes: Any) -> None:
    """Run corpus, ingest, select and extract on some sources."""
    write_parameters(
        folder,
        corpus__sources=sources,
        ingest__max_reject_fraction=0.5,
        select__silence=0,
        extract__views={"quick": QUICK},
        **changes,
    )
    for stage, *arguments in (
        ("corpus", "raw"),
        ("ingest", "raw", "clips"),
        ("select", "clips", "selection.parquet"),
        ("extract", "clips", "selection.parquet", "features/quick"),
    ):
        outcome = call(folder, stage, *arguments)
        assert outcome.code == 0, outcome.stderr


def assert_catalog(folder: Path, *minis: Miniature) -> None:
    """The store of clips says of each file what its miniature says, and the features hold every clip."""
    archives = json.loads((folder / "raw/corpus.json").read_text())["archives"]
    assert [each["layout"] for each in archives] == [each.layout for each in minis]
    rows = table(folder / "clips/catalog.parquet")
    spoken = {row["id"]: (row["word"], row["speaker"], row["split"]) for row in rows if not row["recording"]}
    assert spoken == {name: row for each in minis for name, row in each.clips.items()}
    assert {row["recording"] for row in rows} - {None} == {name for each in minis for name in each.recordings}
    rejects = {row["path"]: row["reason"] for row in table(folder / "clips/rejects.parquet")}
    assert rejects == {path: reason for each in minis for path, reason in each.rejects.items()}
    kept = table(store_folder(folder / "features/quick") / "catalog.parquet")
    assert {row["id"] for row in kept if not row["recording"]} == set(spoken)


@pytest.mark.parametrize("name", [name for name in MINIATURES if name not in NOISES])
def test_a_miniature_of_each_layout_becomes_a_verified_store(
    name: str, tmp_path: Path, call: Call, capfd: pytest.CaptureFixture[str]
) -> None:
    small = MINIATURES[name]()
    task = {"words": list(small.words), "silence": False, "unknown": False}
    split = {"method": small.method, "ratio": [2, 1, 1], "salt": "c"}
    chain(tmp_path, call, [small.write(tmp_path / "given")], select__tasks__small=task, select__split=split)
    assert_catalog(tmp_path, small)
    for store in ("clips", "features/quick"):
        capfd.readouterr()
        code, verified = exit_code(registry_main, "verify", tmp_path / store), capfd.readouterr().out
        assert code == 0, verified
    unknown = sum(speaker is None for _, speaker, _ in small.clips.values())
    said = f"{unknown} clips have no speaker: leaks between speakers can't be excluded"
    assert (said in verified) == (unknown > 0)
    if unknown:
        page = tmp_path / "card.md"
        assert exit_code(registry_main, "card", tmp_path / "features/quick", tmp_path / "clips", page) == 0
        assert said in page.read_text()


def test_noise_corpora_are_background_for_the_words_of_another_source(tmp_path: Path, call: Call) -> None:
    minis = [words_of_nobody(), *(MINIATURES[name]() for name in NOISES)]
    task = {"words": list(minis[0].words), "silence": True, "unknown": False}
    split = {"method": "speaker", "ratio": [2, 1, 1], "salt": ""}
    sources = [each.write(tmp_path / "given") for each in minis]
    chain(tmp_path, call, sources, select__tasks__small=task, select__split=split)
    assert_catalog(tmp_path, *minis)
    assert exit_code(registry_main, "verify", tmp_path / "features/quick") == 0

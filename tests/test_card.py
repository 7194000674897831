"""The data card has the catalog's own numbers, the same bytes every time, and pictures that open."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command_tools import RegistryCommand
from corpus_tools import store_folder
from PIL import Image

from readers.store import open_store
from reports.data_card import make_card


@pytest.fixture(scope="module")
def page(finished: Path) -> str:
    return make_card(open_store(finished / "features" / "mfcc"), open_store(finished / "clips"), "card").text


@pytest.fixture(scope="module")
def rows(finished: Path) -> pd.DataFrame:
    return pd.read_parquet(store_folder(finished / "features" / "mfcc") / "catalog.parquet")


def table(page: str, heading: str) -> dict[str, dict[str, str]]:
    """The last table of a section: first cell of a row → column → cell."""
    section = page.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.split("\n\n")[-1].strip().splitlines() if line.startswith("|")] or [
        line for line in section.splitlines() if line.startswith("|")
    ]
    cells = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    header = cells[0]
    return {row[0]: dict(zip(header, row, strict=True)) for row in cells[2:]}


def test_the_classes_are_counted_as_pandas_counts_them(page: str, rows: pd.DataFrame, finished: Path) -> None:
    classes = open_store(finished / "features" / "mfcc").classes
    counts = rows.groupby(["label", "split"]).size().unstack(fill_value=0)
    found = table(page, "Classes")
    for label, name in enumerate(classes):
        for split in ("train", "validation", "test"):
            assert int(found[name][split]) == counts.loc[label, split]
        assert int(found[name]["all"]) == counts.loc[label].sum()
    assert int(found["all"]["all"]) == len(rows)
    sizes = counts["test"]
    assert found["smallest class to largest"]["test"] == f"{sizes.min()} : {sizes.max()}"


def test_speakers_lengths_and_loudness_are_those_of_pandas(page: str, rows: pd.DataFrame) -> None:
    speakers, lengths, loudness = (table(page, heading) for heading in ("Speakers", "Length", "Loudness"))
    for split, spoken in rows[rows["word"] != "_silence_"].groupby("split"):
        clips = spoken.groupby("speaker").size()
        of_speaker = speakers[str(split)]
        assert int(of_speaker["speakers"]) == len(clips) and int(of_speaker["most"]) == clips.max()
        assert float(of_speaker["median"]) == np.median(clips)
        assert int(lengths[str(split)]["shorter than 1 s"]) == (spoken["length"] < 16_000).sum()
        assert float(lengths[str(split)]["shortest [ms]"]) == pytest.approx(spoken["length"].min() / 16, abs=0.5)
        level = 20 * np.log10(spoken["rms"].astype(float))
        assert float(loudness[str(split)]["median"]) == pytest.approx(np.median(level), abs=0.06)
        assert float(loudness[str(split)]["loudest"]) == pytest.approx(level.max(), abs=0.06)
    assert "Speakers in more than one split: none. Same audio in more than one split: none." in page


def test_noise_and_cut_edges_are_those_of_pandas(page: str, rows: pd.DataFrame) -> None:
    found = table(page, "Noise, and speech that is cut off")
    for split, spoken in rows[rows["word"] != "_silence_"].groupby("split"):
        row, estimate = found[str(split)], spoken["snr_db"].astype(float)
        assert float(row["median"]) == pytest.approx(estimate.median(), abs=0.06)
        assert float(row["10 % have a lower ratio than [dB]"]) == pytest.approx(estimate.quantile(0.1), abs=0.06)
        assert row["cut at the end"].split()[0] == str(spoken["cut_end"].sum())
        assert row["cut at the start"].split()[0] == str(spoken["cut_start"].sum())
        assert row["mostly silent"] == str((spoken["silent_fraction"] > 0.9).sum())
    assert "left out" not in page


def test_a_condition_stands_on_the_page_with_what_it_left_out(finished: Path, tmp_path: Path) -> None:
    view, clips = copies(finished, tmp_path)
    manifest = json.loads((view / "manifest.json").read_text())
    left_out = {split: {"yes": 2, "no": 1} for split in ("train", "validation", "test")}
    manifest["task"] |= {"where": "snr_db > 10", "left_out": left_out}
    (view / "manifest.json").write_text(json.dumps(manifest))
    page = make_card(open_store(view), open_store(clips), "card").text
    assert "seed 0, spoken clips where `snr_db > 10` |" in page
    assert "the condition `snr_db > 10` left out, before samples were drawn:\ntrain 3, validation 3, test 3." in page


def test_the_words_are_counted_by_the_split_of_the_archive(page: str, finished: Path) -> None:
    clips = pq.read_table(finished / "clips" / "catalog.parquet").to_pandas().fillna({"split": "no split"})
    counts = clips.groupby(["word", "split"]).size().unstack(fill_value=0)
    found = table(page, "Words of the corpus")
    assert set(found) == set(counts.index)
    for word, row in counts.iterrows():
        for split, number in row.items():
            assert int(found[str(word)][str(split)]) == number


def test_the_page_names_archive_hash_license_and_definition(page: str, finished: Path) -> None:
    (archive,) = (json.loads((finished / "raw" / "corpus.json").read_text()))["archives"]
    assert f"| {archive['file']} | {archive['bytes']:,} | `{archive['sha256']}` | " in page
    assert "| CC BY 4.0 |" in page
    store = open_store(finished / "features" / "mfcc")
    assert json.loads(page.partition("```json\n")[2].partition("```")[0]) == store.manifest.definition
    assert hashlib.sha256((finished / "clips" / "manifest.json").read_bytes()).hexdigest() in page


def test_a_corpus_without_rejects_and_duplicates_says_none(page: str) -> None:
    assert re.search(r"## Same audio under several ids\n\nNone\.\n\n## Files that could not be used\n\nNone\.\n$", page)


def test_the_card_is_the_same_every_time_and_its_pictures_open(
    finished: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    arguments = ("card", finished / "features" / "mfcc", finished / "clips")
    first = run(*arguments, "a/data-card.md", "--json")
    assert run(*arguments, "b/data-card.md").code == first.code == 0
    written = [first.json["page"], *first.json["pictures"]]
    assert len(written) == 8
    for name in written:
        content = (tmp_path / name).read_bytes()
        assert content == (tmp_path / name.replace("a/", "b/", 1)).read_bytes()
        assert b"<dc:date>" not in content and b"Matplotlib v" not in content
    text = (tmp_path / "a" / "data-card.md").read_text()
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert {f"a/{place}" for place in shown} == set(first.json["pictures"])
    for place in shown:
        assert_opens(tmp_path / "a" / place)


def assert_opens(path: Path) -> None:
    if path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
            assert 500 <= image.width <= 2000 and 200 <= image.height <= 2000
        return
    root = ElementTree.parse(path).getroot()
    width, height = (float(root.attrib[name].removesuffix("pt")) for name in ("width", "height"))
    assert 300 <= width <= 800 and 120 <= height <= 900


def copies(finished: Path, folder: Path) -> tuple[Path, Path]:
    """Copies of the view and the clips that still belong together."""
    view = store_folder(finished / "features" / "mfcc")
    return Path(shutil.copytree(view, folder / view.name)), Path(shutil.copytree(finished / "clips", folder / "clips"))


def change(path: Path, how: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Change a Parquet table."""
    old = pq.read_table(path)
    pq.write_table(old.from_pandas(how(old.to_pandas()), old.schema, preserve_index=False), path)


def test_planted_duplicates_rejects_and_leaks_are_named(finished: Path, tmp_path: Path) -> None:
    view, clips = copies(finished, tmp_path)
    catalog = pq.read_table(clips / "catalog.parquet").to_pandas()
    ids = sorted(catalog["id"])[:3]

    def same_audio(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(audio_sha256=rows["audio_sha256"].where(~rows["id"].isin(ids), "same"))

    def rejected(_: pd.DataFrame) -> pd.DataFrame:
        paths = ["yes/c.wav", "yes/a.wav", "yes/b.wav"]
        reasons = ["not_a_wave", "empty", "not_a_wave"]
        return pd.DataFrame({"path": paths, "reason": reasons, "detail": "x", "archive": "small.tar.gz"})

    def leaking(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(speaker=rows["speaker"].where(rows["speaker"].isna(), "everyone"))

    change(clips / "catalog.parquet", same_audio)
    change(clips / "rejects.parquet", rejected)
    change(view / "catalog.parquet", leaking)
    text = make_card(open_store(view), open_store(clips), "card").text
    assert "Groups of clips that share their audio: 1.\n\n- " + ", ".join(f"`{each}`" for each in ids) in text
    assert "| not_a_wave | 2 | `yes/b.wav` |\n| empty | 1 | `yes/a.wav` |" in text
    assert "Speakers in more than one split: 1." in text


MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "clips for features": (("{clips}", "{clips}", "card.md"), "is a store of clips: name a store of features first"),
    "features for clips": (("{store}", "{store}", "card.md"), "holds the view mfcc, expected a store of clips"),
    "other clips": (("{store}", "other", "card.md"), "was not made from other: the manifest of its clips has"),
    "a page without an ending": (("{store}", "{clips}", "card"), "name a file such as docs/data-card.md"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_and_nothing_is_written(
    name: str, finished: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    arguments, expected = MISTAKES[name]
    other = Path(shutil.copytree(finished / "clips", tmp_path / "other"))
    manifest: dict[str, Any] = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps({**manifest, "code_version": "0"}))
    places = {"store": finished / "features" / "mfcc", "clips": finished / "clips"}
    done = run("card", *(argument.format(**places) for argument in arguments))
    assert done.code != 0 and expected in done.stderr
    assert not list(tmp_path.glob("card*"))

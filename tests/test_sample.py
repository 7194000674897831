"""Samples are found through the catalog, drawn by seed, and written as the record's own audio and a picture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
from command_tools import RegistryCommand
from corpus_tools import store_folder
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from readers.store import open_store
from registry.sample import FoundClip, draw


@pytest.fixture
def mfcc(finished: Path) -> Path:
    return store_folder(finished / "features" / "mfcc")


def catalog(store: Path) -> pd.DataFrame:
    return pd.read_parquet(store / "catalog.parquet")


def assert_is_a_picture(path: Path, least_width: int, least_height: int) -> None:
    with Image.open(path) as image:
        assert image.format == "PNG" and "Software" not in image.info
        assert least_width <= image.width < 3 * least_width and least_height <= image.height < 3 * least_height
        shades = np.asarray(image.convert("L"))
    assert len(np.unique(shades)) > 30


@pytest.mark.parametrize("word", ["yes", "cat", "_unknown_", "_silence_"])
def test_the_wav_is_the_record_and_the_clip_is_of_the_word_or_class(
    word: str, finished: Path, mfcc: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    done = run("sample", mfcc, "--word", word, "--count", "3", "--json")
    assert (done.code, done.stderr) == (0, "")
    records = {record["id"]: record for record in open_store(finished / "clips").records("unsplit")}
    rows = catalog(mfcc).set_index("id")
    assert len(done.json) == 3
    for written in done.json:
        samples, rate_hz = soundfile.read(written["audio"], dtype="int16")
        assert rate_hz == 16_000 and np.array_equal(samples, records[written["id"]]["audio"])
        assert soundfile.info(written["audio"]).subtype == "PCM_16"
        row = rows.loc[written["id"]]
        assert word in (row["word"], open_store(mfcc).classes[row["label"]])
        assert written["length_ms"] == row["length"] / 16 and written["split"] == row["split"]
        assert_is_a_picture(tmp_path / written["picture"], 600, 450)


def test_only_clips_of_the_split_are_drawn(mfcc: Path, run: RegistryCommand) -> None:
    rows = catalog(mfcc)
    expected = set(rows[(rows["split"] == "test") & (rows["word"] == "no")]["id"])
    done = run("sample", mfcc, "--word", "no", "--split", "test", "--count", "99", "--json")
    assert {each["id"] for each in done.json} == expected
    assert f"has {len(expected)} such clips, 99 were asked for" in done.stderr


def test_the_same_seed_writes_the_same_bytes_and_another_draws_others(
    mfcc: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    def files(folder: str, seed: int) -> dict[str, bytes]:
        run("sample", mfcc, "--word", "yes", "--count", "2", "--seed", str(seed), "--output", folder)
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    first = files("a", 0)
    assert len(first) == 4
    assert files("b", 0) == first
    assert set(files("c", 1)) != set(first)


found_clips = st.lists(st.text(max_size=5), max_size=20, unique=True).map(
    lambda ids: [FoundClip(each, "yes", "yes", "train", 0, 0) for each in ids]
)


@given(found_clips, st.integers(0, 20), st.integers(0, 2**32), st.randoms())
def test_a_draw_grows_with_its_count_and_depends_on_no_order(
    clips: list[FoundClip], count: int, seed: int, shuffle: object
) -> None:
    drawn = draw(clips, count, seed)
    assert drawn == draw(clips[::-1], count + 1, seed)[:count]
    assert len(drawn) == min(count, len(clips)) and len(set(drawn)) == len(drawn)
    if len(clips) > 1:
        assert set(draw(clips[1:], count, seed)) >= set(drawn) - {clips[0]}


def test_a_clip_of_a_store_of_clips_is_drawn_as_well(finished: Path, tmp_path: Path, run: RegistryCommand) -> None:
    (written,) = run("sample", finished / "clips", "--word", "cat", "--json").json
    assert written["class"] is None and written["word"] == "cat"
    assert_is_a_picture(tmp_path / written["picture"], 600, 200)
    assert len(soundfile.read(written["audio"])[0]) == 16_000


def test_without_a_store_of_clips_there_is_a_picture_only(mfcc: Path, tmp_path: Path, run: RegistryCommand) -> None:
    alone = Path(shutil.copytree(mfcc, tmp_path / "alone" / mfcc.name))
    done = run("sample", alone, "--word", "yes", "--json")
    assert done.code == 0 and "holds no audio and its clips are not found: pictures only" in done.stderr
    (written,) = done.json
    assert written["audio"] is None and [path.suffix for path in (tmp_path / "samples").iterdir()] == [".png"]
    assert_is_a_picture(tmp_path / written["picture"], 600, 300)


def other_clips(finished: Path, folder: Path) -> Path:
    """A store of clips with the same ids from which the features were not made."""
    copy = Path(shutil.copytree(finished / "clips", folder))
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "code_version": "0"}))
    return copy


def test_the_store_of_clips_is_found_in_the_data_folder_or_by_name(
    finished: Path, mfcc: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    alone = Path(shutil.copytree(mfcc, tmp_path / "data" / "features" / "mfcc" / mfcc.name))
    assert run("sample", alone, "--word", "yes", "--clips", finished / "clips", "--json").json[0]["audio"]
    (tmp_path / "data" / "clips").symlink_to(finished / "clips")
    for store in ("data/features/mfcc", alone):
        assert run("sample", store, "--word", "yes", "--json").json[0]["audio"]


def test_clips_that_the_features_were_not_made_from_are_neither_found_nor_taken(
    finished: Path, mfcc: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    alone = Path(shutil.copytree(mfcc, tmp_path / "data" / "features" / "mfcc" / mfcc.name))
    other = other_clips(finished, tmp_path / "data" / "clips")
    assert run("sample", alone, "--word", "yes", "--json").json[0]["audio"] is None
    refused = run("sample", alone, "--word", "yes", "--clips", other)
    assert refused.code == 1 and "was not made from" in refused.stderr
    other.rename(tmp_path / "data" / "features" / "clips")
    (tmp_path / "data" / "clips").symlink_to(finished / "clips")
    assert run("sample", alone, "--word", "yes", "--json").json[0]["audio"]


def test_clips_above_the_data_folder_are_not_looked_for(
    finished: Path, mfcc: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    alone = Path(shutil.copytree(mfcc, tmp_path / "data" / "features" / "mfcc" / mfcc.name))
    (tmp_path / "clips").symlink_to(finished / "clips")
    assert run("sample", alone, "--word", "yes", "--json").json[0]["audio"] is None


def test_the_table_says_what_was_written(mfcc: Path, tmp_path: Path, run: RegistryCommand) -> None:
    done = run("sample", mfcc, "--word", "yes")
    assert "length_ms" in done.stdout
    for path in (tmp_path / "samples").iterdir():
        assert str(path.relative_to(tmp_path)) in done.stdout


def test_an_absent_word_is_answered_with_those_that_there_are(mfcc: Path, run: RegistryCommand) -> None:
    done = run("sample", mfcc, "--word", "bananas", "--split", "test")
    names = sorted({*catalog(mfcc)["word"], "_silence_", "_unknown_"})
    assert done.code == 1
    assert done.stderr.endswith(f"has no clip of 'bananas' in test; it has {', '.join(names)}\n")
    assert (
        "has no split 'unsplit'; it has train, validation, test"
        in run("sample", mfcc, "--word", "yes", "--split", "unsplit").stderr
    )


def test_a_catalog_that_points_to_another_record_is_refused(mfcc: Path, tmp_path: Path, run: RegistryCommand) -> None:
    store = Path(shutil.copytree(mfcc, tmp_path / mfcc.name))
    table = pq.read_table(store / "catalog.parquet")
    frame = table.to_pandas()
    for position, expected in (((frame["position"] + 1) % 2, "the catalog says"), (99_999, "has no record 99999")):
        changed = frame.assign(position=position)
        pq.write_table(table.from_pandas(changed, table.schema, preserve_index=False), store / "catalog.parquet")
        done = run("sample", store, "--word", "yes", "--count", "9")
        assert done.code == 1 and expected in done.stderr and "make the store again" in done.stderr


def test_a_store_of_clips_that_lacks_the_clip_is_refused(
    finished: Path, mfcc: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    clips = Path(shutil.copytree(finished / "clips", tmp_path / "clips"))
    table = pq.read_table(clips / "catalog.parquet")
    pq.write_table(table[:0], clips / "catalog.parquet")
    done = run("sample", mfcc, "--word", "yes", "--clips", clips)
    assert done.code == 1 and "name the store that the features were made from" in done.stderr

"""The stage `select`, by its command line: the table of (id, label, split), and the mistakes that it names."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Call
from corpus_tools import (
    assert_refused,
    contents,
    corpus_clips,
    prepare,
    run_stage,
    speakers,
    store_folder,
    table,
    tar_gz,
    voice,
    wav,
    which_set,
    write_parameters,
    write_raw,
)

from readers.store import open_store
from registry.description import describe
from registry.verify.checks import verify
from stores.lineage import SplitRule
from stores.manifest import read_manifest
from stores.selection import read_task

CLASSES = ("_silence_", "_unknown_", "yes", "no")


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A folder with params.yaml and a finished clip store."""
    write_parameters(tmp_path)
    shutil.copytree(finished / "clips", tmp_path / "clips")
    return tmp_path


def selected(folder: Path, call: Call, **changes: Any) -> dict[str, tuple[int, str]]:
    """Run the stage; id → (label, split)."""
    write_parameters(folder, **{f"select__{key}": value for key, value in changes.items()})
    outcome = call(folder, "select", "clips", "selection.parquet")
    assert outcome.code == 0, outcome.stderr
    rows = table(folder / "selection.parquet")
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: (row["label"], row["split"]) for row in rows}


def test_each_word_has_its_class_and_its_official_split(finished: Path) -> None:
    rows = {row["id"]: (CLASSES[row["label"]], row["split"]) for row in table(finished / "selection.parquet")}
    wanted = {name for name in corpus_clips() if name.startswith(("yes/", "no/"))}
    for name in wanted:
        assert rows[name] == (name.split("/")[0], which_set(name))
    for name in rows.keys() - wanted:
        word = name.split("/")[0]
        assert rows[name][0] == ("_silence_" if word == "_silence_" else "_unknown_")
        assert word == "_silence_" or rows[name][1] == which_set(name)


def test_unknown_and_silence_are_as_many_as_the_mean_word(finished: Path) -> None:
    rows = table(finished / "selection.parquet")
    counts = Counter((row["split"], CLASSES[row["label"]]) for row in rows)
    expected = {"train": 9, "validation": 3, "test": 3}
    assert counts == {(split, name): count for split, count in expected.items() for name in CLASSES}
    assert read_task(str(finished / "selection.parquet")).counts == {
        split: dict.fromkeys(CLASSES, count) for split, count in expected.items()
    }


def test_the_silences_of_two_splits_do_not_touch(finished: Path) -> None:
    catalog = {row["id"]: row for row in table(finished / "clips" / "catalog.parquet")}
    rows = [(catalog[row["id"]], row["split"]) for row in table(finished / "selection.parquet") if row["label"] == 0]
    for one, first in rows:
        for other, second in rows:
            if first != second and one["recording"] == other["recording"]:
                assert abs(one["start"] - other["start"]) > 16_000


def test_a_row_group_holds_the_clips_of_one_shard_in_its_order(finished: Path) -> None:
    catalog = {row["id"]: (row["shard"], row["position"]) for row in table(finished / "clips" / "catalog.parquet")}
    selection = pq.ParquetFile(finished / "selection.parquet")
    assert selection.num_row_groups == 3
    for shard in range(3):
        places = [catalog[name.as_py()] for name in selection.read_row_group(shard).column("id")]
        assert places == sorted(places) and {place[0] for place in places} <= {shard}


def test_the_selection_says_what_it_is(finished: Path) -> None:
    task = read_task(str(finished / "selection.parquet"))
    assert (task.name, task.classes, task.seed) == ("small", CLASSES, 0)
    assert task.split == SplitRule("official", (2, 1, 1), "")
    assert task.test_silence == "background recordings"
    assert task.clips_manifest_sha256 == read_manifest(str(finished / "clips")).sha256


@pytest.mark.slow
def test_it_is_the_same_bytes_twice_and_with_two_workers(finished: Path, folder: Path, call: Call) -> None:
    assert call(folder, "select", "clips", "selection.parquet").code == 0
    assert run_stage(folder, "select", "clips", "two.parquet", "--direct_num_workers=2").code == 0
    expected = (finished / "selection.parquet").read_bytes()
    assert (folder / "selection.parquet").read_bytes() == (folder / "two.parquet").read_bytes() == expected
    assert {path.name for path in folder.iterdir()} == {"clips", "params.yaml", "selection.parquet", "two.parquet"}


def test_a_task_of_all_words_takes_every_clip(folder: Path, call: Call) -> None:
    rows = selected(folder, call, task="words", silence=0)
    classes = ("_silence_", "cat", "dog", "no", "yes")
    assert rows == {name: (classes.index(name.split("/")[0]), which_set(name)) for name in corpus_clips()}


@pytest.mark.parametrize("size", [0, 1, 5, 10**6, 0.2])
def test_a_number_or_a_fraction_of_unknowns_can_be_asked_for(size: Any, folder: Path, call: Call) -> None:
    rows = selected(folder, call, unknown=size)
    counts = Counter(split for label, split in rows.values() if label == 1)
    words = Counter(split for label, split in rows.values() if label > 1)
    available = Counter(which_set(name) for name in corpus_clips() if name.startswith(("cat/", "dog/")))
    for split, count in available.items():
        assert counts[split] == min(count, size if isinstance(size, int) else round(size * words[split]))


def test_by_speaker_no_speaker_stands_in_two_splits(folder: Path, call: Call) -> None:
    rows = selected(folder, call, split={"method": "speaker", "ratio": [2, 1, 1], "salt": "a"}, unknown=10**6)
    splits: dict[str, set[str]] = {}
    for name, (label, split) in rows.items():
        if label:
            splits.setdefault(name.split("/")[1].split("_")[0], set()).add(split)
    assert splits.keys() == set(speakers()) and all(len(found) == 1 for found in splits.values())


def test_another_word_in_the_corpus_changes_no_clip_of_the_task(folder: Path, call: Call, small_archive: bytes) -> None:
    before = selected(folder, call, task="words", silence=3)
    extra = [(f"tree/{who}_nohash_0.wav", wav(voice(n))) for n, who in enumerate(speakers())]
    write_raw(folder / "raw", {"small.tar.gz": small_archive, "more.tar.gz": tar_gz(extra)})
    assert call(folder, "ingest", "raw", "clips").code == 0
    after = selected(folder, call, task="words", silence=3)
    kept = {name: split for name, (_, split) in after.items() if not name.startswith("tree/")}
    assert kept == {name: split for name, (_, split) in before.items()}


def test_a_word_that_the_corpus_lacks_is_named(folder: Path, call: Call) -> None:
    assert call(folder, "select", "clips", "selection.parquet").code == 0
    before = (folder / "selection.parquet").read_bytes()
    write_parameters(folder, select__task="commands")
    assert_refused(
        call(folder, "select", "clips", "selection.parquet"),
        "task 'commands' names down, go, left, off, on, right, stop, up, which the corpus does not have",
        "it has cat, dog, no, yes",
    )
    assert (folder / "selection.parquet").read_bytes() == before


def test_a_split_that_ends_up_empty_is_named(tmp_path: Path, call: Call) -> None:
    files = [(f"{w}/{who}_nohash_0.wav", wav(voice(n))) for n, who in enumerate(speakers()[:8]) for w in ("yes", "no")]
    prepare(tmp_path, files)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    outcome = call(tmp_path, "select", "clips", "selection.parquet")
    assert_refused(outcome, "task 'small' leaves validation, test without a clip under split.method official")
    assert not (tmp_path / "selection.parquet").exists()


def test_a_corpus_without_an_official_split_says_what_to_set(folder: Path, call: Call) -> None:
    catalog = pq.read_table(folder / "clips" / "catalog.parquet")
    nowhere = pa.array([None] * len(catalog), pa.string())
    catalog = catalog.set_column(catalog.schema.get_field_index("split"), "split", nowhere)
    pq.write_table(catalog, folder / "clips" / "catalog.parquet", row_group_size=40)
    assert_refused(
        call(folder, "select", "clips", "selection.parquet"),
        "the corpus has no official split: set select.split.method to speaker in params.yaml",
    )
    write_parameters(folder, select__split__method="speaker", select__split__ratio=[1, 1, 1])
    assert call(folder, "select", "clips", "selection.parquet").code == 0


def test_a_class_without_a_clip_in_a_split_is_warned_of(folder: Path, call: Call) -> None:
    write_parameters(folder, select__silence=0)
    outcome = call(folder, "select", "clips", "selection.parquet")
    warnings = [line for line in outcome.stderr.splitlines() if line.startswith("warning")]
    assert warnings == [f"warning: class _silence_ has no clip in {split}" for split in ("train", "validation", "test")]


WHERE = "length > 15000 and not cut_end"
"""Some clips of the small corpus are shorter, others go on to their end."""


def test_spoken_clips_that_do_not_meet_the_condition_are_left_out_and_counted(folder: Path, call: Call) -> None:
    write_parameters(folder, select__where=WHERE, select__task="words", select__silence=5)
    outcome = call(folder, "select", "clips", "selection.parquet")
    assert outcome.code == 0, outcome.stderr
    catalog = {row["id"]: row for row in table(folder / "clips" / "catalog.parquet")}
    spoken = {name: row for name, row in catalog.items() if row["speaker"]}
    kept = {name for name, row in spoken.items() if row["length"] > 15_000 and not row["cut_end"]}
    assert 0 < len(kept) < len(spoken)
    rows = table(folder / "selection.parquet")
    assert {row["id"] for row in rows if row["label"]} == kept
    task = read_task(str(folder / "selection.parquet"))
    left_out = Counter((row["split"], row["word"]) for name, row in spoken.items() if name not in kept)
    assert task.where == WHERE
    assert {(split, name): n for split, of in task.left_out.items() for name, n in of.items() if n} == left_out
    for split, counts in task.counts.items():
        assert counts["_silence_"] == 5
        of_split = sum(number for (each, _), number in left_out.items() if each == split)
        assert f"selection.parquet: {split} {of_split} clips left out by select.where" in outcome.stderr


def test_unknown_words_are_drawn_from_those_that_meet_the_condition(folder: Path, call: Call) -> None:
    rows = selected(folder, call, where="word != 'cat' and length == 16000", unknown=4)
    assert {name.split("/")[0] for name, (label, _) in rows.items() if label == 1} == {"dog"}
    lengths = {row["id"]: row["length"] for row in table(folder / "clips" / "catalog.parquet")}
    assert {lengths[name] for name in rows} == {16_000}


def test_a_row_for_which_the_condition_is_null_is_left_out(finished: Path, folder: Path, call: Call) -> None:
    path = folder / "clips" / "catalog.parquet"
    catalog = pq.read_table(path)
    field = catalog.schema.get_field_index("snr_db")
    unknown = [None if name == "yes" else 20.0 for name in catalog.column("word").to_pylist()]
    changed = catalog.set_column(field, catalog.schema.field(field), pa.array(unknown, pa.float32()))
    pq.write_table(changed, path, row_group_size=40)
    rows = selected(folder, call, where="snr_db > 10 or snr_db <= 10", unknown=3, silence=3)
    assert not any(name.startswith("yes/") for name in rows)
    whole = {row["id"] for row in table(finished / "selection.parquet")}
    assert {name for name in rows if name.startswith("no/")} == {name for name in whole if name.startswith("no/")}


def test_without_a_condition_the_task_says_none_and_leaves_out_nothing(finished: Path) -> None:
    task = read_task(str(finished / "selection.parquet"))
    assert (task.where, task.left_out) == (None, {})


def test_unknown_words_that_are_held_out_stand_in_the_test_split_alone(folder: Path, call: Call) -> None:
    with_cats = selected(folder, call, unknown=10_000)
    found = selected(folder, call, unknown=10_000, held_out='word == "cat" or word == "yes"')
    catalog = open_store(folder / "clips").catalog(("id", "word")).to_pylist()
    held_out = {row["id"] for row in catalog if row["word"] == "cat"}
    assert held_out and {found[name] for name in held_out} == {(1, "test")}
    assert {name: place for name, place in found.items() if name not in held_out} == {
        name: place for name, place in with_cats.items() if name not in held_out
    }
    assert read_task(str(folder / "selection.parquet")).held_out == 'word == "cat" or word == "yes"'


def test_another_task_can_be_asked_for(folder: Path, call: Call) -> None:
    write_parameters(folder)
    assert call(folder, "select", "clips", "all.parquet", "--task", "words").code == 0
    assert read_task(str(folder / "all.parquet")).name == "words"
    outcome = call(folder, "select", "clips", "none.parquet", "--task", "none")
    assert outcome.code == 1 and "task 'none' is not among tasks" in outcome.stderr


def test_a_condition_that_leaves_nothing_is_named(folder: Path, call: Call) -> None:
    write_parameters(folder, select__where="length < 0", select__silence=0)
    assert_refused(
        call(folder, "select", "clips", "selection.parquet"),
        "leaves train, validation, test without a clip under split.method official and where length < 0: take another",
    )


def test_a_condition_on_a_column_that_does_not_exist_names_those_that_do(folder: Path, call: Call) -> None:
    write_parameters(folder, select__where="snr > 10")
    assert_refused(
        call(folder, "select", "clips", "selection.parquet"),
        "params.yaml: select.where: snr is not a column of the catalog, which has id, word, speaker, split, length",
    )


def test_a_catalog_from_before_its_columns_says_what_to_run(folder: Path, call: Call) -> None:
    path = folder / "clips" / "catalog.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["snr_db"]), path, row_group_size=40)
    write_parameters(folder, select__where="snr_db > 10")
    assert_refused(
        call(folder, "select", "clips", "selection.parquet"),
        "clips/catalog.parquet has no column snr_db: run `python -m pipelines.ingest` again",
    )
    write_parameters(folder)
    assert call(folder, "select", "clips", "selection.parquet").code == 0


def test_the_chain_of_the_loudest_seconds_under_a_condition_is_whole(
    tmp_path: Path, small_archive: bytes, call: Call
) -> None:
    write_parameters(tmp_path, ingest__second="loudest", select__where=WHERE)
    write_raw(tmp_path / "raw", {"small.tar.gz": small_archive})
    for stage, *paths in (
        ("ingest", "raw", "clips"),
        ("select", "clips", "selection.parquet"),
        ("extract", "clips", "selection.parquet", "features/waveform"),
    ):
        outcome = call(tmp_path, stage, *paths)
        assert outcome.code == 0, outcome.stderr
    clips, waveforms = (open_store(tmp_path / each) for each in ("clips", "features/waveform"))
    assert not verify(clips, lambda _: None).problems and not verify(waveforms, lambda _: None).problems
    rows = table(store_folder(tmp_path / "features" / "waveform") / "catalog.parquet")
    assert all(row["length"] > 15_000 and not row["cut_end"] for row in rows if row["speaker"])
    assert any(row["start"] > 0 for row in rows if row["recording_samples"] == 19_200)
    steps = {step["step"]: step["rules"] for step in describe(waveforms).lineage}
    left_out = read_task(str(tmp_path / "selection.parquet")).left_out
    assert (steps["clips"]["second"], steps["selection"]["where"]) == ("loudest", WHERE)
    assert steps["selection"]["left_out"] == {split: sum(of_split.values()) for split, of_split in left_out.items()}


def test_an_unfinished_store_is_refused(folder: Path, call: Call) -> None:
    (folder / "clips" / "manifest.json").unlink()
    assert_refused(call(folder, "select", "clips", "selection.parquet"), "clips is not a finished store")


@pytest.mark.parametrize("damage", ["missing", "cut", "another file", "a flipped bit in a column"])
def test_a_damaged_catalog_is_one_clear_sentence(damage: str, folder: Path, call: Call) -> None:
    path = folder / "clips" / "catalog.parquet"
    content = bytearray(path.read_bytes())
    match damage:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(content[:-100])
        case "another file":
            path.write_bytes(b"text" * 100)
        case _:
            place = pq.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
            content[place + 60] ^= 1
            path.write_bytes(content)
    assert_refused(call(folder, "select", "clips", "selection.parquet"), "clips/catalog.parquet")
    assert not (folder / "selection.parquet").exists()


def test_a_folder_named_as_the_output_is_kept(folder: Path, call: Call) -> None:
    before = contents(folder / "clips")
    for name in ("clips", "clips/"):
        assert_refused(call(folder, "select", "clips", name), "is a folder")
    assert contents(folder / "clips") == before

"""An export for microWakeWord is the tree that its reader looks for, opened with the package that the reader uses."""

from __future__ import annotations

import itertools
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_tools import RegistryCommand
from export_tools import export_to, known, make_stores, same
from hypothesis import given
from hypothesis import strategies as st
from mmap_ninja import RaggedMmap
from training_store import SMALL_MFCC, feature_store

from base.errors import DataError
from features.labels import SILENCE_CLASS
from readers.store import Store
from registry.export.folder import published_folder
from registry.export.micro_wake_word import tracks
from registry.export.plan import make_plan

FOLDERS = {"train": "training", "validation": "validation", "test": "testing"}
AMBIENT = {"validation": "validation_ambient", "test": "testing_ambient"}
Tensor = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def stores(finished: Path) -> dict[str, Store]:
    return make_stores(finished)


def samples_of(features_dir: Path, mode: str) -> list[Tensor]:
    """All features of a mode, found as microWakeWord's reader finds them."""
    maps = [RaggedMmap(path) for path in sorted((features_dir / mode).glob("**/*_mmap/"))]
    return [each[place] for each in maps for place in range(len(each))]


@pytest.mark.parametrize("name", ["mfcc", "spectrogram"])
def test_the_wake_words_are_true_and_all_other_clips_are_false(
    name: str, stores: dict[str, Store], tmp_path: Path
) -> None:
    store = stores[name]
    folder = export_to(tmp_path / "out", store, "micro-wake-word", words=("yes", "cat"))
    for split in store.splits:
        records = known(store, split).values()
        for side, wanted in (("positive", True), ("negative", False)):
            found = samples_of(folder / side, FOLDERS[split])
            expected = [record[name] for record in records if (record["word"] in ("yes", "cat")) == wanted]
            assert expected
            assert len(found) == len(expected)
            assert all(same(*pair) for pair in zip(found, expected, strict=True))


def test_long_tracks_are_the_recordings_of_validation_and_test_in_order_of_time(
    stores: dict[str, Store], tmp_path: Path
) -> None:
    store = stores["mfcc"]
    folder = export_to(tmp_path / "out", store, "micro-wake-word", words=("yes",))
    seconds = Counter[str]()
    for split, mode in AMBIENT.items():
        records = known(store, split)
        silences = [row for row in store.catalog().to_pylist() if row["split"] == split and row["recording"]]
        recordings = sorted({row["recording"] for row in silences})
        found = samples_of(folder / "negative", mode)
        assert len(found) == len(recordings) > 0
        for track, recording in zip(found, recordings, strict=True):
            starts = {row["start"]: row["id"] for row in silences if row["recording"] == recording}
            end, pieces = 0, []
            for start in sorted(starts):
                if start >= end:
                    pieces.append(records[starts[start]]["mfcc"])
                    end = start + 16_000
            assert same(track, np.concatenate(pieces))
            seconds[split] += len(pieces)
        assert samples_of(folder / "positive", mode) == []
    assert seconds["validation"] + seconds["test"] > len(recordings)
    assert not (folder / "negative" / "training_ambient").exists()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 100_000)), unique=True))
def test_tracks_never_hold_a_sample_twice_and_leave_none_out_that_fits(clips: list[tuple[str, int]]) -> None:
    rows = [{"recording": recording, "start": start} for recording, start in clips]
    found = {track[0]["recording"]: [row["start"] for row in track] for track in tracks(rows)}
    assert list(found) == sorted({recording for recording, _ in clips})
    for recording, starts in found.items():
        assert all(after - before >= 16_000 for before, after in itertools.pairwise(starts))
        left_out = {start for name, start in clips if name == recording} - set(starts)
        assert all(any(0 <= start - kept < 16_000 for kept in starts) for start in left_out)


def test_unsigned_features_stay_as_they_are(tmp_path: Path) -> None:
    """What microWakeWord scales itself: it multiplies uint16 by 0.0390625, and nothing else."""
    from registry.export.micro_wake_word import _write_map

    given_ = [np.full((98, 40), value, np.uint16) for value in range(300)]
    _write_map(tmp_path / "a_mmap", iter(given_))
    found = RaggedMmap(tmp_path / "a_mmap")
    assert len(found) == 300
    assert all(same(found[place], value) for place, value in enumerate(given_))


def test_the_configuration_names_both_folders_and_the_step(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["mfcc"]
    assert store.view is not None
    folder = export_to(tmp_path / "out", store, "micro-wake-word", words=("yes", "no"))
    content = yaml.safe_load((folder / "features.yaml").read_text())
    assert content["window_step_ms"] == store.view.step_ms == 10
    assert [(each["features_dir"], each["truth"]) for each in content["features"]] == [
        ("positive", True),
        ("negative", False),
    ]
    for features in content["features"]:
        assert features["type"] == "mmap"
        assert samples_of(folder / features["features_dir"], "training")


def test_a_split_without_clips_of_a_side_is_an_empty_map(stores: dict[str, Store], tmp_path: Path) -> None:
    store = stores["mfcc"]
    words = {record["word"] for record in known(store, "test").values()}
    folder = export_to(tmp_path / "out", store, "micro-wake-word", "test", words=sorted(words))
    assert len(samples_of(folder / "positive", "testing")) == store.counts["test"]
    assert samples_of(folder / "negative", "testing") == []
    assert samples_of(folder / "negative", "training") == []


def test_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    peaks = []
    for clips in (8, 1000, 2000):
        store = feature_store(tmp_path / f"store {clips}", counts={"train": clips, "validation": 1})
        tracemalloc.start()
        export_to(tmp_path / f"out {clips}", store, "micro-wake-word", words=("no",))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    a_clip = int(np.prod(SMALL_MFCC.shape)) * 4
    assert peaks[2] - peaks[1] < 100 * a_clip, "a tenth of the clips more"


@pytest.mark.parametrize("broken", [RuntimeError, KeyboardInterrupt])
def test_a_folder_that_is_not_finished_has_no_name(broken: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / ".a.part").mkdir()
    (tmp_path / ".a.part" / "left by a kill").touch()
    with pytest.raises(broken), published_folder(tmp_path / "a") as folder:
        assert list(folder.iterdir()) == []
        (folder / "half").touch()
        raise broken
    assert list(tmp_path.iterdir()) == []


REFUSED: dict[str, tuple[str, tuple[str, ...], str]] = {
    "no word": (
        "mfcc",
        (),
        "micro-wake-word needs --word, .* got none: choose among the words of .*, cat, dog, no, yes",
    ),
    "no such word": ("mfcc", ("yes", "yess"), "got yess: choose among the words of .*, cat, dog, no, yes"),
    "samples": ("waveform_8khz", ("yes",), "micro-wake-word holds features over time, .* holds samples: export a spec"),
    "clips": ("clips", ("yes",), "micro-wake-word holds features over time, .* holds samples: export a spec"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_wake_word_model_can_learn_from_is_refused(case: str, stores: dict[str, Store]) -> None:
    name, words, message = REFUSED[case]
    with pytest.raises(DataError, match=message):
        make_plan(stores[name], "micro-wake-word", words=words)


def test_words_are_refused_where_they_do_nothing(stores: dict[str, Store]) -> None:
    with pytest.raises(DataError, match="--word names what a wake-word model is to hear, got csv: leave it out"):
        make_plan(stores["mfcc"], "csv", words=("yes",))


def test_the_command_takes_words(stores: dict[str, Store], tmp_path: Path, run: RegistryCommand) -> None:
    store, folder = stores["mfcc"], tmp_path / "out"
    options = ("--format", "micro-wake-word", "--word", "yes", "--word", "no", "--json")
    done = run("export", store.path, folder, *options)
    assert done.code == 0, done.stderr
    assert done.json["settings"] == {"words": ["no", "yes"]}
    clips = sum(store.counts.values())
    assert f"export mfcc: {clips} of {clips} clip" in done.stderr
    assert SILENCE_CLASS in {record["word"] for record in known(store, "train").values()}

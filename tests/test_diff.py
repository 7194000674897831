"""A comparison names what was changed and nothing else: parameters, classes, clips, statistics, sizes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_tools import RegistryCommand
from hypothesis import given
from hypothesis import strategies as st
from registry_tools import Content, content, forge
from training_store import clip_store

from base.errors import DataError
from features.views import Waveform, definition, version
from readers.store import Store, open_store
from registry.diff import ComparedClip, class_changes, clip_changes, diff_stores
from registry.json_diff import json_differences
from stores.lineage import SplitRule
from stores.manifest import CATALOG_FILE


@pytest.fixture
def first(finished: Path) -> Store:
    return open_store(finished / "features" / "mfcc")


@pytest.fixture
def held(first: Store) -> Content:
    """What the first store holds, to become the second one."""
    return content(first)


def write(held: Content, tmp_path: Path) -> Store:
    return forge(tmp_path / "second" / held.manifest.version, held)


def test_equal_stores_are_said_to_be_byte_identical(
    first: Store, held: Content, tmp_path: Path, run: RegistryCommand
) -> None:
    second = write(held, tmp_path)
    comparison = diff_stores(first, second)
    assert comparison.identical and not comparison.differ
    assert all(shift.shift == 0 and shift.ratio == 1 for shift in diff_stores(first, first).statistics)
    for other in (first, second):
        printed = run("diff", first.path, other.path, "--exit-code")
        assert printed.code == 0 and "every shard is byte-identical" in printed.stdout


def test_clips_added_removed_moved_relabeled_and_with_other_audio_are_told_apart(
    first: Store, held: Content, tmp_path: Path, run: RegistryCommand
) -> None:
    removed, moved, relabeled, heard = held.of("train", "yes")[:4]
    held.clips.remove(removed)
    moved.split = "validation"
    relabeled.row["label"] = relabeled.record["label"] = 1
    heard.row["audio_sha256"] = "0" * 64
    added = dataclasses.replace(
        moved,
        split="test",
        row={**moved.row, "id": "no/new_nohash_0", "label": 3},
        record={**moved.record, "id": "no/new_nohash_0", "label": 3},
    )
    held.clips.append(added)
    second = write(held, tmp_path)
    found = diff_stores(first, second).clips
    assert {kind: [each.name for each in of_kind] for kind, of_kind in found.kinds().items()} == {
        "added": ["no/new_nohash_0"],
        "removed": [removed.id],
        "relabeled": [relabeled.id],
        "moved": [moved.id],
        "audio": [heard.id],
    }
    assert found.same == sum(first.counts.values()) - 4
    assert found.moved[0].before.split == "train" and found.moved[0].after.split == "validation"
    content_of = json.loads(run("diff", first.path, second.path, "--json").stdout)
    zero = {"added": 0, "removed": 0, "relabeled": 0, "moved": 0, "audio": 0}
    assert content_of["by_class"] == [
        {"split": "train", "class": "_unknown_", **zero, "relabeled": 1},
        {"split": "train", "class": "yes", **zero, "removed": 1, "audio": 1},
        {"split": "validation", "class": "yes", **zero, "moved": 1},
        {"split": "test", "class": "no", **zero, "added": 1},
    ]
    printed = run("diff", first.path, second.path)
    assert printed.code == 0
    for text in (f"{moved.id} (train → validation)", f"{relabeled.id} (yes → _unknown_)", removed.id, added.id):
        assert text in printed.stdout
    assert run("diff", first.path, second.path, "--exit-code").code == 1


def test_a_shift_is_in_standard_deviations_of_the_first_store(first: Store, held: Content, tmp_path: Path) -> None:
    for clip in held.of("validation"):
        tensor = np.array(clip.record["mfcc"])
        tensor[:, 7] = tensor[:, 7] * 2 + 5
        clip.record["mfcc"] = tensor
    comparison = diff_stores(first, write(held, tmp_path))
    values = np.stack([np.asarray(record["mfcc"], np.float64)[:, 7] for record in first.records("validation")])
    (moved,) = (each for each in comparison.statistics if abs(each.shift) > 1e-9 or abs(each.ratio - 1) > 1e-9)
    assert (moved.split, moved.coefficient) == ("validation", 7)
    assert np.isclose(moved.shift, (values.mean() + 5) / values.std(), rtol=1e-5)
    assert np.isclose(moved.ratio, 2, rtol=1e-5)
    assert comparison.clips.same == sum(first.counts.values()) and not comparison.parameters


def test_classes_in_another_order_relabel_no_clip(
    first: Store, held: Content, tmp_path: Path, run: RegistryCommand
) -> None:
    classes = ("_silence_", "_unknown_", "no", "yes")
    assert held.manifest.task
    held.manifest = dataclasses.replace(held.manifest, task=dataclasses.replace(held.manifest.task, classes=classes))
    for clip in held.clips:
        clip.row["label"] = clip.record["label"] = {2: 3, 3: 2}.get(clip.record["label"], clip.record["label"])
    second = write(held, tmp_path)
    comparison = diff_stores(first, second)
    assert [(each.name, each.before, each.after) for each in comparison.classes.relabeled] == [
        ("yes", 2, 3),
        ("no", 3, 2),
    ]
    assert not any(comparison.clips.kinds().values()) and not comparison.parameters and comparison.differ
    assert "another label" in run("diff", first.path, second.path).stdout


def test_parameters_that_differ_are_named_by_their_place(
    first: Store, held: Content, tmp_path: Path, run: RegistryCommand
) -> None:
    assert held.manifest.task
    rule = SplitRule(method="speaker", ratio=(2, 1, 1), salt="x")
    task = dataclasses.replace(held.manifest.task, split=rule, seed=5)
    (archive,) = held.manifest.archives
    other = dataclasses.replace(archive, sha256="f" * 64)
    held.manifest = dataclasses.replace(held.manifest, task=task, archives=(other,))
    second = write(held, tmp_path)
    comparison = diff_stores(first, second)
    assert [(each.name, each.before, each.after) for each in comparison.parameters] == [
        ("task.split.method", "official", "speaker"),
        ("task.split.salt", "", "x"),
        ("task.seed", 0, 5),
        ("archives[0].sha256", archive.sha256, "f" * 64),
    ]
    assert comparison.identical and comparison.differ
    printed = run("diff", first.path, second.path)
    assert "Every shard is byte-identical." in printed.stdout and "task.split.method" in printed.stdout


def test_different_views_are_compared_by_their_clips_alone(
    first: Store, held: Content, tmp_path: Path, run: RegistryCommand
) -> None:
    view = Waveform(kind="waveform", sample_rate_hz=16_000)
    for clip in held.clips:
        clip.record = {name: clip.record[name] for name in ("id", "label", "length")}
        clip.record["audio"] = np.full(16_000, clip.record["label"] + 1, np.int16)
    held.manifest = dataclasses.replace(held.manifest, definition=definition(view), version=version(view))
    second = write(held, tmp_path)
    comparison = diff_stores(first, second)
    assert comparison.not_compared == "the views are mfcc and waveform" and comparison.statistics == ()
    assert comparison.clips.same == sum(first.counts.values())
    assert "definition.sample_rate_hz" in {each.name for each in comparison.parameters}
    printed = run("diff", first.path, second.path)
    assert "Statistics: not compared, the views are mfcc and waveform" in printed.stdout
    assert f"Clips: the same {comparison.clips.same}" in printed.stdout


def test_stores_of_clips_are_compared_by_word_and_audio(finished: Path, tmp_path: Path) -> None:
    first = open_store(finished / "clips")
    held = content(first)
    held.clips[0].row["audio_sha256"] = "0" * 64
    comparison = diff_stores(first, forge(tmp_path / "clips", held))
    assert [each.name for each in comparison.clips.audio] == [held.clips[0].id]
    assert comparison.not_compared == "clips have no statistics" and comparison.classes.added == ()


def test_clips_are_not_compared_with_features_and_a_missing_catalog_is_one_line(
    first: Store, finished: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    with pytest.raises(DataError, match="compare two stores of clips or two of features"):
        diff_stores(first, open_store(finished / "clips"))
    without = clip_store(tmp_path / "without")
    Path(without.path, CATALOG_FILE).unlink()
    printed = run("diff", finished / "clips", without.path)
    assert printed.code == 1 and printed.stderr.startswith("error: ") and "catalog.parquet is missing" in printed.stderr


CLIPS = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "e"]),
    st.builds(
        ComparedClip, st.sampled_from(["yes", "no"]), st.sampled_from(["train", "test"]), st.sampled_from(["0", "1"])
    ),
)


@given(CLIPS, CLIPS)
def test_the_changes_lead_from_one_set_of_clips_to_the_other(
    before: dict[str, ComparedClip], after: dict[str, ComparedClip]
) -> None:
    found = clip_changes(before, after)
    made = {name: clip for name, clip in before.items() if name not in {each.name for each in found.removed}}
    for of_kind in (found.added, found.relabeled, found.moved, found.audio):
        made |= {each.name: each.after for each in of_kind}
    assert made == after
    changed = {each.name for of_kind in found.kinds().values() for each in of_kind}
    assert found.same == len(before.keys() | after.keys()) - len(changed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, JSON)
def test_equal_parameters_have_no_change_and_swapped_sides_swap_it(before: Any, after: Any) -> None:
    assert list(json_differences(before, before)) == []
    there = {(key, repr(first), repr(second)) for key, first, second in json_differences(before, after)}
    back = {(key, repr(second), repr(first)) for key, first, second in json_differences(after, before)}
    assert there == back


def test_classes_that_come_and_go_are_named() -> None:
    found = class_changes(("_silence_", "yes", "no"), ("_silence_", "no", "cat"))
    assert (found.added, found.removed) == (("cat",), ("yes",))
    assert [(each.name, each.before, each.after) for each in found.relabeled] == [("no", 2, 1)]

"""The list has every store below a folder, unfinished and damaged ones too; a description is what the files say."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_tools import RegistryCommand
from corpus_tools import store_folder
from hypothesis import given
from hypothesis import strategies as st

from features.statistics import Statistics
from features.views import definition_hash
from readers.store import open_store
from registry.description import describe, overall
from registry.inventory import age, find_stores
from stores.manifest import MANIFEST_FILE, metadata_files


def write_plan(home: Path, plan: dict[str, Any]) -> None:
    """Leave the plan of an interrupted stage in the folder of its unfinished work."""
    work = home / "0123456789abcdef"
    work.mkdir(parents=True)
    (work / "plan.json").write_text(json.dumps(plan))


@pytest.fixture
def mixed(finished: Path, tmp_path: Path) -> Path:
    """A folder with a whole store of each kind, one with a missing and a cut shard, an unfinished and a damaged one."""
    root = tmp_path / "mixed"
    view = store_folder(finished / "features" / "mfcc")
    shutil.copytree(finished / "clips", root / "clips")
    shutil.copytree(view, root / "features" / "mfcc" / view.name)
    damaged = Path(shutil.copytree(view, root / "other" / "cut" / view.name))
    shards = open_store(damaged).shards("train")
    (damaged / shards[0].file).unlink()
    os.truncate(damaged / shards[1].file, 9)
    unfinished = Path(shutil.copytree(view, root / "other" / "unfinished" / view.name))
    write_plan(unfinished / "_work", {"manifest": (view / MANIFEST_FILE).read_text()})
    (unfinished / MANIFEST_FILE).unlink()
    write_plan(root / "started" / "_work", {"shards": 3})
    write_plan(root / "features" / "mfcc" / view.name / "_work", {"shards": 3})
    write_plan(root / "_work" / "selection.parquet", {"clips_manifest_sha256": "0"})
    (root / "unreadable").mkdir()
    (root / "unreadable" / MANIFEST_FILE).write_text('{"format": "other/9"}')
    return root


def test_every_store_below_a_folder_is_listed_with_what_is_wrong_with_it(mixed: Path, finished: Path) -> None:
    entries = {entry.path: entry for entry in find_stores(mixed)}
    original = open_store(finished / "features" / "mfcc")
    assert list(entries) == [
        "clips",
        "features/mfcc",
        "other/cut",
        "other/unfinished",
        "started",
        "unreadable",
    ]
    whole = entries["features/mfcc"]
    assert (whole.kind, whole.name, whole.version, whole.task) == ("mfcc", "mfcc", original.version, "small")
    assert whole.records == original.counts and whole.problem is None
    assert whole.bytes == sum(path.stat().st_size for path in Path(original.path).glob("*.tfrecord-*"))
    assert whole.modified_s == (Path(whole.folder) / MANIFEST_FILE).stat().st_mtime
    clips = entries["clips"]
    assert (clips.kind, clips.task, clips.problem) == ("clips", None, None)
    first, second, _ = original.shards("train")
    assert entries["other/cut"].problem == f"{first.file} is missing, and 1 more files: make the store again"
    assert (entries["other/unfinished"].kind, entries["other/unfinished"].modified_s) == ("mfcc", None)
    assert entries["other/unfinished"].problem == "unfinished: run its stage again to resume"
    assert entries["started"].problem == "unfinished: run its stage again to resume"
    assert "format 'other/9', expected" in str(entries["unreadable"].problem)
    assert second.bytes > 9


def test_a_manifest_cut_at_any_place_is_listed_as_not_valid(mixed: Path) -> None:
    place = mixed / "clips" / MANIFEST_FILE
    text = place.read_bytes()
    for length in range(0, len(text) - 2, 301):
        place.write_bytes(text[:length])
        (entry,) = find_stores(mixed / "clips")
        assert "manifest.json is not a valid manifest" in str(entry.problem)


def test_the_command_lists_paths_that_open_and_ages_of_manifests(mixed: Path, run: RegistryCommand) -> None:
    manifest = next((mixed / "features" / "mfcc").iterdir()) / MANIFEST_FILE
    os.utime(manifest, (manifest.stat().st_atime, manifest.stat().st_mtime - 3 * 3600 - 60))
    printed = run("list", mixed)
    lines = {line.split()[0]: line for line in printed.stdout.splitlines() if line}
    assert printed.code == 0 and "3 h" in lines["features/mfcc"] and lines["features/mfcc"].endswith("yes")
    assert lines["other/cut"].endswith("no")
    assert max(len(line) for line in printed.stdout.splitlines()[:8]) <= 110
    found = json.loads(run("list", mixed, "--json").stdout)
    assert [each["valid"] for each in found] == [True, True, False, False, False, False]
    assert [open_store(each["folder"]).counts for each in found[:2]] == [each["records"] for each in found[:2]]


def test_a_folder_without_stores_and_a_store_itself_can_be_listed(
    finished: Path, tmp_path: Path, run: RegistryCommand
) -> None:
    assert run("list", tmp_path).stdout == f"no store below {tmp_path}\n"
    (entry,) = json.loads(run("list", finished / "clips", "--json").stdout)
    assert entry["path"] == "." and entry["valid"]
    printed = run("list", tmp_path / "absent")
    assert printed.code == 1 and printed.stderr.startswith("error: ") and "is not a folder" in printed.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (172_799, "47 h"), (172_800, "2 d")],
)
def test_an_age_is_in_its_largest_fitting_unit(seconds: float, text: str) -> None:
    assert age(seconds) == text


@given(st.integers(1, 5), st.integers(1, 40))
def test_overall_statistics_are_those_of_all_values_together(coefficients: int, values: int) -> None:
    numbers = np.random.default_rng(values).normal(3.0, 2.0, (values, coefficients))
    each = Statistics(1, values, numbers.mean(axis=0), numbers.std(axis=0), numbers.min(axis=0), numbers.max(axis=0))
    found = overall(each)
    assert np.allclose(
        [found.mean, found.std, found.min, found.max], [numbers.mean(), numbers.std(), numbers.min(), numbers.max()]
    )


def test_a_description_counts_the_records_and_has_the_statistics_of_the_file(
    finished: Path, run: RegistryCommand
) -> None:
    store = open_store(finished / "features" / "mfcc")
    found = json.loads(run("describe", store.path, "--json").stdout)
    for split in store.splits:
        labels = Counter(record["label"] for record in store.records(split))
        assert {name: counts[split] for name, counts in found["classes"].items()} == {
            name: labels[label] for label, name in enumerate(store.classes)
        }
        tensors = np.stack([record["mfcc"] for record in store.records(split)]).astype(np.float64)
        assert np.isclose(found["overall"][split]["mean"], tensors.mean())
        assert np.isclose(found["overall"][split]["std"], tensors.std())
        assert np.allclose(found["statistics"][split]["max"], tensors.max(axis=(0, 1)))
    assert found["records"] == store.counts and found["definition"] == store.manifest.definition
    assert (found["frames"]["frames"], found["frames"]["frame_ms"], found["frames"]["hop_ms"]) == (98, 30, 10)
    assert {field["name"]: field["shape"] for field in found["fields"]} == {
        "id": [],
        "label": [],
        "length": [],
        "mfcc": [98, 40],
    }


def test_the_lineage_leads_through_hashes_of_files_to_the_archive(finished: Path) -> None:
    store, clips = open_store(finished / "features" / "mfcc"), open_store(finished / "clips")
    assert store.view
    steps = {step["step"]: step for step in describe(store).lineage}
    assert list(steps) == ["archive", "clips", "selection", "view", "store"]
    files = {
        "archive": finished / "raw" / "small.tar.gz",
        "clips": finished / "clips" / MANIFEST_FILE,
        "store": Path(store.path) / MANIFEST_FILE,
    }
    for step, file in files.items():
        assert steps[step]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest(), step
    assert steps["selection"]["rules"]["split"]["ratio"] == (2, 1, 1)
    assert steps["view"]["sha256"] == definition_hash(store.view)
    assert [step["sha256"] for step in describe(clips).lineage] == [
        steps["archive"]["sha256"],
        steps["clips"]["sha256"],
    ]
    assert metadata_files(store.manifest)[MANIFEST_FILE] == files["store"].read_text()


def test_a_description_of_clips_counts_words_by_official_split(finished: Path, run: RegistryCommand) -> None:
    clips = open_store(finished / "clips")
    words = describe(clips).classes
    assert sum(sum(counts.values()) for counts in words.values()) == sum(clips.counts.values())
    assert words["yes"] == {"train": 9, "validation": 3, "test": 3}
    assert set(words["_silence_"].values()) == {0, clips.counts["unsplit"] - 4 * 15}
    printed = run("describe", finished / "clips")
    assert printed.code == 0 and "Words by official split" in printed.stdout and "Statistics" not in printed.stdout


def test_the_quality_of_the_spoken_clips_is_that_of_pandas(finished: Path, run: RegistryCommand) -> None:
    for folder in (finished / "features" / "mfcc", finished / "clips"):
        store = open_store(folder)
        rows = store.catalog().to_pandas()
        spoken = rows[rows["word"] != "_silence_"]
        found = json.loads(run("describe", folder, "--json").stdout)["quality"]
        assert found.keys() == set(spoken["split"])
        for split, clips in spoken.groupby("split"):
            of_split = found[str(split)]
            assert of_split["clips"] == len(clips) and of_split["cut_end"] == clips["cut_end"].sum()
            assert of_split["snr_median_db"] == pytest.approx(clips["snr_db"].astype(float).median(), abs=0.006)


def test_a_description_is_readable_at_110_columns(finished: Path, run: RegistryCommand) -> None:
    printed = run("describe", finished / "features" / "mfcc")
    text = printed.stdout.partition("Splits")[2]
    assert printed.code == 0 and max(len(line) for line in text.splitlines()) <= 110
    for part in ("98 × 40", "Classes by split", "Statistics of train, 8 of 40", "Lineage", "SHA-256"):
        assert part in text


def test_a_store_without_its_catalog_is_described_in_one_line_of_error(mixed: Path, run: RegistryCommand) -> None:
    (mixed / "clips" / "catalog.parquet").unlink()
    printed = run("describe", mixed / "clips")
    assert printed.code == 1 and printed.stdout == "" and "catalog.parquet is missing" in printed.stderr

"""Verify looks at a store in parts: they change nothing that it finds, and its memory does not grow with the clips."""

from __future__ import annotations

import dataclasses
import errno
import random
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from corpus_tools import ROOT, environment
from registry_tools import Content, HeldClip, commit, forge
from training_store import ARCHIVES, CLASSES, task_of

from base.errors import DataError
from features.splits import SPLITS
from features.views import Mfcc, definition, version
from readers.store import Store
from registry.verify.addresses import Addresses
from registry.verify.checks import verify
from registry.verify.findings import Report
from registry.verify.ledger import Ledger
from registry.verify.sieve import MARKS_SCHEMA, Sieve
from stores.manifest import CATALOG_FILE, STATISTICS_FILE, Manifest, Shard, shard_file
from stores.tables import write_row_groups
from stores.writing import shard_index

ONE_NUMBER = Mfcc(
    kind="mfcc",
    frame_ms=1000,
    hop_ms=1000,
    floor_db=-80.0,
    mel_bands=1,
    mel_low_hz=20.0,
    mel_high_hz=7600.0,
    mel_scale="slaney",
    coefficients=1,
)
"""The smallest of views."""

SHARDS = 4
_CLIPS_OF_A_SPEAKER = 5
_SECOND = 16_000


def clip(number: int, shards: int) -> HeldClip:
    """A clip by its number: one of the five of a speaker, the first of which is a second of the wind instead."""
    speaker, take = divmod(number, _CLIPS_OF_A_SPEAKER)
    split = SPLITS[max(speaker % 10 - 7, 0)]
    row: dict[str, Any] = {"length": _SECOND, "audio_sha256": f"{number:064x}"}
    if take == 0:
        start = speaker * _SECOND
        row |= {"id": f"_silence_/wind_{start:08d}", "word": "_silence_", "recording": "wind", "start": start}
    else:
        word = ("cat", "yes", "no")[take % 3]
        row |= {"id": f"{word}/{speaker:08x}_nohash_{take}", "word": word, "speaker": f"{speaker:08x}"}
    row["label"] = CLASSES.index(row["word"] if row["word"] in CLASSES else "_unknown_")
    record = {"mfcc": np.full(ONE_NUMBER.shape, number % 7, np.float32)}
    record |= {name: row[name] for name in ("id", "label", "length")}
    return HeldClip(split, shard_index(row["id"], shards), row, record)


def held(clips: int, shards: int = SHARDS) -> Content:
    """A sound store of some number of clips, each split in some number of shards."""
    empty = [
        Shard(shard_file("many", split, number, shards), split, 0, 0, "")
        for split in SPLITS
        for number in range(shards)
    ]
    manifest = Manifest(
        name="many",
        version=version(ONE_NUMBER),
        definition=definition(ONE_NUMBER),
        archives=ARCHIVES,
        clip_parameters={},
        task=task_of(),
        shards=tuple(empty),
        tables={CATALOG_FILE: "", STATISTICS_FILE: ""},
    )
    return Content(manifest, [clip(number, shards) for number in range(clips)])


def written(folder: Path, content: Content) -> Store:
    """Write and open a store, its catalog with a row group for each number of a shard."""
    store = forge(folder / content.manifest.version, content)
    return with_catalog(store, store.catalog())


def with_catalog(store: Store, rows: pa.Table) -> Store:
    """Give a store these rows, in a row group for each number of a shard, and one for those of no shard."""
    numbers, shards = pc.fill_null(rows.column("shard"), -1), len(store.shards("train"))
    groups = [pc.equal(numbers, number) for number in range(shards)]
    groups.append(pc.invert(pc.is_in(numbers, pa.array(range(shards), pa.int32()))))
    folder = Path(store.path)
    write_row_groups(str(folder / CATALOG_FILE), (rows.filter(each) for each in groups), rows.schema)
    return commit(folder, store.manifest)


def look_at_few(monkeypatch: pytest.MonkeyPatch, clips: int) -> None:
    """Let verify look at some clips at a time."""
    for name in ("addresses.RECORDS", "sieve.ENTRIES", "reading.RECORDS", "catalog_rows.ROWS"):
        monkeypatch.setattr(f"registry.verify.{name}_AT_ONCE", clips)


def report_of(store: Store) -> Report:
    return verify(store, lambda _: None)


def faulty(folder: Path) -> Store:
    """A store with the faults that show when clips far from one another are compared."""
    content = held(600)
    clips = content.clips
    clips[11].split = "test"
    clips.append(dataclasses.replace(clips[22], split="validation", shard=(clips[22].shard + 1) % SHARDS))
    clips.append(dataclasses.replace(clips[23]))
    clips[33].row["audio_sha256"] = clips[597].row["audio_sha256"]
    clips[500].row["start"] = clips[45].row["start"] + 15_999
    one, other = (next(each for each in clips if each.shard == shard) for shard in (0, 3))
    one.record["id"], other.record["id"] = other.id, one.id
    store = written(folder, content)
    rows = store.catalog().to_pylist()
    rows[100] |= {"shard": 99}
    rows[200] |= {"split": "unheard"}
    rows[300] |= {"shard": None}
    rows[400]["position"], rows[5]["position"] = rows[5]["position"], rows[400]["position"]
    rows[401]["id"], rows[6]["id"] = rows[6]["id"], rows[401]["id"]
    return with_catalog(store, pa.Table.from_pylist(rows, store.catalog().schema))


def findings(report: Report) -> dict[str, tuple[int, tuple[str, ...], list[str]]]:
    """What each check looked at, its remarks, and its problems in the order of their text."""
    return {
        check.name: (check.looked_at, check.remarks, sorted(f"{each.place}: {each.message}" for each in check.problems))
        for check in report.checks
    }


@pytest.mark.parametrize("clips", [20, 150])
@pytest.mark.parametrize("has_catalog", [True, False])
def test_parts_and_buckets_change_no_finding(
    clips: int, has_catalog: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = faulty(tmp_path)
    if not has_catalog:
        (Path(store.path) / CATALOG_FILE).unlink()
    whole = findings(report_of(store))
    look_at_few(monkeypatch, clips)
    assert len(Addresses(store).parts()) > 600 / clips
    assert findings(report_of(store)) == whole
    leaks = {name for name, (_, _, found) in whole.items() if found} - {"hashes"}
    if has_catalog:
        assert leaks == {"ids", "catalog", "classes", "speakers", "duplicates", "silence"}
    else:
        assert leaks == {"ids", "catalog", "classes", "speakers", "duplicates"}


def test_rows_in_any_order_and_row_groups_of_any_size_are_those_of_their_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = written(tmp_path, held(500))
    shuffled = store.catalog().take(np.random.default_rng(0).permutation(500))
    pq.write_table(shuffled, Path(store.path) / CATALOG_FILE, row_group_size=90)
    look_at_few(monkeypatch, 64)
    report = report_of(commit(Path(store.path), store.manifest))
    assert not report.problems
    assert [report.check(name).looked_at for name in ("ids", "catalog", "classes")] == [1000, 500, 1000]
    assert [report.check(name).looked_at for name in ("speakers", "duplicates", "silence")] == [100, 500, 100]


def test_a_row_whose_position_no_record_can_have_is_named_with_its_shard(tmp_path: Path) -> None:
    store = written(tmp_path, held(100))
    rows = store.catalog().to_pylist()
    for row, position in ((rows[0], -1), (rows[-1], 2**31 - 1)):
        row["position"] = position
    report = report_of(with_catalog(store, pa.Table.from_pylist(rows, store.catalog().schema)))
    assert {(each.place.id, each.message) for each in report.check("catalog").problems if not each.place.record} >= {
        (row["id"], f"no record for 1 of the rows in {store.shards(row['split'])[row['shard']].file}, this one first")
        for row in (rows[0], rows[-1])
    }


def test_a_catalog_without_rows_lacks_every_record(tmp_path: Path) -> None:
    store = written(tmp_path, held(40))
    report = report_of(with_catalog(store, store.catalog().slice(0, 0)))
    assert len(report.check("catalog").problems) == 40 == report.check("ids").looked_at


def test_parts_hold_every_record_once_and_no_more_than_they_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = written(tmp_path, held(500))
    for most in (7, 64, 100, 1000):
        monkeypatch.setattr("registry.verify.addresses.RECORDS_AT_ONCE", most)
        addresses = Addresses(store)
        places = [(shard, place) for shard, each in enumerate(store.manifest.shards) for place in range(each.records)]
        found = addresses.of_records(pa.table(list(zip(*places, strict=True)), ["shard", "position"]))
        of_part = [np.flatnonzero((found >= first) & (found < end)) for first, end in addresses.parts()]
        assert np.concatenate(of_part).tolist() == list(range(500))
        assert max(map(len, of_part)) <= most


@pytest.mark.parametrize(("values", "reach", "places"), [(30, 1, 1), (400, 1, 1), (3, 16, 2000), (40, 16, 40)])
def test_a_sieve_finds_what_a_comparison_of_all_pairs_finds(
    values: int, reach: int, places: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.verify.sieve.ENTRIES_AT_ONCE", 40)
    draw = random.Random(values)
    marks = [
        (f"value{draw.randrange(values)}", draw.randrange(places) - 5, draw.randrange(20) // 17) for _ in range(200)
    ]
    sieve = Sieve(str(tmp_path), len(marks), reach)
    for start in range(0, len(marks), 30):
        sieve.add(pa.table(list(zip(*marks[start : start + 30], strict=True)), MARKS_SCHEMA))
    sifted = sieve.sift()
    names = [f"value{number}" for number in range(values)]
    shared = {
        name
        for (name, at, group), (other, other_at, other_group) in combinations(marks, 2)
        if name == other and group != other_group and abs(at - other_at) < reach
    }
    assert shared and [name for name, found in zip(names, sifted.suspects(pa.array(names)), strict=True) if found] == [
        name for name in names if name in shared
    ]
    assert sifted.values == len({name for name, _, _ in marks})
    assert sifted.of_group == Counter(group for _, at, group in set(marks) if at >= 0)
    assert not list(tmp_path.glob("*/*"))


_MEASURE = """
import sys, tracemalloc
import pyarrow as pa
from base import files
from readers.store import open_store
from registry.verify import addresses, catalog_rows, checks, reading, sieve
addresses.RECORDS_AT_ONCE = catalog_rows.ROWS_AT_ONCE = reading.RECORDS_AT_ONCE = sieve.ENTRIES_AT_ONCE = 500
files._CHUNK_BYTES = reading._CHUNK_BYTES = 1 << 14
few, store = map(open_store, sys.argv[1:])
checks.verify(few, lambda _: None)  # imports what is imported at first use
tracemalloc.start()
assert not checks.verify(store, lambda _: None).problems
print(tracemalloc.get_traced_memory()[1] + pa.default_memory_pool().max_memory())
"""


def test_memory_does_not_grow_with_the_clips(tmp_path: Path) -> None:
    few, many = (written(tmp_path / str(clips), held(clips, clips // 250)) for clips in (2_000, 8_000))
    peaks = []
    for store in (few, many):
        command = [sys.executable, "-c", _MEASURE, few.path, store.path]
        done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 6_000 * 150, "bytes; all that is known of a clip takes ten times as many"


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def append(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Ledger, "append", append)
    with pytest.raises(DataError, match=r"no room left for temporary files in .*: set TMPDIR"):
        report_of(written(tmp_path, held(50)))

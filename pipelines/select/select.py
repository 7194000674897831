"""The stage `select`: from the catalog to a task's table of (id, label, split), without touching audio.

Row groups of the catalog, each read once → candidates and their counts → sample sizes and the ranks that are kept →
one table with a row group for each shard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import apache_beam as beam
import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from base import command, files, params
from base.claim import claimed, work_of_file
from base.errors import DataError
from features import clip_id
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from features.splits import SPLITS
from pipelines.engine import runner
from pipelines.engine.steps import Step
from pipelines.engine.transforms import Commit, ShardMap
from pipelines.engine.work import Work, begin_file, finish, is_committed
from pipelines.select.condition import columns_of, meets
from pipelines.select.config import Select
from pipelines.select.sampling import (
    CATALOG_COLUMNS,
    Candidate,
    Group,
    Hashes,
    candidate,
    is_from_right_archive,
    lowest,
    sample_sizes,
    task_classes,
    threshold,
)
from stores.lineage import Task
from stores.manifest import CATALOG_FILE, read_manifest
from stores.selection import foreign_file, read_task, schema_of
from stores.tables import open_table, read_row_group, read_table, write_row_groups, write_table

_CANDIDATES: Final = pa.schema(
    [
        ("id", pa.string()),
        ("class_name", pa.string()),
        ("split", pa.string()),
        ("ready", pa.bool_()),
        ("rank", pa.uint64()),
    ]
)


@dataclass(frozen=True)
class Counted:
    """Candidates of one kind."""

    split: str
    class_name: str
    ready: bool
    clips: int


@dataclass(frozen=True)
class Found:
    """Report on a row group of the catalog.

    Attributes:
        index: its number.
        words: the words spoken in it, and silence.
        test_archive: whether it has a clip of an official test archive.
        official: whether it has a clip with an official split.
        counts: its candidates.
        left_out: the clips that were none for the condition alone.
    """

    index: int
    words: tuple[str, ...]
    test_archive: bool
    official: bool
    counts: tuple[Counted, ...]
    left_out: tuple[Counted, ...]


class FindCandidates(Step[int, Found]):
    """Number of a row group → its candidates, in a table of their own."""

    name = "find"
    report = Found

    def __init__(self, catalog: str, select: Select) -> None:
        self._catalog, self._select = catalog, select

    def index(self, item: int) -> int:
        return item

    def holds(self, report: Found, work: Work) -> bool:
        return files.is_file(part_path(work, report.index))

    def run(self, item: int, work: Work) -> Found:
        """Read the row group and write its candidates.

        Raises:
            DataError: the catalog is damaged.
        """
        table = read_row_group(self._catalog, item, sorted(columns_needed(self._select)))
        rows, kept = table.to_pylist(), usable(table, self._select.where)
        held_out = test_only(table, self._select.held_out)
        candidates = [candidate(row, self._select, held) for row, held in zip(rows, held_out, strict=True)]
        found = [each for each, keep in zip(candidates, kept, strict=True) if each is not None and keep]
        left_out = [each for each, keep in zip(candidates, kept, strict=True) if each is not None and not keep]
        columns = list(zip(*found, strict=True)) or [()] * len(Candidate._fields)
        write_table(part_path(work, item), pa.table([list(each) for each in columns], schema=_CANDIDATES))
        return Found(
            item,
            tuple(sorted({row["word"] for row in rows})),
            any(row["recording"] is None and clip_id.parse(row["id"]).ready for row in rows),
            any(row["split"] is not None for row in rows),
            counted(found),
            counted(left_out),
        )


def columns_needed(select: Select) -> set[str]:
    """The columns of the catalog that a selection reads."""
    conditions = [each for each in (select.where, select.held_out) if each]
    return {*CATALOG_COLUMNS, *(column for each in conditions for column in columns_of(each))}


def usable(rows: pa.Table, where: str | None) -> list[bool]:
    """Which rows of the catalog meet the condition; silence need not."""
    if where is None:
        return [True] * len(rows)
    silence = pc.equal(rows.column("word"), SILENCE_CLASS)
    kept: list[bool] = pc.or_(silence, meets(where, rows)).to_pylist()
    return kept


def test_only(rows: pa.Table, held_out: str | None) -> list[bool]:
    """Which rows of the catalog are of the test split if their word is unknown."""
    if held_out is None:
        return [False] * len(rows)
    found: list[bool] = meets(held_out, rows).to_pylist()
    return found


def counted(candidates: Iterable[Candidate]) -> tuple[Counted, ...]:
    """Candidates by kind."""
    counts = Counter((each.split, each.class_name, each.ready) for each in candidates)
    return tuple(Counted(*key, clips) for key, clips in sorted(counts.items()))


def part_path(work: Work, index: int) -> str:
    """Path of the candidates of a row group."""
    return work.path(f"candidates-{index:05d}.parquet")


@dataclass(frozen=True)
class MakeSelection:
    """Reports on all row groups → the selection."""

    select: Select
    clips_sha256: str

    def __call__(self, found: list[Found], work: Work) -> None:
        """Decide which ranks are kept and write the chosen rows, one row group of candidates at a time.

        Raises:
            DataError: the task names a word that the corpus lacks, or leaves a split empty.
        """
        corpus_words = frozenset().union(*(each.words for each in found))
        classes = task_classes(self.select.classes, corpus_words)
        words = [name for name in classes if name not in (SILENCE_CLASS, UNKNOWN_CLASS)]
        check_words(self.select, words, corpus_words)
        if self.select.split.method == "official" and not any(each.official for each in found):
            raise DataError("the corpus has no official split: set select.split.method to speaker in params.yaml")
        test_archive = any(each.test_archive for each in found)
        if test_archive and self.select.held_out:
            raise DataError(
                "select.held_out is set, but the unknown words of the test split are those of the official test "
                "archive: set it to null, or leave that archive out of corpus.sources"
            )
        counts = count((each.counts for each in found), test_archive)
        left_out = count((each.left_out for each in found), test_archive)
        sizes = sample_sizes(self.select, counts, words)
        kept = {group: min(size, counts[group]) for group, size in sizes.items()}
        chosen: dict[str, dict[str, int]] = {
            split: {name: kept.get(Group(split, name), counts[split, name]) for name in classes} for split in SPLITS
        }
        check_splits(self.select, chosen)
        task = Task(
            name=self.select.task,
            classes=classes,
            split=self.select.split,
            unknown=self.select.unknown,
            silence=self.select.silence,
            test_silence="official test archive" if test_archive else "background recordings",
            seed=self.select.seed,
            counts=chosen,
            clips_manifest_sha256=self.clips_sha256,
            where=self.select.where,
            held_out=self.select.held_out,
            left_out={split: {name: left_out[split, name] for name in classes} for split in SPLITS}
            if self.select.where
            else {},
        )
        parts = [part_path(work, each.index) for each in found]
        thresholds = rank_thresholds(parts, sizes, test_archive)
        tables = (chosen_rows(read_table(part), classes, thresholds, test_archive) for part in parts)
        write_row_groups(work.staged, tables, schema_of(task))


def count(reports: Iterable[Iterable[Counted]], test_archive: bool) -> Counter[tuple[str, str]]:
    """Candidates of each (split, class), of those that come from the right archive."""
    counts: Counter[tuple[str, str]] = Counter()
    for each in (of_kind for report in reports for of_kind in report):
        if is_from_right_archive(each.class_name, each.split, each.ready, test_archive):
            counts[each.split, each.class_name] += each.clips
    return counts


def check_words(select: Select, words: list[str], corpus_words: frozenset[str]) -> None:
    """Make sure that the corpus has the task's words.

    Raises:
        DataError: it lacks one.
    """
    if absent := sorted(set(words) - corpus_words):
        present = ", ".join(sorted(corpus_words - {SILENCE_CLASS}))
        raise DataError(
            f"task {select.task!r} names {', '.join(absent)}, which the corpus does not have; it has {present}"
        )


def check_splits(select: Select, chosen: Mapping[str, Mapping[str, int]]) -> None:
    """Make sure that each split has a clip.

    Raises:
        DataError: one has none.
    """
    if empty := [split for split, counts in chosen.items() if not sum(counts.values())]:
        raise DataError(
            f"task {select.task!r} leaves {', '.join(empty)} without a clip under split.method {select.split.method} "
            f"and where {select.where or 'null'}: take another task, ratio, salt, condition or corpus"
        )


def rank_thresholds(parts: list[str], sizes: Mapping[Group, int], test_archive: bool) -> dict[Group, int]:
    """The highest rank that each sampled group keeps; only that many ranks of each are in memory.

    Args:
        parts: tables of candidates.
        sizes: how many clips each group keeps.
        test_archive: whether there is an official test archive.
    """
    kept: dict[Group, Hashes] = {group: np.empty(0, np.uint64) for group in sizes}
    for part in parts:
        table = read_table(part, ("class_name", "split", "ready", "rank"))
        for group, size in sizes.items():
            mine = pc.and_(_of_group(table, group), _is_from_right_archive(table, group, test_archive))
            kept[group] = lowest((kept[group], table.filter(mine).column("rank").to_numpy()), size)
    return {group: threshold(ranks, sizes[group]) for group, ranks in kept.items()}


def chosen_rows(
    table: pa.Table, classes: tuple[str, ...], thresholds: Mapping[Group, int], test_archive: bool
) -> pa.Table:
    """The candidates that are kept, as rows of a selection, in their order.

    Args:
        table: candidates.
        classes: class names in order of label.
        thresholds: the highest rank that each sampled group keeps; clips of other classes are all kept.
        test_archive: whether there is an official test archive.
    """
    wanted = pc.invert(pc.is_in(table.column("class_name"), pa.array(sorted({name for _, name in thresholds}))))
    for group, highest in thresholds.items():
        low = pc.less_equal(table.column("rank"), pa.scalar(highest, pa.uint64())) if highest >= 0 else pa.scalar(False)
        right = _is_from_right_archive(table, group, test_archive)
        wanted = pc.or_(wanted, pc.and_(pc.and_(_of_group(table, group), right), low))
    rows = table.filter(wanted)
    labels = pc.index_in(rows.column("class_name"), pa.array(classes)).cast(pa.int32())
    return pa.table({"id": rows.column("id"), "label": labels, "split": rows.column("split")})


def _of_group(table: pa.Table, group: Group) -> pa.ChunkedArray:
    return pc.and_(pc.equal(table.column("split"), group.split), pc.equal(table.column("class_name"), group.class_name))


def _is_from_right_archive(table: pa.Table, group: Group, test_archive: bool) -> pa.ChunkedArray:
    ready = is_from_right_archive(group.class_name, group.split, True, test_archive)
    return pc.equal(table.column("ready"), ready)


def select_clips(clips: str, output: str, config: Select, beam_options: tuple[str, ...]) -> None:
    """Make the selection.

    Args:
        clips: the finished clip store.
        output: the Parquet file to write.
        config: the stage's parameters.
        beam_options: Beam's own options.

    Raises:
        DataError: the clip store is not finished, the task names a word that the corpus lacks, or a split is empty.
    """
    engine = runner.prepare(beam_options, default_workers=1)
    clips, output = engine.place(clips), engine.place(output)
    manifest = read_manifest(clips)
    if manifest.holds_copies:
        raise DataError(f"{clips} holds copies of clips that `augment` made: select from the clips that it read")
    clips_sha256 = manifest.sha256
    catalog = files.join(clips, CATALOG_FILE)
    with open_table(catalog) as file:
        groups = file.num_row_groups
        if absent := columns_needed(config) - set(file.schema_arrow.names):
            raise DataError(
                f"{catalog} has no column {', '.join(sorted(absent))}: run `python -m pipelines.ingest` again"
            )
    with claimed(output, work_of_file(output), lambda: foreign_file(output)):
        parameters = params.to_plain(config)
        work = begin_file(output, {"clips_manifest_sha256": clips_sha256, "parameters": parameters})

        def progress() -> tuple[int, int]:
            return work.reports(FindCandidates.name), groups

        def build(pipeline: beam.Pipeline) -> None:
            _ = (
                pipeline
                | "Row groups" >> beam.Create(range(groups))
                | "Spread over workers" >> beam.Reshuffle()
                | ShardMap(work, FindCandidates(catalog, config))
                | Commit(work, groups, MakeSelection(config, clips_sha256))
            )

        if not is_committed(work):
            engine.run(build, progress, "shard", "select", work)
        finish(work)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("clips")
@click.argument("selection")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
@click.option("--task", help="The task to make, instead of select.task.")
def main(clips: str, selection: str, beam_options: tuple[str, ...], task: str | None) -> None:
    """Choose, label and split the clips of the store CLIPS into the table SELECTION. Further options are Beam's own."""
    config: Select = params.load("select", Select)
    if task is not None:
        config = params.check({**params.to_plain(config), "task": task}, "select", Select)
    select_clips(clips, selection, config, beam_options)
    made = read_task(selection)
    for split, counts in made.counts.items():
        command.say(f"{selection}: {split} {sum(counts.values())} clips in {len(counts)} classes")
        if made.where:
            command.say(f"{selection}: {split} {sum(made.left_out[split].values())} clips left out by select.where")
        for name in (name for name, clips_ in counts.items() if clips_ == 0):
            command.say(f"warning: class {name} has no clip in {split}")

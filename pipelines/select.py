"""The stage `select`: from the catalogue to a task's table of (id, label, split), without touching audio.

Row groups → facts → counts → sample sizes → rank thresholds → chosen rows → one table with a row group per shard.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import apache_beam as beam
import click
import numpy as np
import pyarrow as pa

import command
import params
from features.errors import DataError
from features.manifest import CATALOG_FILE
from params import Select
from pipelines import files, runner
from pipelines.layouts import SILENCE, UNKNOWN
from pipelines.sampling import (
    CATALOG_COLUMNS,
    Candidate,
    Group,
    Hashes,
    Sources,
    candidate,
    count_classes,
    is_kept,
    lowest,
    sample_sizes,
    task_classes,
    threshold,
)
from pipelines.splits import SPLITS

SELECTION_KEY: Final = b"selection"
SELECTION_SCHEMA: Final = pa.schema([("id", pa.string()), ("label", pa.int32()), ("split", pa.string())])

Counts = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Facts:
    """What a catalogue holds, as far as a task must know.

    Attributes:
        words: the words spoken, and silence.
        test_archive: whether the official test archive is there.
        damage: why a part of it can't be read, or None.
    """

    words: frozenset[str]
    test_archive: bool
    damage: str | None = None


def facts_of(rows: list[dict[str, Any]]) -> Facts:
    """The facts of some rows of the catalogue."""
    brought = (f"{SILENCE}/", f"{UNKNOWN}/")
    return Facts(
        frozenset(row["word"] for row in rows),
        any(row["recording"] is None and row["id"].startswith(brought) for row in rows),
    )


def merge_facts(parts: Iterable[Facts]) -> Facts:
    """The facts of several parts of a catalogue together."""
    parts = list(parts)
    return Facts(
        frozenset().union(*(part.words for part in parts)),
        any(part.test_archive for part in parts),
        min((part.damage for part in parts if part.damage), default=None),
    )


def merge_counts(parts: Iterable[Counts]) -> Counts:
    """Counts of several parts together."""
    return sum(parts, Counter())


def classes_of(select: Select, facts: Facts) -> tuple[str, ...]:
    """The class names of the selected task on a corpus."""
    return task_classes(select.tasks[select.task], facts.words)


def words_of(select: Select, facts: Facts) -> tuple[str, ...]:
    """The words among a task's classes."""
    return tuple(name for name in classes_of(select, facts) if name not in (SILENCE, UNKNOWN))


class Rows(beam.DoFn):
    """Base of the steps that read one row group of the catalogue: index → `results(index, candidates, …)`."""

    def __init__(self, catalog: str, select: Select) -> None:
        self._catalog, self._select = catalog, select

    def read(self, index: int) -> list[dict[str, Any]]:
        """The rows of a row group, only the columns that selection needs."""
        with files.open_table(self._catalog) as file:
            table = file.read_row_group(index, columns=list(CATALOG_COLUMNS))
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    def candidates(self, index: int, facts: Facts) -> Iterator[Candidate]:
        """The clips of a row group that the task can use; none where the catalogue is damaged."""
        if facts.damage:
            return
        sources = Sources(frozenset(words_of(self._select, facts)), facts.test_archive)
        for row in self.read(index):
            found = candidate(row, self._select, sources)
            if found:
                yield found


class FindFacts(Rows):
    """Row group → its facts, damage among them."""

    def process(self, index: int) -> Iterator[Facts]:
        try:
            yield facts_of(self.read(index))
        except DataError as error:
            yield Facts(frozenset(), False, str(error))


class CountCandidates(Rows):
    """Row group → the number of candidates of each split and class."""

    def process(self, index: int, facts: Facts) -> Iterator[Counts]:
        yield count_classes(self.candidates(index, facts))


class RankCandidates(Rows):
    """Row group → for each sampled group its size and the row group's lowest ranks."""

    def process(self, index: int, facts: Facts, counts: Counts) -> Iterator[tuple[Group, tuple[int, Hashes]]]:
        sizes = sample_sizes(self._select, counts, words_of(self._select, facts))
        ranks: dict[Group, list[int]] = {group: [] for group in sizes}
        for each in self.candidates(index, facts):
            if Group(each.split, each.class_name) in ranks:
                ranks[Group(each.split, each.class_name)].append(each.rank)
        for group, size in sizes.items():
            yield group, (size, lowest([np.asarray(ranks[group], np.uint64)], size))


class LowestRanks(beam.CombineFn):
    """(size, ranks) of many row groups → (size, the `size` lowest ranks of all)."""

    def create_accumulator(self) -> tuple[int, Hashes]:
        return 0, np.empty(0, np.uint64)

    def add_input(self, accumulator: tuple[int, Hashes], element: tuple[int, Hashes]) -> tuple[int, Hashes]:
        return self.merge_accumulators((accumulator, element))

    def merge_accumulators(self, accumulators: Iterable[tuple[int, Hashes]]) -> tuple[int, Hashes]:
        accumulators = list(accumulators)
        size = max(size for size, _ in accumulators)
        return size, lowest((hashes for _, hashes in accumulators), size)

    def extract_output(self, accumulator: tuple[int, Hashes]) -> tuple[int, Hashes]:
        return accumulator


class WriteChosen(Rows):
    """Row group → its part of the selection, and the number of chosen clips of each split and class."""

    def __init__(self, catalog: str, select: Select, work: str) -> None:
        super().__init__(catalog, select)
        self._work = work

    def process(self, index: int, facts: Facts, thresholds: dict[Group, int]) -> Iterator[Counts]:
        labels = {name: label for label, name in enumerate(classes_of(self._select, facts))}
        chosen = [each for each in self.candidates(index, facts) if is_kept(each, thresholds)]
        rows = [{"id": each.id, "label": labels[each.class_name], "split": each.split} for each in chosen]
        files.write_table(part_path(self._work, index), pa.Table.from_pylist(rows, SELECTION_SCHEMA))
        yield count_classes(chosen)


class Publish(beam.DoFn):
    """All parts → the selection, or the record of why there is none."""

    def __init__(self, output: str, work: str, groups: int, select: Select, clips_sha256: str) -> None:
        self._output, self._work, self._groups = output, work, groups
        self._select, self._clips_sha256 = select, clips_sha256

    def process(self, _: None, facts: Facts, chosen: Counts) -> None:
        problem = problem_of(self._select, facts, chosen)
        if problem:
            files.fail(self._work, problem)
            return
        metadata = {SELECTION_KEY: json.dumps(describe(self._select, facts, chosen, self._clips_sha256))}
        parts = [part_path(self._work, index) for index in range(self._groups)]
        files.concatenate_tables(self._output, parts, SELECTION_SCHEMA.with_metadata(metadata))


def part_path(work: str, index: int) -> str:
    """Path of a row group's part of the selection."""
    return files.join(work, f"part-{index:05d}.parquet")


def problem_of(select: Select, facts: Facts, chosen: Counts) -> str | None:
    """Why a selection can't be used, or None: a damaged catalogue, a word that the corpus lacks, or an empty split."""
    if facts.damage:
        return facts.damage
    absent = sorted(set(words_of(select, facts)) - facts.words)
    if absent:
        present = ", ".join(sorted(facts.words - {SILENCE}))
        return f"task {select.task!r} names {', '.join(absent)}, which the corpus does not have; it has {present}"
    empty = [split for split in SPLITS if not any(name == split for name, _ in chosen)]
    if empty:
        return (
            f"task {select.task!r} leaves {', '.join(empty)} without a clip under split.method {select.split.method}: "
            "take another task, ratio or corpus"
        )
    return None


def describe(select: Select, facts: Facts, chosen: Counts, clips_sha256: str) -> dict[str, Any]:
    """The account of a selection that travels with it: classes, rules, counts and the store that it was made from."""
    classes = classes_of(select, facts)
    return {
        "task": select.task,
        "classes": classes,
        "split": asdict(select.split),
        "unknown": select.unknown,
        "silence": select.silence,
        "test_silence": _test_silence(facts),
        "seed": select.seed,
        "counts": {split: {name: chosen.get((split, name), 0) for name in classes} for split in SPLITS},
        "clips_manifest_sha256": clips_sha256,
    }


def _test_silence(facts: Facts) -> str:
    return "official test archive" if facts.test_archive else "background recordings"


def read_description(selection: str) -> dict[str, Any]:
    """The account that `describe` gave of a selection.

    Raises:
        DataError: there is no such file, or it is no selection.
    """
    if not files.exists(selection):
        raise DataError(f"{selection} is missing: run `python -m pipelines.select` first")
    with files.open_table(selection) as file:
        metadata = file.schema_arrow.metadata or {}
    if SELECTION_KEY not in metadata:
        raise DataError(f"{selection} is not a selection: run `python -m pipelines.select` again")
    description: dict[str, Any] = json.loads(metadata[SELECTION_KEY])
    return description


def select_clips(clips: str, output: str, select: Select, beam_options: tuple[str, ...]) -> None:
    """Make the selection.

    Args:
        clips: the finished clip store.
        output: the Parquet file to write.
        select: the stage's parameters.
        beam_options: Beam's own options.

    Raises:
        DataError: the clip store is not finished, the task names a word that the corpus lacks, or a split is empty.
    """
    runner.check_options(beam_options)
    clips_sha256 = files.manifest_sha256(clips)
    catalog = files.join(clips, CATALOG_FILE)
    with files.open_table(catalog) as file:
        groups = file.num_row_groups
    if files.is_folder(output):
        raise DataError(f"{output} is a folder, expected the name of the file to write")
    work = f"{output}.parts"
    files.remove([work, output])

    def progress() -> tuple[int, int]:
        return len(files.file_names(work, "part-*.parquet")), groups

    def build(pipeline: beam.Pipeline) -> None:
        indices = pipeline | beam.Create(range(groups)) | beam.Reshuffle()
        facts = beam.pvalue.AsSingleton(
            indices | "Facts" >> beam.ParDo(FindFacts(catalog, select)) | beam.CombineGlobally(merge_facts)
        )
        counts = beam.pvalue.AsSingleton(
            indices
            | "Count" >> beam.ParDo(CountCandidates(catalog, select), facts)
            | "Sum" >> beam.CombineGlobally(merge_counts)
        )
        thresholds = beam.pvalue.AsDict(
            indices
            | "Rank" >> beam.ParDo(RankCandidates(catalog, select), facts, counts)
            | beam.CombinePerKey(LowestRanks())  # type: ignore[no-untyped-call]
            | beam.MapTuple(lambda group, kept: (group, threshold(kept[1], kept[0])))
        )
        chosen = beam.pvalue.AsSingleton(
            indices
            | "Write" >> beam.ParDo(WriteChosen(catalog, select, work), facts, thresholds)
            | "Sum chosen" >> beam.CombineGlobally(merge_counts)
        )
        publish = Publish(output, work, groups, select, clips_sha256)
        _ = pipeline | "Once" >> beam.Create([None]) | "Publish" >> beam.ParDo(publish, facts, chosen)

    runner.run(beam_options, build, progress, "shard", "select", default_workers=1)
    files.finish(output, work)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("clips")
@click.argument("selection")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
def main(clips: str, selection: str, beam_options: tuple[str, ...]) -> None:
    """Choose, label and split the clips of the store CLIPS into the table SELECTION. Further options are Beam's own."""
    select = params.load().select
    select_clips(clips, selection, select, beam_options)
    description = read_description(selection)
    for split, counts in description["counts"].items():
        command.say(f"{selection}: {split} {sum(counts.values())} clips in {len(counts)} classes")
        for name in (name for name, count in counts.items() if count == 0):
            command.say(f"warning: class {name} has no clip in {split}")


if __name__ == "__main__":
    from pipelines.select import main as importable_main  # workers import transforms by this module's real name

    command.run(importable_main)

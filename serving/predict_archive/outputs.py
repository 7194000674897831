"""Puts the tables of all shards together: labels and rejects as CSV, probabilities as Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from base import files
from base.errors import DataError
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from pipelines.engine.work import Work
from serving.predict_archive.classify import REPEATED, Classified, part_path
from stores.tables import read_table

ENDING: Final = ".csv"
HEADER: Final = ("fname", "label")
REJECTS_HEADER: Final = ("fname", "reason", "detail")


@dataclass(frozen=True)
class Labels:
    """What a clip's label is.

    Attributes:
        classes: class names in order of the probabilities.
        unreadable: the label of clips that can't be read.
        plain: whether `_silence_` and `_unknown_` are written without their underscores.
    """

    classes: tuple[str, ...]
    unreadable: str
    plain: bool

    @property
    def shown(self) -> tuple[str, ...]:
        """The label of each class."""
        return tuple(self._shown(name) for name in self.classes)

    @property
    def shown_unreadable(self) -> str:
        """The label of clips that can't be read, as it is written."""
        return self._shown(self.unreadable)

    def _shown(self, name: str) -> str:
        return name.strip("_") if self.plain and name in (SILENCE_CLASS, UNKNOWN_CLASS) else name


def probabilities_path(out: str) -> str:
    """Where the Parquet file of a CSV file is."""
    return f"{out.removesuffix(ENDING)}.parquet"


def rejects_path(out: str) -> str:
    """Where the file of what could not be read is."""
    return f"{out.removesuffix(ENDING)}.rejects{ENDING}"


@dataclass(frozen=True)
class MakeOutputs:
    """Reports on all shards → the three files.

    Attributes:
        labels: of the clips.
        metadata: what the Parquet file says of itself, besides the classes.
    """

    labels: Labels
    metadata: dict[str, str]

    def __call__(self, reports: list[Classified], work: Work) -> None:
        """Write rejects and probabilities in their places, and the CSV file where the work is put in place from.

        Raises:
            DataError: no clip can be read.
        """
        table = pa.concat_tables([read_table(part_path(work, report.index)) for report in reports]).sort_by("path")
        names = below_shared_folder(table["path"].to_pylist())
        table = table.append_column("fname", pa.array(names, pa.string()))
        rejects = table.filter(pc.is_valid(table["reason"])).select(REJECTS_HEADER)
        if rejects.num_rows == table.num_rows:
            first = rejects.slice(0, 1).to_pylist()[0]
            raise DataError(
                f"none of {table.num_rows} clips can be read; the first is {first['fname']}: {first['reason']} "
                f"({first['detail']})"
            )
        kept = table.filter(pc.not_equal(pc.fill_null(table["reason"], ""), REPEATED))
        labeled = self._labeled(kept)
        _write_csv(rejects_path(work.output), rejects)
        with files.published(probabilities_path(work.output), concurrent=True) as file:
            pq.write_table(labeled, file, write_page_checksum=True)
        _write_csv(work.staged, labeled.select(HEADER))

    def _labeled(self, clips: pa.Table) -> pa.Table:
        """fname, label, probabilities and seconds of each clip."""
        shown, unreadable = self.labels.shown, self.labels.shown_unreadable
        most_probable = (None if each is None else int(np.argmax(each)) for each in clips["probabilities"].to_pylist())
        labels = [unreadable if place is None else shown[place] for place in most_probable]
        metadata = {**self.metadata, "classes": json.dumps(self.labels.classes)}
        return pa.table(
            {
                "fname": clips["fname"],
                "label": pa.array(labels, pa.string()),
                "probabilities": clips["probabilities"],
                "seconds": clips["seconds"],
            },
            metadata=metadata,
        )


def below_shared_folder(paths: Sequence[str]) -> list[str]:
    """Paths without the folders that all of them begin with.

    Args:
        paths: with forward slashes.
    """
    folders = [tuple(path.split("/")[:-1]) for path in paths]
    first, last = min(folders), max(folders)
    depth = next((place for place, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), len(first))
    return [path.split("/", depth)[-1] for path in paths]


def count_rejects(out: str) -> int:
    """How many rows the file of what could not be read has."""
    text = io.StringIO(files.read_text(rejects_path(out)), newline="")
    return sum(1 for _ in csv.reader(text)) - 1


def _write_csv(path: str, table: pa.Table) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(_rows(table))
    files.write_text(path, text.getvalue(), concurrent=True)


def _rows(table: pa.Table) -> Iterable[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)

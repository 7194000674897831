"""The clips of a store as every format needs them: names, label, real length and tensor, one shard at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from base.errors import DataError
from readers.store import Store
from registry.export.plan import NumberedShard

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ExportedClip:
    """A clip as every format needs it.

    Attributes:
        id: the clip's id.
        word: the word spoken.
        speaker: the speaker's id, empty for silence.
        label: index into the class names, or None where the store has no classes.
        class_name: the class, or None.
        length: real samples before padding.
        tensor: the features or samples.
    """

    id: str
    word: str
    speaker: str
    label: int | None
    class_name: str | None
    length: int
    tensor: np.ndarray[Any, Any]

    @property
    def folder(self) -> str:
        """Name of the folder for formats with one file a clip: the class, or the word where there are no classes."""
        return self.word if self.class_name is None else self.class_name

    @property
    def file(self) -> str:
        """Name of the clip's file without its ending: that of its id, after the word where the folder is another."""
        word, _, name = self.id.rpartition("/")
        return name if word == self.folder else f"{word}_{name}"


class ClipReader:
    """Reads the clips of a store; the words and speakers of a view come from its catalog."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, part: NumberedShard) -> Iterator[ExportedClip]:
        """The clips of a shard in its order.

        Raises:
            DataError: the shard is damaged, or the catalog does not know a clip.
        """
        names = None if self._store.view is None else self._names(part)
        one_shard = dataclasses.replace(self._store.manifest, shards=(part.shard,))
        records = Store(self._store.path, one_shard).records(part.shard.split)
        count = 0
        for record in records:
            count += 1
            yield self._clip(record, names)
        if count != part.shard.records:
            place = f"{self._store.path}/{part.shard.file}"
            raise DataError(f"{place} has {count} records, expected {part.shard.records}: make the store again")

    def longest_id(self) -> int:
        """Characters of the longest id of the store."""
        import pyarrow.compute as pc

        return int(pc.max(pc.utf8_length(self._table["id"])).as_py() or 1)

    @cached_property
    def _table(self) -> pa.Table:
        view_columns = () if self._store.view is None else ("word", "speaker", "split", "shard")
        return self._store.catalog(("id", *view_columns))

    def _names(self, part: NumberedShard) -> dict[str, tuple[str, str]]:
        """(word, speaker) of each clip of a shard, by id."""
        import pyarrow.compute as pc

        table = self._table
        here = pc.and_(pc.equal(table["split"], part.shard.split), pc.equal(table["shard"], part.number))
        columns = table.filter(here).to_pydict()
        pairs = zip(columns["word"], columns["speaker"], strict=True)
        return {name: (word, speaker or "") for name, (word, speaker) in zip(columns["id"], pairs, strict=True)}

    def _clip(self, record: dict[str, Any], names: dict[str, tuple[str, str]] | None) -> ExportedClip:
        try:
            word, speaker = (record["word"], record["speaker"]) if names is None else names[record["id"]]
        except KeyError as error:
            raise DataError(f"{self._store.path}: the catalog has no row of {error}: make the store again") from error
        label = record.get("label")
        class_name = None if label is None else self._store.classes[label]
        return ExportedClip(
            record["id"], word, speaker, label, class_name, record["length"], record[self._store.tensor]
        )

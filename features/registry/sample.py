"""Finds clips of a word or class through the catalogue and draws some of them by a hash of their ids."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from features import store as stores
from features.errors import DataError
from features.pictures import Sound, clip_picture, style
from features.store import Store
from features.views import View, Waveform

if TYPE_CHECKING:
    import pyarrow as pa

CLIPS_FOLDER: Final = "clips"


@dataclass(frozen=True)
class Place:
    """Where the catalogue says that a clip's record is, and what it says of the clip.

    Attributes:
        id: the clip's id.
        word: the word spoken.
        class_name: its class, empty in a store of clips.
        split: the split that holds it.
        shard: number of the shard among those of the split.
        position: place of the record in its shard.
    """

    id: str
    word: str
    class_name: str
    split: str
    shard: int
    position: int


@dataclass(frozen=True)
class Sample:
    """A clip that was drawn.

    Attributes:
        place: where it was found.
        length_ms: real length in milliseconds.
        sound: its audio, or None where there is none.
        picture: PNG of its waveform and its view.
    """

    place: Place
    length_ms: float
    sound: Sound | None
    picture: bytes


def find(store: Store, word: str, split: str | None) -> list[Place]:
    """The clips whose word or class has this name.

    Args:
        store: features or clips.
        word: a word, or the name of a class such as _unknown_.
        split: the split to look in, or None for all.

    Raises:
        DataError: the store has no such split, or no clip of that name in it.
    """
    if split is not None:
        store.shards(split)
    places = [each for each in _places(store) if split in (None, each.split)]
    found = [each for each in places if word in (each.word, each.class_name)]
    if not found:
        names = sorted({each.word for each in places} | {each.class_name for each in places} - {""})
        inside = f" in {split}" if split else ""
        raise DataError(f"{store.path} has no clip of {word!r}{inside}; it has {', '.join(names)}")
    return found


def draw(places: list[Place], count: int, seed: int) -> list[Place]:
    """Some of the clips, lowest hash of seed and id first: more clips or another count change no clip's rank."""
    return sorted(places, key=lambda place: _rank(place.id, seed))[:count]


def load(store: Store, clips: Store | None, place: Place) -> Sample:
    """Read a clip's record, and its audio, and draw it.

    Args:
        store: where it was found.
        clips: the store of clips, for audio that `store` does not hold; or None.
        place: the clip.

    Raises:
        DataError: a record is not where the catalogue says, or `clips` lacks the clip.
    """
    record = _record(store, place)
    length_ms = 1000 * record["length"] / store.rate_hz
    sound = _sound(store, record)
    if sound is None and clips:
        sound = _sound(clips, _record(clips, _place_of(clips, place.id)))
    title = f"{place.id}\n{_class_text(place)}{place.split}, {length_ms:,.0f} ms"
    view: View | None = None if isinstance(store.view, Waveform) else store.view
    with style():
        picture = clip_picture(title, sound, view, record.get(store.tensor))
    return Sample(place, length_ms, sound, picture)


def clips_beside(store: Store) -> Store | None:
    """The store of clips in a folder `clips` beside a store or above it, or None."""
    folder = os.path.abspath(store.path)
    while folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        if os.path.isdir(os.path.join(folder, CLIPS_FOLDER)):
            try:
                found = stores.open(os.path.join(folder, CLIPS_FOLDER))
            except DataError:
                continue
            if found.view is None:
                return found
    return None


def _places(store: Store) -> list[Place]:
    if store.view is None:
        rows = _rows(store.catalog(("id", "word", "shard", "position")))
        return [Place(class_name="", split=store.splits[0], **row) for row in rows]
    rows = _rows(store.catalog(("id", "word", "label", "split", "shard", "position")))
    return [Place(class_name=store.classes[row.pop("label")], **row) for row in rows]


def _place_of(clips: Store, clip_id: str) -> Place:
    """Where a store of clips holds a clip."""
    import pyarrow.compute as pc

    catalog = clips.catalog(("id", "word", "shard", "position"))
    rows = _rows(catalog.filter(pc.equal(catalog["id"], clip_id)))
    if not rows:
        raise DataError(f"{clips.path} has no clip {clip_id}: name the store that the features were made from")
    return Place(class_name="", split=clips.splits[0], **rows[0])


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _record(store: Store, place: Place) -> dict[str, Any]:
    record: dict[str, Any] = store.record_at(place.split, place.shard, place.position)
    if record["id"] != place.id:
        raise DataError(f"{store.path}: the catalogue says {place.id} where {record['id']} is: make the store again")
    return record


def _sound(store: Store, record: dict[str, Any]) -> Sound | None:
    """The audio of a record, or None where it holds other features."""
    if store.tensor != "audio":
        return None
    return Sound(np.asarray(record["audio"], np.int16), store.rate_hz, record["length"])


def _class_text(place: Place) -> str:
    return f"class {place.class_name}, " if place.class_name else ""


def _rank(clip_id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{clip_id}".encode(), digest_size=8).digest()

"""Finds clips of a word or class through the catalog and draws some of them by a hash of their ids."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from base import files
from base.errors import DataError
from readers.belonging import check_belonging
from readers.store import Store, open_store
from reports.pictures import Relative, Sound, clip_picture, family_picture, style
from stores.manifest import VERSION

if TYPE_CHECKING:
    import pyarrow as pa

CLIPS_FOLDER: Final = "clips"
AUGMENTED_FOLDER: Final = "augmented"
_CATALOG_COLUMNS: Final = ("id", "word", "shard", "position", "parent", "augmentation")
_LEVELS_TO_DATA: Final = 3
"""Folders from DATA/features/VIEW/VERSION up to DATA, where the clips are."""


@dataclass(frozen=True)
class FoundClip:
    """What the catalog says of a clip, and where it says that its record is.

    Attributes:
        id: the clip's id.
        word: the word spoken.
        class_name: its class, empty in a store of clips.
        split: the split that holds it.
        shard: number of the shard among those of the split.
        position: place of the record in its shard.
        parent: id of the clip that it is a copy of, or None.
        augmentation: how it was made of that clip, as JSON, or None.
    """

    id: str
    word: str
    class_name: str
    split: str
    shard: int
    position: int
    parent: str | None = None
    augmentation: str | None = None


@dataclass(frozen=True)
class DrawnClip:
    """A clip that was drawn, with its picture and its audio.

    Attributes:
        found: what the catalog says of it.
        length_ms: real length in milliseconds.
        sound: its audio, or None where there is none.
        picture: PNG of its waveform and its view, and of its relatives where they were drawn with it.
    """

    found: FoundClip
    length_ms: float
    sound: Sound | None
    picture: bytes


def find(store: Store, word: str, split: str | None) -> list[FoundClip]:
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
    clips = [each for each in _all_clips(store) if split in (None, each.split)]
    found = [each for each in clips if word in (each.word, each.class_name)]
    if not found:
        names = sorted({each.word for each in clips} | {each.class_name for each in clips} - {""})
        inside = f" in {split}" if split else ""
        raise DataError(f"{store.path} has no clip of {word!r}{inside}; it has {', '.join(names)}")
    return found


def draw(clips: list[FoundClip], count: int, seed: int) -> list[FoundClip]:
    """Some of the clips, lowest hash of seed and id first; a clip's rank depends on nothing but its id and the seed."""
    return sorted(clips, key=lambda clip: _rank(clip.id, seed))[:count]


def load(store: Store, clips: Store | None, found: FoundClip) -> DrawnClip:
    """Read a clip's record, and its audio, and draw it.

    Args:
        store: where it was found.
        clips: the store of clips, for audio that `store` does not hold; or None.
        found: the clip.

    Raises:
        DataError: a record is not where the catalog says, or `clips` lacks the clip.
    """
    record, sound = _record_and_sound(store, clips, found)
    length_ms = _length_ms(store, record)
    view = None if store.tensor == "audio" else store.view
    with style():
        picture = clip_picture(f"{_title(found)}, {length_ms:,.0f} ms", sound, view, record.get(store.tensor))
    return DrawnClip(found, length_ms, sound, picture)


def families(store: Store, clips: list[FoundClip]) -> dict[FoundClip, list[FoundClip]]:
    """Those of some clips that have copies, each with its copies in the order of the store.

    Raises:
        DataError: none of them has a copy.
    """
    wanted, copies = {clip.id for clip in clips}, dict[str | None, list[FoundClip]]()
    for clip in _all_clips(store):
        if clip.parent in wanted:
            copies.setdefault(clip.parent, []).append(clip)
    if not copies:
        raise DataError(f"{store.path} has no copies of such clips: leave --copies out, or name a store that has some")
    return {clip: copies[clip.id] for clip in clips if clip.id in copies}


def load_family(store: Store, clips: Store | None, family: list[FoundClip]) -> list[DrawnClip]:
    """Read a clip and its copies and draw them side by side, in one picture for all.

    Args:
        store: where they were found.
        clips: the store of clips, for audio that `store` does not hold; or None.
        family: the clip, then its copies.

    Raises:
        DataError: a record is not where the catalog says, or `clips` lacks a clip.
    """
    read = [_record_and_sound(store, clips, each) for each in family]
    lengths_ms = [_length_ms(store, record) for record, _ in read]
    view = None if store.tensor == "audio" else store.view
    relatives = [
        Relative(f"{_how_made(each)}, {length_ms:,.0f} ms", sound, record.get(store.tensor))
        for each, length_ms, (record, sound) in zip(family, lengths_ms, read, strict=True)
    ]
    with style():
        picture = family_picture(_title(family[0]), relatives, view)
    drawn = zip(family, lengths_ms, read, strict=True)
    return [DrawnClip(each, length_ms, sound, picture) for each, length_ms, (_, sound) in drawn]


def _title(found: FoundClip) -> str:
    of_class = f"class {found.class_name}, " if found.class_name else ""
    return f"{found.id}\n{of_class}{found.split}"


def _how_made(found: FoundClip) -> str:
    """A clip's kind of augmentation and what was drawn for it, for people."""
    if found.augmentation is None:
        return "original"
    made = json.loads(found.augmentation)
    kind = made.pop("kind")
    return f"{kind}: " + ", ".join(f"{name} {value}" for name, value in made.items())


def _length_ms(store: Store, record: dict[str, Any]) -> float:
    return float(1000 * record["length"] / store.rate_hz)


def _record_and_sound(store: Store, clips: Store | None, found: FoundClip) -> tuple[dict[str, Any], Sound | None]:
    record = _record(store, found)
    sound = _sound(store, record)
    if sound is None and clips:
        sound = _sound(clips, _record(clips, _find_id(clips, found.id)))
    return record, sound


def find_clips(features: Store) -> Store | None:
    """Find the store of clips that features were made from, or None.

    It is `clips` or `augmented/RECIPE/clips` in the data folder. The search goes up from the store's folder, at most as
    far as the data folder is in this project's layout.
    """
    folder = features.path if files.is_remote(features.path) else os.path.abspath(features.path)
    for _ in range(_LEVELS_TO_DATA - (VERSION.fullmatch(posixpath.basename(folder)) is None)):
        folder = posixpath.dirname(folder)
        augmented = files.join(folder, AUGMENTED_FOLDER)
        for each in (folder, *(files.join(augmented, name) for name in files.names(augmented))):
            try:
                clips = open_store(files.join(each, CLIPS_FOLDER))
                check_belonging(clips, features)
            except DataError:
                continue
            return clips
    return None


def _all_clips(store: Store) -> list[FoundClip]:
    if store.view is None:
        rows = _rows(store.catalog(_CATALOG_COLUMNS))
        return [FoundClip(class_name="", split=store.splits[0], **row) for row in rows]
    rows = _rows(store.catalog((*_CATALOG_COLUMNS, "label", "split")))
    return [FoundClip(class_name=store.classes[row.pop("label")], **row) for row in rows]


def _find_id(clips: Store, clip_id: str) -> FoundClip:
    """Where a store of clips holds a clip."""
    import pyarrow.compute as pc

    catalog = clips.catalog(("id", "word", "shard", "position"))
    rows = _rows(catalog.filter(pc.equal(catalog["id"], clip_id)))
    if not rows:
        raise DataError(f"{clips.path} has no clip {clip_id}: name the store that the features were made from")
    return FoundClip(class_name="", split=clips.splits[0], **rows[0])


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _record(store: Store, found: FoundClip) -> dict[str, Any]:
    record: dict[str, Any] = store.record_at(found.split, found.shard, found.position)
    if record["id"] != found.id:
        raise DataError(f"{store.path}: the catalog says {found.id} where {record['id']} is: make the store again")
    return record


def _sound(store: Store, record: dict[str, Any]) -> Sound | None:
    """The audio of a record, or None where it holds other features."""
    if store.tensor != "audio":
        return None
    return Sound(np.asarray(record["audio"], np.int16), store.rate_hz, record["length"])


def _rank(clip_id: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}/{clip_id}".encode(), digest_size=8).digest()

"""What a store's splits look like in a few numbers, from its catalog and statistics, without reading a shard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from base.errors import DataError
from features.audio import loudness_dbfs
from features.labels import SILENCE_CLASS
from features.statistics import Statistics
from features.views import CLIP_SAMPLES, definition_hash
from readers.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS: Final = ("word", "label", "split", "length", "rms", "clipped", "parent")
_DECIMALS_DB: Final = 1

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SplitProfile:
    """One split of a store; spoken clips are all but those of background noise, which are quiet and full by design.

    Copies that augmentation made differ by design: they count in the coefficients alone.

    Attributes:
        clips: clips of the split.
        classes: class name → clips, for every class of the store.
        spoken: clips of spoken words.
        padded: spoken clips shorter than 16000 samples at 16 kHz.
        clipped: spoken clips with a sample at the largest or smallest value of int16.
        loudness_dbfs: the values of loudness among the spoken clips (rms of the real samples), to 0.1 dB, ascending.
        loudness_clips: how many spoken clips have each of them.
        mean, std: of each coefficient over the split.
    """

    clips: int
    classes: dict[str, int]
    spoken: int
    padded: int
    clipped: int
    loudness_dbfs: tuple[float, ...]
    loudness_clips: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def loudness(self) -> Floats:
        """The loudness of each spoken clip in dBFS, ascending; float64, (spoken,)."""
        return np.repeat(np.asarray(self.loudness_dbfs, np.float64), self.loudness_clips)

    def silent(self, below_dbfs: float) -> int:
        """Spoken clips that are quieter than this."""
        return int((self.loudness < below_dbfs).sum())


@dataclass(frozen=True)
class Profile:
    """A store in a few numbers: enough to compare it with another one.

    Attributes:
        store: name of the store.
        version: its version.
        definition_sha256: hash of its view's definition; only coefficients of equal definitions compare.
        splits: split name → its profile.
    """

    store: str
    version: str
    definition_sha256: str
    splits: dict[str, SplitProfile]

    def to_dict(self) -> dict[str, Any]:
        """The profile as JSON can hold it, without loss."""
        return asdict(self)

    @staticmethod
    def from_dict(content: object, place: str) -> Profile:
        """The inverse of `to_dict`.

        Args:
            content: what a JSON file held.
            place: where it came from, for errors.

        Raises:
            DataError: it is not a profile.
        """
        try:
            return TypeAdapter(Profile).validate_python(content)
        except ValidationError as error:
            raise DataError(f"{place} holds no profile of a store: {error}; validate that store again") from error


def profile(store: Store) -> Profile:
    """The profile of a store of features.

    Raises:
        DataError: it is a store of clips, or its catalog or statistics are missing or damaged.
    """
    if store.view is None:
        raise DataError(f"{store.path} is a store of clips: name a store of features, such as data/features/mfcc")
    catalog = store.catalog(COLUMNS)
    splits = {name: _split_profile(_originals(catalog, store, name), store, name) for name in store.splits}
    return Profile(store.name, store.version, definition_hash(store.view), splits)


def _originals(catalog: pa.Table, store: Store, split: str) -> Mapping[str, npt.NDArray[Any]]:
    """The columns of one split's rows that are no copies.

    Raises:
        DataError: the split has not as many rows as records.
    """
    import pyarrow.compute as pc

    rows = catalog.filter(pc.equal(catalog["split"], split))
    if len(rows) != store.counts[split]:
        raise DataError(
            f"{store.path}: the catalog has {len(rows)} clips of {split}, the manifest {store.counts[split]}; "
            f"make the store again"
        )
    originals = rows.filter(pc.is_null(rows["parent"]))
    return {name: originals[name].to_numpy() for name in COLUMNS}


def _split_profile(rows: Mapping[str, npt.NDArray[Any]], store: Store, split: str) -> SplitProfile:
    spoken = rows["word"] != SILENCE_CLASS
    counts = np.bincount(rows["label"], minlength=len(store.classes))
    levels, level_clips = np.unique(loudness_dbfs(rows["rms"][spoken]).round(_DECIMALS_DB), return_counts=True)
    statistics: Statistics = store.statistics(split)
    return SplitProfile(
        clips=len(rows["label"]),
        classes=dict(zip(store.classes, counts.tolist(), strict=True)),
        spoken=int(spoken.sum()),
        padded=int((rows["length"][spoken] < CLIP_SAMPLES).sum()),
        clipped=int((rows["clipped"][spoken] > 0).sum()),
        loudness_dbfs=tuple(levels.tolist()),
        loudness_clips=tuple(level_clips.tolist()),
        mean=tuple(statistics.mean.tolist()),
        std=tuple(statistics.std.tolist()),
    )

"""What an export is: a store, a format, the splits and settings, and the shards that become its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from base import __version__
from base.errors import DataError
from readers.store import Store
from stores.manifest import Shard

FormatName: TypeAlias = Literal["parquet", "webdataset", "numpy", "csv", "png"]
AudioName: TypeAlias = Literal["wav", "flac"]
Advance: TypeAlias = Callable[[int], object]

FORMAT_NAMES: Final[tuple[FormatName, ...]] = get_args(FormatName)
AUDIO_NAMES: Final[tuple[AudioName, ...]] = get_args(AudioName)
_ENCODING_AUDIO: Final = ("parquet", "webdataset")
GRAYS: Final = 255


@dataclass(frozen=True)
class NumberedShard:
    """One shard of a store and its place among the shards of its split.

    Attributes:
        shard: the shard.
        number: its number, 0..of-1.
        of: shards in the split.
    """

    shard: Shard
    number: int
    of: int

    def file(self, suffix: str) -> str:
        """Name of the file that this shard becomes."""
        return f"{self.shard.split}-{self.number:05d}-of-{self.of:05d}{suffix}"


@dataclass(frozen=True)
class ExportPlan:
    """A store to export, and how; `make_plan` makes it.

    Attributes:
        store: the store.
        format: the form of the files.
        splits: names of the splits, in the order of the store.
        audio: how samples are encoded, or None where none are.
        gray: (low, high) of each coefficient, what a picture shows as 0 and 255, or None where there are no pictures.
        published: date of publication for the descriptions, or None if unknown.
    """

    store: Store
    format: FormatName
    splits: tuple[str, ...]
    audio: AudioName | None = None
    gray: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    published: str | None = None

    @property
    def clips(self) -> dict[str, int]:
        """Clips in each split."""
        return {split: self.store.counts[split] for split in self.splits}

    @property
    def has_audio(self) -> bool:
        """Whether the tensor is samples."""
        return self.store.tensor == "audio"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.store.shapes[self.store.tensor]

    def parts(self, split: str) -> tuple[NumberedShard, ...]:
        """The shards of a split."""
        shards = self.store.shards(split)
        return tuple(NumberedShard(shard, number, len(shards)) for number, shard in enumerate(shards))

    def identity(self) -> dict[str, Any]:
        """What tells this export from any other, as JSON can hold it."""
        return {
            "store": self.store.name,
            "version": self.store.version,
            "manifest_sha256": self.store.manifest.sha256,
            "format": self.format,
            "splits": list(self.splits),
            "settings": self._settings(),
            "code_version": __version__,
        }

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {"audio": self.audio, "published": self.published}
        if self.gray is not None:
            settings["low"], settings["high"] = (list(values) for values in self.gray)
            settings["value"] = f"low + gray / {GRAYS} * (high - low)"
        return {name: value for name, value in settings.items() if value is not None}


def make_plan(
    store: Store,
    format_name: FormatName,
    splits: Sequence[str] = (),
    audio: AudioName | None = None,
    published: str | None = None,
) -> ExportPlan:
    """Decide what an export is.

    Args:
        store: the store.
        format_name: the form of the files.
        splits: names of the splits, all by default.
        audio: how samples are encoded, WAV by default; only where the format encodes samples.
        published: date of publication, YYYY-MM-DD; only for Parquet, whose descriptions name it.

    Raises:
        DataError: there is no such split, or the format does not suit the store or the options.
    """
    for split in splits:
        store.shards(split)
    ordered = tuple(split for split in store.splits if split in splits or not splits)
    made = ExportPlan(store, format_name, ordered, published=published)
    encodes = made.has_audio and format_name in _ENCODING_AUDIO
    if audio is not None and not encodes:
        raise DataError(
            f"--audio {audio} encodes the samples of waveforms and clips for {' and '.join(_ENCODING_AUDIO)}, "
            f"got {format_name} of {store.tensor}: leave it out"
        )
    if published is not None and format_name != "parquet":
        raise DataError(f"--published goes into the descriptions of parquet, got {format_name}: leave it out")
    gray = _gray_range(made) if format_name == "png" else None
    return dataclasses.replace(made, audio=(audio or "wav") if encodes else None, gray=gray)


def _gray_range(made: ExportPlan) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Range of each coefficient over the train split; one common range where they share a scale."""
    view = made.store.view
    if view is None or made.has_audio:
        raise DataError(
            f"png draws features over time, {made.store.path} holds samples: export a spectrogram view, "
            "or choose another format"
        )
    statistics = made.store.statistics("train")
    low, high = statistics.min, statistics.max
    if view.common_scale:
        low, high = low * 0 + low.min(), high * 0 + high.max()
    return tuple(low.tolist()), tuple(high.tolist())

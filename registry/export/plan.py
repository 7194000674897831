"""What an export is: a store, a format, the splits and settings, and the shards that become its files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from base import __version__
from base.errors import DataError
from features.labels import SILENCE_CLASS
from readers.store import Store
from stores.manifest import Shard

FormatName: TypeAlias = Literal[
    "parquet", "webdataset", "array-record", "lhotse", "micro-wake-word", "numpy", "csv", "png"
]
AudioName: TypeAlias = Literal["wav", "flac"]
Advance: TypeAlias = Callable[[int], object]

FORMAT_NAMES: Final[tuple[FormatName, ...]] = get_args(FormatName)
AUDIO_NAMES: Final[tuple[AudioName, ...]] = get_args(AudioName)
OTHER_NAMES: Final[dict[str, FormatName]] = {"hub": "parquet"}
"""Further names of formats: the Hub of Hugging Face shows a folder of the Parquet form as it is."""
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
        words: the words that a wake-word model is to hear; empty for all other formats.
    """

    store: Store
    format: FormatName
    splits: tuple[str, ...]
    audio: AudioName | None = None
    gray: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    published: str | None = None
    words: tuple[str, ...] = ()

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

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the tensor's numbers."""
        return np.dtype("int16" if self.store.view is None else self.store.view.dtype)

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
        settings: dict[str, Any] = {
            "audio": self.audio,
            "published": self.published,
            "words": list(self.words) or None,
        }
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
    words: Sequence[str] = (),
) -> ExportPlan:
    """Decide what an export is.

    Args:
        store: the store.
        format_name: the form of the files.
        splits: names of the splits, all by default.
        audio: how samples are encoded, WAV by default; only where the format encodes samples.
        published: date of publication, YYYY-MM-DD; only for Parquet, whose descriptions name it.
        words: the words that a wake-word model is to hear; only for micro-wake-word, which needs one or more.

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
    _check_tensor(made)
    return dataclasses.replace(
        made,
        audio=(audio or "wav") if encodes else None,
        gray=_gray_range(made) if format_name == "png" else None,
        words=_wake_words(made, words),
    )


def _check_tensor(made: ExportPlan) -> None:
    """Make sure that the format can hold what the store holds.

    Raises:
        DataError: it can't.
    """
    place = made.store.path
    if made.format == "lhotse" and not made.has_audio:
        raise DataError(f"lhotse describes sound, {place} holds {made.store.tensor}: export clips or a waveform view")
    if made.format in ("png", "micro-wake-word") and len(made.shape) != 2:
        what = "draws" if made.format == "png" else "holds"
        raise DataError(
            f"{made.format} {what} features over time, {place} holds samples: export a spectrogram view, "
            "or choose another format"
        )


def _wake_words(made: ExportPlan, words: Sequence[str]) -> tuple[str, ...]:
    """The words that a model is to hear, in order, each once.

    Raises:
        DataError: the format has no use for words or lacks them, or the store has no such word.
    """
    if made.format != "micro-wake-word":
        if words:
            raise DataError(f"--word names what a wake-word model is to hear, got {made.format}: leave it out")
        return ()
    import pyarrow.compute as pc

    known = set(pc.unique(made.store.catalog(("word",))["word"]).to_pylist())
    unknown = sorted(set(words) - known)
    if unknown or not words:
        got = f"got {', '.join(unknown)}" if unknown else "got none"
        raise DataError(
            f"micro-wake-word needs --word, a word that a model is to hear, {got}: "
            f"choose among the words of {made.store.path}, {', '.join(sorted(known - {SILENCE_CLASS}))}"
        )
    return tuple(sorted(set(words)))


def _gray_range(made: ExportPlan) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Range of each coefficient over the train split; one common range where they share a scale."""
    statistics = made.store.statistics("train")
    view = made.store.view
    scale = 1.0 if view is None else view.scale
    low, high = statistics.min / scale, statistics.max / scale
    if view is not None and view.common_scale:
        low, high = low * 0 + low.min(), high * 0 + high.max()
    return tuple(low.tolist()), tuple(high.tolist())

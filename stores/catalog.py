"""The tables next to the shards: the catalog with a row for each clip, the rejects with one for each unusable file."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from features import clip_id


def _column(name: str, kind: pa.DataType, meaning: str) -> pa.Field:
    return pa.field(name, kind, metadata={"meaning": meaning})


CATALOG_SCHEMA: Final = pa.schema(
    [
        _column("id", pa.string(), clip_id.MEANING),
        _column("word", pa.string(), "the word spoken, _silence_ for background noise"),
        _column("speaker", pa.string(), "the speaker's id, null for silence"),
        _column("split", pa.string(), "the official split, null for silence that was cut here"),
        _column("length", pa.int32(), "samples at 16 kHz before padding, at most 16000"),
        _column("rate", pa.int32(), "sample rate of the file in the archive, Hz"),
        _column("peak", pa.float32(), "largest magnitude of the real samples, 0..1 of full scale"),
        _column("rms", pa.float32(), "root mean square of the real samples, 0..1 of full scale"),
        _column("clipped", pa.int32(), "real samples at the largest or smallest value of int16"),
        _column("snr_db", pa.float32(), "signal-to-noise estimate of a spoken clip, dB; null for silence"),
        _column("cut_start", pa.bool_(), "whether speech goes on to the clip's first 20 ms; null for silence"),
        _column("cut_end", pa.bool_(), "whether speech goes on to its last 20 ms; null for silence"),
        _column("silent_fraction", pa.float32(), "share of its 20 ms frames below -50 dBFS"),
        _column("audio_sha256", pa.string(), "SHA-256 of the clip's 16000 samples, int16 little-endian"),
        _column("recording", pa.string(), "the background recording that a silence clip was cut from"),
        _column("start", pa.int64(), "the clip's first sample in what it was cut from: that recording, or its file"),
        _column("recording_samples", pa.int64(), "length of what it was cut from, samples at 16 kHz"),
        _column("gain_db", pa.float32(), "gain that was applied to a silence clip"),
        _column("parent", pa.string(), "the clip that a copy was made from, null for an original"),
        _column("augmentation", pa.string(), "how a copy was made, as JSON, null for an original"),
        _column("archive", pa.string(), "file name of the archive"),
        _column("shard", pa.int32(), "number of the clip shard"),
        _column("position", pa.int32(), "place of the record in its shard"),
    ]
)
"""Columns of the catalog of a store of clips."""

_OF_A_TASK: Final = {
    "split": [
        _column("label", pa.int32(), "index into the class names"),
        _column("split", pa.string(), "train, validation or test"),
    ],
    "shard": [_column("shard", pa.int32(), "number of the shard among those of its split")],
}
VIEW_CATALOG_SCHEMA: Final = pa.schema(
    [field for column in CATALOG_SCHEMA for field in _OF_A_TASK.get(column.name, [column])]
)
"""Columns of the catalog of a store of features: those of its clips, with the task's label and split, and the place in
its own shards."""

REJECTS_SCHEMA: Final = pa.schema(
    [
        _column("path", pa.string(), "the file in its archive"),
        _column("reason", pa.string(), "kind of damage, or the rule by which the file is left out"),
        _column("detail", pa.string(), "what was found"),
        _column("archive", pa.string(), "file name of the archive"),
    ]
)

HARMLESS_REASONS: Final = frozenset(
    {"human_voice", "not_valid", "other_channel", "repeated", "same_audio", "too_short"}
)
"""Reasons that do not count towards max_reject_fraction, since nothing is damaged: a clip is already kept, by its name
and audio ("repeated") or by its audio under another name ("same_audio"); a recording is too short to be cut, has human
voice, or is another channel of one that is kept; a corpus says itself that a clip is not valid."""

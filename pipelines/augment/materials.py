"""Gathers what copies are made with: noise of the train part of the recordings, and impulse responses of a folder."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from base import files
from base.errors import DataError
from features.audio import Samples
from features.audio_file import AudioError, AudioFile
from features.splits import hash64
from features.stretches import SILENCE_GAP_SAMPLES, stretch_of
from features.views import CLIP_SAMPLES, FULL_SCALE
from pipelines.clip_records import clip_records
from pipelines.engine.work import Work
from stores.lineage import Task
from stores.manifest import CATALOG_FILE, Manifest
from stores.records import CLIP_RECORD
from stores.tables import open_table, read_table, write_table

Doubles: TypeAlias = npt.NDArray[np.float64]

NOISE_CLIPS: Final = 1024
"""The most silence clips to draw noise from: 33 MB of them."""

_NOISE_FILE: Final = "noise.parquet"
_NOISE_SCHEMA: Final = pa.schema([("id", pa.string()), ("audio", pa.binary())])
_CATALOG_COLUMNS: Final = ("id", "recording", "start", "recording_samples", "peak", "shard", "position")


@dataclass(frozen=True)
class Materials:
    """What some kinds of copies are made with.

    Attributes:
        noise: id of a silence clip → its samples, int16, (CLIP_SAMPLES,); in order of id.
        impulse_responses: name → float64, (samples,), the direct sound first, at 1; in order of name.
    """

    noise: dict[str, Samples]
    impulse_responses: dict[str, Doubles]


def write_noise(clips: str, manifest: Manifest, task: Task, seed: int, work: Work) -> None:
    """Keep some silence clips of the train part of each recording for the steps.

    Args:
        clips: folder of the store of clips.
        manifest: of that store.
        task: says how the time of recordings is divided.
        seed: decides which silence clips are taken, where there are more than `NOISE_CLIPS`.
        work: takes the file.

    Raises:
        DataError: there is no such clip, or a shard is damaged.
    """
    rows = heapq.nsmallest(NOISE_CLIPS, _train_noise(clips, task), key=lambda row: hash64("noise", seed, row["id"]))
    if not rows:
        raise DataError(
            f"{clips} has no silence clip in the train part of a recording: leave the kind noise out of the recipe"
        )
    places: dict[int, dict[int, str]] = {}
    for row in rows:
        places.setdefault(row["shard"], {})[row["position"]] = row["id"]
    found: dict[str, bytes] = {}
    for shard, of_shard in places.items():
        for position, record in enumerate(clip_records(files.join(clips, manifest.shards[shard].file))):
            if position in of_shard:
                clip: Any = CLIP_RECORD.decode(record)
                found[clip["id"]] = clip["audio"].astype("<i2").tobytes()
    if absent := {row["id"] for row in rows} ^ found.keys():
        raise DataError(f"{clips}: {min(absent)} is not where the catalog says: run `python -m pipelines.ingest` again")
    names = sorted(found)
    write_table(work.path(_NOISE_FILE), pa.table([names, [found[name] for name in names]], schema=_NOISE_SCHEMA))


def _train_noise(clips: str, task: Task) -> Iterator[dict[str, Any]]:
    """The rows of the silence clips that lie in the train part of their recording and are not all zeros."""
    with open_table(files.join(clips, CATALOG_FILE)) as file:
        for group in range(file.num_row_groups):
            for row in file.read_row_group(group, columns=list(_CATALOG_COLUMNS)).to_pylist():
                if row["recording"] is None or not row["peak"]:
                    continue
                split = stretch_of(row["start"], row["recording_samples"], task.split.ratio, SILENCE_GAP_SAMPLES)
                if split == "train":
                    yield row


def impulse_response_files(folder: str) -> dict[str, str]:
    """The .wav files of a folder: name → SHA-256 (hex), in order of name.

    Raises:
        DataError: there is none.
    """
    names = [name for name in files.names(folder) if name.lower().endswith(".wav")]
    if not names:
        raise DataError(f"{folder} holds no .wav file, expected impulse responses: correct impulse_responses")
    return {name: files.sha256(files.join(folder, name)) for name in names}


def read_impulse_response(path: str) -> Doubles:
    """An impulse response from its highest peak on, which is taken for the direct sound and becomes 1.

    Returns:
        float64, (at most CLIP_SAMPLES,).

    Raises:
        DataError: the file is no audio, or silent.
    """
    try:
        file = AudioFile(files.read_bytes(path))
    except AudioError as error:
        raise DataError(f"{path} is no usable impulse response ({error}): remove or replace it") from error
    peak = _highest_peak(file)
    samples = file.stretch(peak, peak + CLIP_SAMPLES).astype(np.float64) / FULL_SCALE
    if not samples[0]:
        raise DataError(f"{path} is silent, expected an impulse response: remove or replace it")
    response: Doubles = samples / samples[0]
    return response


def _highest_peak(file: AudioFile) -> int:
    """The first of the samples of the greatest magnitude."""
    best, highest, begin = 0, 0, 0
    for block in file.blocks():
        magnitudes = np.abs(block.astype(np.int32))
        place = int(np.argmax(magnitudes))
        if magnitudes[place] > highest:
            best, highest = begin + place, int(magnitudes[place])
        begin += block.size
    return best


def read_materials(work: Work, noise: bool, impulse_responses: str | None) -> Materials:
    """What the steps make copies with.

    Args:
        work: holds the noise.
        noise: whether noise is needed.
        impulse_responses: folder of impulse responses, or None where none are needed.

    Raises:
        DataError: a file is missing or damaged.
    """
    clips: dict[str, Any] = {}
    if noise:
        table = read_table(work.path(_NOISE_FILE))
        audio = (np.frombuffer(each, "<i2") for each in table.column("audio").to_pylist())
        clips = dict(zip(table.column("id").to_pylist(), audio, strict=True))
    responses = impulse_response_files(impulse_responses) if impulse_responses else {}
    read = {name: read_impulse_response(files.join(impulse_responses or "", name)) for name in responses}
    return Materials(clips, read)

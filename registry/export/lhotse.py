"""The form of Lhotse: a WAV file for each clip, and the recordings, supervisions and cuts of each split as JSONL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from base.files import published
from features.audio import encode_audio
from features.labels import SILENCE_CLASS
from registry.export.clips import ClipReader, ExportedClip
from registry.export.plan import Advance, ExportPlan
from registry.export.webdataset import key

AUDIO_FOLDER: Final = "audio"
CUTS_FILE: Final = "cuts.jsonl"
RECORDINGS_FILE: Final = "recordings.jsonl"
SUPERVISIONS_FILE: Final = "supervisions.jsonl"


class Lines(NamedTuple):
    """What the three manifests say of a clip."""

    recording: dict[str, Any]
    supervision: dict[str, Any]
    cut: dict[str, Any]


def write(plan: ExportPlan, folder: Path, advance: Advance) -> None:
    """Write `audio/{split}/{id}.wav`, and `{split}/recordings.jsonl`, `supervisions.jsonl` and `cuts.jsonl`.

    Args:
        plan: what to export; its store holds samples.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged.
    """
    clips = ClipReader(plan.store)
    for split in plan.splits:
        if (folder / split / CUTS_FILE).exists():
            advance(plan.clips[split])
        else:
            _write_split(plan, split, folder, clips, advance)


def _write_split(plan: ExportPlan, split: str, folder: Path, clips: ClipReader, advance: Advance) -> None:
    """The manifests get their names when all clips have a file, the cuts last."""
    names = (CUTS_FILE, SUPERVISIONS_FILE, RECORDINGS_FILE)  # the last that is opened is the first to be named
    with ExitStack() as stack:
        cuts, supervisions, recordings = (stack.enter_context(published(str(folder / split / name))) for name in names)
        for clip in _clips(plan, split, clips):
            path = f"{AUDIO_FOLDER}/{split}/{clip.id}.wav"
            _write_sound(clip, plan.store.rate_hz, folder / path)
            lines = describe(clip, path, plan.store.rate_hz)
            for file, line in zip((recordings, supervisions, cuts), lines, strict=True):
                file.write(f"{json.dumps(line, ensure_ascii=False)}\n".encode())
            advance(1)


def _clips(plan: ExportPlan, split: str, clips: ClipReader) -> Iterator[ExportedClip]:
    for part in plan.parts(split):
        yield from clips.of(part)


def _write_sound(clip: ExportedClip, rate_hz: int, path: Path) -> None:
    if not path.exists():
        with published(str(path)) as file:
            file.write(encode_audio(clip.tensor, rate_hz))


def describe(clip: ExportedClip, path: str, rate_hz: int) -> Lines:
    """A clip as Lhotse's `Recording`, `SupervisionSegment` and `MonoCut` read it from a dictionary.

    The recording is the whole clip; the supervision is its real part, without the padding.

    Args:
        clip: the clip.
        path: its WAV file, as the manifests name it: below the folder of the export.
        rate_hz: its sample rate.
    """
    name, samples = key(clip.id).replace("/", "."), clip.tensor.size  # Lhotse names files after ids
    recording = {
        "id": name,
        "sources": [{"type": "file", "channels": [0], "source": path}],
        "sampling_rate": rate_hz,
        "num_samples": samples,
        "duration": samples / rate_hz,
        "channel_ids": [0],
    }
    about = {"clip": clip.id, "word": clip.word, "label": clip.label, "class": clip.class_name, "length": clip.length}
    supervision = {
        "id": name,
        "recording_id": name,
        "start": 0.0,
        "duration": clip.length / rate_hz,
        "channel": 0,
        "text": "" if clip.word == SILENCE_CLASS else clip.word,
        **({"speaker": clip.speaker} if clip.speaker else {}),
        "custom": {key: value for key, value in about.items() if value is not None},
    }
    cut = {
        "id": name,
        "start": 0.0,
        "duration": samples / rate_hz,
        "channel": 0,
        "supervisions": [supervision],
        "recording": recording,
        "type": "MonoCut",
    }
    return Lines(recording, supervision, cut)

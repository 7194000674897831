"""The WebDataset form: one tar archive for each shard, in which the files of a clip follow each other."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from base.files import published_path
from features.audio import encode_audio
from registry.export.clips import ClipReader, ExportedClip
from registry.export.plan import Advance, ExportPlan

_MODE: Final = 0o644


def write(plan: ExportPlan, folder: Path, advance: Advance) -> None:
    """Write `{split}-{number}-of-{shards}.tar` for each shard.

    Args:
        plan: what to export.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged.
    """
    clips = ClipReader(plan.store)
    for part in (part for split in plan.splits for part in plan.parts(split)):
        path = folder / part.file(".tar")
        if path.exists():
            advance(part.shard.records)
            continue
        with (
            published_path(str(path)) as unfinished,
            tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT) as archive,
        ):
            for clip in clips.of(part):
                for suffix, content in _entries(plan, clip):
                    _add(archive, f"{key(clip.id)}.{suffix}", content)
                archive.getmembers().clear()  # the archive would keep every header in memory
                advance(1)


def key(clip_id: str) -> str:
    """The name that the files of a clip share: its id, dots escaped, since the first dot ends the name."""
    return clip_id.replace("%", "%25").replace(".", "%2E")


def _entries(plan: ExportPlan, clip: ExportedClip) -> Iterator[tuple[str, bytes]]:
    """(ending, content) of each file of a clip."""
    if plan.audio:
        yield plan.audio, encode_audio(clip.tensor, plan.store.rate_hz, plan.audio)
    else:
        out = io.BytesIO()
        np.save(out, clip.tensor)
        yield "npy", out.getvalue()
    if clip.label is not None:
        yield "cls", str(clip.label).encode()
    about = {"id": clip.id, "word": clip.word, "speaker": clip.speaker, "length": clip.length}
    named = {} if clip.class_name is None else {"class": clip.class_name}
    yield "json", json.dumps({**about, **named}, ensure_ascii=False).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size, header.mode = len(content), _MODE
    archive.addfile(header, io.BytesIO(content))

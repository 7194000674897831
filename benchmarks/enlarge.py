"""Makes an archive of any number of clips out of a real one: more clips are shifted and mixed with some of another."""

from __future__ import annotations

import io
import re
import tarfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np
from isal import igzip_threaded

from base import command
from base.errors import DataError
from base.files import published_path
from features import clip_id
from features.audio import Samples, encode_audio
from features.audio_file import AudioError, decode
from features.splits import hash64
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipelines.ingest.archive import Member, read_members
from pipelines.layouts import Background, Other, Utterance
from pipelines.layouts.speech_commands import LAYOUT

RECIPE: Final = 1
"""Number of the way in which clips are made; another number gives another archive."""

LARGEST_SHIFT_SAMPLES: Final = SAMPLE_RATE_HZ // 10
LOWEST_MIX, HIGHEST_MIX = 0.02, 0.10
"""Gain of the other clip that is mixed in."""

_MIXED_AMONG_CLIPS: Final = 64
_GZIP_LEVEL: Final = 1
_WAV: Final = ".wav"
_SPEAKERS: Final = 2**32
_SPEAKER_STEP: Final = 0x9E3779B1
"""An odd number: multiplying by it permutes the 32-bit numbers, so speakers numbered apart are named apart."""


@dataclass(frozen=True)
class SourceClip:
    """A clip of the given archive: word, speaker and index are the parts of its name; int16 samples, at most 16,000."""

    word: str
    speaker: str
    index: str
    samples: Samples

    @property
    def id(self) -> str:
        """The name in the official form, without its ending."""
        return clip_id.utterance(self.word, self.speaker, self.index)


@dataclass(frozen=True)
class CopyPlan:
    """Which copies to make of the clips of an archive.

    Attributes:
        copies: how many clips to make of each clip of the archive, itself included; by id.
        speakers: a number for each speaker of the archive.
        offset: where the numbers of new speakers begin.
    """

    copies: dict[str, int]
    speakers: dict[str, int]
    offset: int


def enlarge(source: Path, target: Path, clips: int) -> None:
    """Write an archive of an exact number of clips; the same bytes each time.

    Each clip of the source comes first under its own name and then, shifted and mixed, under the names of new speakers,
    as many times as are needed; where the source has more, some are left out. Background recordings and documents are
    kept; lists of splits are not, so the official function divides the speakers. Memory does not grow with the clips.

    Args:
        source: a .tar.gz archive in the official layout.
        target: the archive to write.
        clips: number of clips.

    Raises:
        DataError: the source is damaged or has no usable clip.
    """
    plan = plan_copies([clip.id for clip in read_clips(source)], clips)
    if not plan.copies:
        raise DataError(f"{source} has no clip named word/speaker_nohash_number.wav: give an archive that has")
    with (
        published_path(str(target)) as unfinished,
        command.progress_bar(clips, "clip", "enlarge") as bar,
        igzip_threaded.open(  # type: ignore[no-untyped-call]
            unfinished, "wb", compresslevel=_GZIP_LEVEL
        ) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for name, data in _enlarged(source, plan):
            _append(archive, name, data)
            bar.update(speaker_of(name.removesuffix(_WAV)) is not None)


def _append(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    archive.addfile(header, io.BytesIO(data))
    archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header otherwise


def count_clips(source: Path) -> int:
    """How many usable clips an archive has."""
    return len({clip.id for clip in read_clips(source)})


def read_clips(source: Path) -> Iterator[SourceClip]:
    """The usable clips of an archive; what else it has is passed over."""
    with source.open("rb") as file:
        for member in read_members(file, source.name):
            found = parse_clip(member)
            if found:
                yield found


def parse_clip(member: Member) -> SourceClip | None:
    """The clip that a file of an archive is, or None for any other file, damaged ones too."""
    role = LAYOUT.role(member.name)
    if member.data is None or not isinstance(role, Utterance):
        return None
    if not role.word or not role.speaker or clip_id.parse(role.id).ready:
        return None
    try:
        samples = decode(member.data).samples[:CLIP_SAMPLES]
    except AudioError:
        return None
    return SourceClip(role.word, role.speaker, role.id.rpartition("_")[2], samples)


def plan_copies(ids: list[str], clips: int) -> CopyPlan:
    """How many copies each clip gets: as many as its neighbors or one more, which the hash of its id decides.

    Args:
        ids: ids of the archive's clips.
        clips: how many are wanted in all.
    """
    ranked = sorted(set(ids), key=lambda each: (hash64("enlarge", each), each))
    copies, rest = divmod(clips, len(ranked)) if ranked else (0, 0)
    speakers = sorted({speaker for each in ranked if (speaker := speaker_of(each))})
    offset = _free_offset(speakers, len(speakers) * (copies + 1))
    return CopyPlan(
        {each: copies + (rank < rest) for rank, each in enumerate(ranked)},
        {speaker: number for number, speaker in enumerate(speakers)},
        offset,
    )


def speaker_of(name: str) -> str | None:
    """The speaker in an id, or None where the name is that of another file."""
    return clip_id.parse(name).speaker


def _free_offset(speakers: list[str], new_speakers: int) -> int:
    """The first offset at which no new speaker is named like one of the archive."""
    taken = [int(speaker, 16) for speaker in speakers if re.fullmatch("[0-9a-f]{8}", speaker)]
    inverse = pow(_SPEAKER_STEP, -1, _SPEAKERS)
    places = [each * inverse % _SPEAKERS for each in taken]
    return next(offset for offset in count() if all((place - offset) % _SPEAKERS >= new_speakers for place in places))


def new_speaker(plan: CopyPlan, speaker: str, copy: int) -> str:
    """The name of the speaker of a clip's copy: 8 hex digits, another for each speaker and copy, none of the archive's.

    Args:
        plan: made for the archive.
        speaker: the clip's own speaker.
        copy: number of the copy, from 1.
    """
    number = plan.offset + len(plan.speakers) * copy + plan.speakers[speaker]
    return f"{number * _SPEAKER_STEP % _SPEAKERS:08x}"


def _enlarged(source: Path, plan: CopyPlan) -> Iterator[tuple[str, bytes]]:
    """The files of the enlarged archive: name, content."""
    recent: deque[Samples] = deque(maxlen=_MIXED_AMONG_CLIPS)
    copies = dict(plan.copies)
    with source.open("rb") as file:
        for member in read_members(file, source.name):
            if member.data is not None and isinstance(LAYOUT.role(member.name), Background | Other):
                yield member.name, member.data
            elif found := parse_clip(member):
                recent.append(found.samples)
                for copy in range(copies.pop(found.id, 0)):
                    yield _copy_of(found, copy, recent, plan)


def _copy_of(clip: SourceClip, copy: int, recent: deque[Samples], plan: CopyPlan) -> tuple[str, bytes]:
    if copy == 0:
        return f"{clip.id}{_WAV}", encode_audio(clip.samples, SAMPLE_RATE_HZ, "wav")
    key = hash64("copy", clip.id, copy)
    other = recent[key % len(recent)]
    renamed = replace(clip, speaker=new_speaker(plan, clip.speaker, copy))
    samples = shift_and_mix(clip.samples, other, key)
    return f"{renamed.id}{_WAV}", encode_audio(samples, SAMPLE_RATE_HZ, "wav")


def shift_and_mix(samples: Samples, other: Samples, key: int) -> Samples:
    """A clip turned by up to 100 ms, what leaves at one end coming in at the other, with a little of another clip.

    Args:
        samples: int16, (any,).
        other: int16, (any,); only as much of it is used as the clip is long.
        key: a 64-bit hash that decides shift and gain.

    Returns:
        int16, as long as `samples`.
    """
    shift = (key >> 16) % (2 * LARGEST_SHIFT_SAMPLES + 1) - LARGEST_SHIFT_SAMPLES
    mix = LOWEST_MIX + (HIGHEST_MIX - LOWEST_MIX) * (key >> 32) / 2**32
    mixed = np.roll(samples, shift).astype(np.float32)
    overlap = min(samples.size, other.size)
    mixed[:overlap] += np.float32(mix) * other[:overlap]
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(mixed), limits.min, limits.max).astype(np.int16)

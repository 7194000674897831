"""Ids of clips, the one place that writes and reads them.

An utterance is "word/speaker_nohash_number", as in the Speech Commands archive; "_unknown_/word_speaker_nohash_number"
where an official test archive has it as an unknown word. Silence is "_silence_/recording_start" where it is cut from a
noise recording, and "_silence_/name" where an archive has it ready. Speakers and recordings of a corpus other than
Speech Commands bear its name after an @, so ids of different corpora never collide, nor do their speakers. Where a
file's name has another form, the id is "word/name@corpus", which says no speaker, and "_clip_/name@corpus" where the
word stands in a list.

A copy that was made of a clip has the clip's id, then "~kind_number", and says what the clip's id says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from features.labels import SILENCE_CLASS, UNKNOWN_CLASS

MEANING: Final = "word/speaker_nohash_index, as in the archive"
"""What an id is, for the descriptions of tables and records."""

_CORPUS: Final = re.compile(r"[a-z0-9-]*")
_NO_WORD: Final = "_clip_"
_UTTERANCE: Final = re.compile(r"(?P<word>[^/]+)/(?P<speaker>[^/_]+)_nohash_\d+")
_READY_UNKNOWN: Final = re.compile(rf"{UNKNOWN_CLASS}/(?P<word>[^/_]+)_(?P<speaker>[^/_]+)_nohash_\d+")
_COPY: Final = re.compile(r"(?P<parent>.+)~(?P<kind>[a-z]+)_(?P<number>\d+)")
_NAMED: Final = re.compile(r"(?P<word>[^/]+)/[^/]+@[a-z0-9-]+")
_SILENCE: Final = re.compile(rf"{SILENCE_CLASS}/(?:(?P<recording>.+)_(?P<start>\d{{8,}})|.*)")


@dataclass(frozen=True, slots=True)
class ClipId:
    """What an id says; None for what it does not say.

    Attributes:
        word: the word spoken, `SILENCE_CLASS` for silence.
        speaker: who speaks.
        recording: the noise recording that silence was cut from.
        start: its first sample there.
        ready: whether an official test archive has the clip as silence or as an unknown word.
        parent: the id of the clip that this one is a copy of.
    """

    word: str | None = None
    speaker: str | None = None
    recording: str | None = None
    start: int | None = None
    ready: bool = False
    parent: str | None = None


def of_corpus(name: str, corpus: str) -> str:
    """The name of a speaker or recording, distinct from those of every other corpus.

    Args:
        name: as the corpus has it.
        corpus: name of the corpus, of a-z, 0-9 and -; "" for Speech Commands.

    Raises:
        ValueError: the corpus has a name that would keep its ids from being read.
    """
    if not _CORPUS.fullmatch(corpus):
        raise ValueError(f"corpus {corpus!r}, expected a name of a-z, 0-9 and -")
    return f"{name}@{corpus}" if corpus else name


def utterance(word: str, speaker: str, number: int | str) -> str:
    """The id of a word that somebody says for the `number`th time."""
    return f"{word}/{speaker}_nohash_{number}"


def named(word: str | None, name: str, corpus: str) -> str:
    """The id of a clip whose file has a name of any form.

    Args:
        word: the word spoken, or None where the name does not say it.
        name: distinct in the word; its slashes become hyphens.
        corpus: name of the corpus, of a-z, 0-9 and -.

    Raises:
        ValueError: the corpus has no name, or one that would keep its ids from being read.
    """
    if not corpus:
        raise ValueError("a clip with a name of any form needs the name of its corpus")
    return f"{word or _NO_WORD}/{of_corpus(name.replace('/', '-'), corpus)}"


def ready_unknown(word: str, speaker: str, number: int | str) -> str:
    """The id of an unknown word of an official test archive."""
    return f"{UNKNOWN_CLASS}/{word}_{speaker}_nohash_{number}"


def ready_silence(name: str) -> str:
    """The id of a silence clip that an archive has ready."""
    return f"{SILENCE_CLASS}/{name}"


def cut_silence(recording: str, start: int) -> str:
    """The id of a silence clip cut from a noise recording, `start` its first sample."""
    return f"{SILENCE_CLASS}/{recording}_{start:08d}"


def copy(parent: str, kind: str, number: int) -> str:
    """The id of the `number`th copy of a kind that was made of a clip.

    Args:
        parent: id of the clip, itself no copy.
        kind: of a-z.
        number: from 0.
    """
    return f"{parent}~{kind}_{number}"


def parse(clip_id: str) -> ClipId:
    """What an id says; nothing where it has another form."""
    if match := _COPY.fullmatch(clip_id):
        return replace(parse(match["parent"]), parent=match["parent"])
    if match := _SILENCE.fullmatch(clip_id):
        if match["start"] is None:
            return ClipId(SILENCE_CLASS, ready=True)
        return ClipId(SILENCE_CLASS, None, match["recording"], int(match["start"]))
    if match := _READY_UNKNOWN.fullmatch(clip_id):
        return ClipId(match["word"], match["speaker"], ready=True)
    if match := _UTTERANCE.fullmatch(clip_id):
        return ClipId(match["word"], match["speaker"])
    if (match := _NAMED.fullmatch(clip_id)) and match["word"] != _NO_WORD:
        return ClipId(match["word"])
    return ClipId()

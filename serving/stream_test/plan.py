"""The manifest of a stream: which clip sounds when and how loud, drawn from a seed."""

from __future__ import annotations

import csv
import io
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from features.labels import UNKNOWN_CLASS
from features.splits import SplitName, hash64
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from serving.stream_test.settings import Range, Rules, StreamNumbers
from serving.stream_test.speech import Recording
from serving.stream_test.utterances import NOISE_HOP, Material, Noise, Samples, Utterance

Kind: TypeAlias = Literal["word", "unknown", "speech", "noise"]

FADE_SAMPLES: Final[dict[Kind, int]] = {
    "word": SAMPLE_RATE_HZ // 40,
    "unknown": SAMPLE_RATE_HZ // 40,
    "speech": SAMPLE_RATE_HZ // 40,
    "noise": CLIP_SAMPLES - NOISE_HOP,
}
"""At either end; two clips of a background recording add up to the recording where they overlap."""
_MARGIN: Final = SAMPLE_RATE_HZ // 10
"""Of a clip that much is kept on either side of its word."""
_LEAD: Final = SAMPLE_RATE_HZ
"""The first word comes after a second of background, and so does each recording of speech."""
_HIGHEST_PEAK: Final = 0.9


class Placement(NamedTuple):
    """A row of a manifest; places are samples at 16 kHz, those of the stream but for `first` and `last`.

    Attributes:
        kind: what it is.
        source: id of a clip, or the path of a recording of speech.
        label: class of the word, or name of the background recording.
        at: where it begins.
        first, last: the part of the source that sounds, without `last`.
        gain_db: applied to it.
        onset, end: where the trimmed word begins and ends; of others `at` and where it ends.
        snr_db: level above the background; of background 0.
    """

    kind: Kind
    source: str
    label: str
    at: int
    first: int
    last: int
    gain_db: float
    onset: int
    end: int
    snr_db: float

    @property
    def until(self) -> int:
        """Where it ends."""
        return self.at + self.last - self.first


@dataclass(frozen=True)
class Plan:
    """A stream.

    Attributes:
        samples: its length.
        placements: what sounds, in order of `at`.
    """

    samples: int
    placements: tuple[Placement, ...]

    def between(self, start: int, stop: int) -> tuple[Placement, ...]:
        """What sounds in a part of the stream."""
        first = bisect_left(self.placements, start - self._longest, key=lambda each: each.at)
        last = bisect_left(self.placements, stop, key=lambda each: each.at)
        return tuple(each for each in self.placements[first:last] if each.until > start)

    @cached_property
    def _longest(self) -> int:
        return max((each.until - each.at for each in self.placements), default=0)

    @property
    def words(self) -> tuple[Placement, ...]:
        """The words that should be heard."""
        return tuple(each for each in self.placements if each.kind == "word")

    @property
    def hours(self) -> float:
        """Its duration."""
        return self.samples / SAMPLE_RATE_HZ / 3600


class _Level(NamedTuple):
    """Until which sample the background has which level."""

    until: int
    dbfs: float


def plan(
    material: Material, speech: Sequence[Recording], numbers: StreamNumbers, rules: Rules, split: SplitName
) -> Plan:
    """Draw a stream: words over background, then the recordings of speech over background.

    Args:
        material: words and background recordings of a split.
        speech: recordings in which no word of the model is said.
        numbers: lengths, gaps and levels.
        rules: how many words, and until when.
        split: part of the seed.
    """
    rng = np.random.default_rng(hash64(numbers.seed, "stream", split))
    spoken = round(numbers.hours * 3600 * SAMPLE_RATE_HZ)
    samples = spoken + sum(_LEAD + recording.samples for recording in speech)
    noise, levels = _background(material.noises, numbers, samples, rng)
    words = _words(material, levels, numbers, rules, round(spoken * rules.spoken_share), rng)
    recordings = _speech(speech, levels, numbers.snr_db, spoken, rng)
    return Plan(samples, tuple(sorted([*noise, *words, *recordings], key=lambda each: (each.at, each.kind))))


def _background(
    noises: Sequence[Noise], numbers: StreamNumbers, samples: int, rng: np.random.Generator
) -> tuple[list[Placement], list[_Level]]:
    """One background recording after another, each at a level of its own."""
    placed, levels, at = [], [], 0
    while at < samples:
        noise = noises[rng.integers(len(noises))]
        dbfs, until = _draw(rng, numbers.noise_dbfs), at + round(_draw(rng, numbers.noise_s) * SAMPLE_RATE_HZ)
        turn = int(rng.integers(len(noise.clips)))
        while at < min(until, samples):
            place = turn % len(noise.clips)
            gain_db = round(dbfs - noise.dbfs - noise.gains_db[place], 2)
            end = at + CLIP_SAMPLES
            placed.append(
                Placement("noise", noise.clips[place], noise.recording, at, 0, CLIP_SAMPLES, gain_db, at, end, 0.0)
            )
            at, turn = at + NOISE_HOP, turn + 1
        levels.append(_Level(at, dbfs))
    return placed, levels


def _words(
    material: Material,
    levels: Sequence[_Level],
    numbers: StreamNumbers,
    rules: Rules,
    until: int,
    rng: np.random.Generator,
) -> Iterator[Placement]:
    unknown = _deck([each for each in material.utterances if each.word == UNKNOWN_CLASS], rng)
    known = _deck([each for each in material.utterances if each.word != UNKNOWN_CLASS], rng)
    at, said = _LEAD, 0
    while at + CLIP_SAMPLES <= until and (rules.words is None or said < rules.words):
        is_unknown = rng.random() < numbers.unknown_share
        utterance = next(unknown if is_unknown else known, None) or next(known, None)
        if utterance is None:
            return
        placed = _placed(utterance, at, levels, _draw(rng, numbers.snr_db), material.audio[utterance.clip])
        yield placed
        said += placed.kind == "word"
        least, mean = numbers.gap_s
        at = placed.until + round((least + rng.exponential(max(mean - least, 0))) * SAMPLE_RATE_HZ)


def _placed(utterance: Utterance, at: int, levels: Sequence[_Level], snr_db: float, clip: Samples) -> Placement:
    first, last = max(0, utterance.start - _MARGIN), min(CLIP_SAMPLES, utterance.end + _MARGIN)
    onset, end = at + utterance.start - first, at + utterance.end - first
    loudest_db = 20 * np.log10(_HIGHEST_PEAK * 2**15 / np.abs(clip[first:last].astype(np.int32)).max())
    gain_db = round(min(_level(levels, onset) + snr_db - utterance.dbfs, float(loudest_db)), 2)
    kind: Kind = "unknown" if utterance.word == UNKNOWN_CLASS else "word"
    return Placement(kind, utterance.clip, utterance.word, at, first, last, gain_db, onset, end, round(snr_db, 2))


def _speech(
    speech: Sequence[Recording], levels: Sequence[_Level], snr_db: Range, at: int, rng: np.random.Generator
) -> Iterator[Placement]:
    for recording in speech:
        at += _LEAD
        ratio_db, end = _draw(rng, snr_db), at + recording.samples
        gain_db = round(min(_level(levels, at) + ratio_db - recording.dbfs, recording.headroom_db), 2)
        yield Placement("speech", recording.path, "", at, 0, recording.samples, gain_db, at, end, round(ratio_db, 2))
        at = end


def _deck(utterances: Sequence[Utterance], rng: np.random.Generator) -> Iterator[Utterance]:
    """All of them in random order, then again in another one, without an end; nothing of none."""
    while utterances:
        for place in rng.permutation(len(utterances)):
            yield utterances[place]


def _level(levels: Sequence[_Level], at: int) -> float:
    return levels[bisect_right(levels, at, key=lambda level: level.until)].dbfs


def _draw(rng: np.random.Generator, ends: Range) -> float:
    return float(rng.uniform(*ends))


def as_csv(stream: Plan) -> str:
    """A manifest as CSV, one row for each placement."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Placement._fields, *stream.placements])
    return text.getvalue()

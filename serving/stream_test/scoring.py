"""Misses, false accepts and delays: what was heard in a stream against the words that its manifest says were spoken."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.stats import chi2

from features.views import SAMPLE_RATE_HZ
from serving.recognizer import MS, Heard
from serving.stream_test.plan import Placement, Plan
from serving.stream_test.settings import Rules

During: TypeAlias = Literal["the same word", "another word", "an unknown word", "speech", "background"]
DURING: Final[tuple[During, ...]] = ("the same word", "another word", "an unknown word", "speech", "background")


class Hit(NamedTuple):
    """A word that was heard; the delay is from its end to the end of the window, in seconds."""

    word: Placement
    delay_s: float


class FalseAccept(NamedTuple):
    """A word that was heard and not spoken, or once too often, and what sounded at that time."""

    heard: Heard
    during: During


class Outcome(NamedTuple):
    """What a threshold makes of a stream.

    Attributes:
        hits: the words that were heard.
        missed: the others.
        false_accepts: in order of time.
    """

    hits: tuple[Hit, ...]
    missed: tuple[Placement, ...]
    false_accepts: tuple[FalseAccept, ...]


class Rate(NamedTuple):
    """Events per hour and the ends of their 95 % interval."""

    per_hour: float
    lowest: float
    highest: float


def score(stream: Plan, found: Sequence[Heard], rules: Rules) -> Outcome:
    """Compare what was heard with what was said.

    A word is a hit where it is heard after its onset and at most `tolerance_ms` after its end. Each word counts once:
    what else is heard is a false accept, unless it is the same word within `grace_ms`.

    Args:
        stream: the manifest.
        found: what was heard, in order of time.
        rules: what counts.
    """
    open_words: defaultdict[str, list[Placement]] = defaultdict(list)
    for word in stream.words:
        open_words[word.label].append(word)
    hits: dict[Placement, float] = {}
    false_accepts = []
    for each in found:
        end = round(each.time_s * SAMPLE_RATE_HZ)
        near = _near(open_words[each.word], end, max(rules.tolerance_ms, rules.grace_ms))
        fresh = [word for word in near if word not in hits and end <= word.end + rules.tolerance_ms * MS]
        if fresh:
            hits[fresh[0]] = (end - fresh[0].end) / SAMPLE_RATE_HZ
        elif not any(end <= word.end + rules.grace_ms * MS for word in near):
            false_accepts.append(FalseAccept(each, _during(stream, each, end, rules)))
    missed = tuple(word for word in stream.words if word not in hits)
    return Outcome(tuple(Hit(*each) for each in hits.items()), missed, tuple(false_accepts))


def _near(words: Sequence[Placement], end: int, after_ms: int) -> list[Placement]:
    """Of words in order of time those that began before a sample and ended at most so long before it."""
    last = bisect_right(words, end, key=lambda word: word.onset)
    first = bisect_left(words, end - after_ms * MS, hi=last, key=lambda word: word.end)
    return list(words[first:last])


def _during(stream: Plan, each: Heard, end: int, rules: Rules) -> During:
    """What sounded when a word was heard that nobody said then."""
    around = [
        placement
        for placement in stream.between(end - (rules.tolerance_ms + 1000) * MS, end)
        if placement.kind != "noise" and placement.end >= end - rules.tolerance_ms * MS
    ]
    if any(placement.kind == "word" and placement.label == each.word for placement in around):
        return "the same word"
    kinds = {placement.kind for placement in around}
    if "word" in kinds:
        return "another word"
    if "unknown" in kinds:
        return "an unknown word"
    return "speech" if "speech" in kinds else "background"


def rate(events: int, hours: float) -> Rate:
    """Events per hour with the exact 95 % interval of a Poisson count (Garwood, 1936).

    Of no event at all the interval has one end: the rate that gives none in 5 % of the cases, 3 / hours.
    """
    if events == 0:
        return Rate(0.0, 0.0, float(-np.log(0.05)) / hours)
    lowest, highest = chi2.ppf(0.025, 2 * events) / 2, chi2.ppf(0.975, 2 * events + 2) / 2
    return Rate(events / hours, float(lowest) / hours, float(highest) / hours)

"""Thresholds from the validation stream: one for all words, and one for each of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from serving.stream_test.listening import Listened
from serving.stream_test.scoring import Outcome

THRESHOLDS: Final = tuple(round(number, 3) for number in np.arange(0, 1.0001, 0.005).tolist())


class Point(NamedTuple):
    """A row of the curve: what one threshold for all words makes of a stream."""

    threshold: float
    missed: int
    false_accepts: int


def counts(outcome: Outcome) -> tuple[int, int]:
    """Words missed, false accepts."""
    return len(outcome.missed), len(outcome.false_accepts)


def sweep(listened: Listened) -> list[Point]:
    """What every threshold makes of a stream."""
    return [Point(each, *counts(listened.outcome_of_one(each))) for each in THRESHOLDS]


def for_all(points: Sequence[Point], hours: float, false_accepts_per_hour: float) -> float:
    """The lowest threshold from which on no higher one lets pass more per hour; the highest where there is none."""
    found = points[-1].threshold
    for point in reversed(points):
        if point.false_accepts > false_accepts_per_hour * hours:
            break
        found = point.threshold
    return found


class _Choice(NamedTuple):
    """What a threshold makes of a stream in which one word alone is listened for."""

    threshold: float
    hits: int
    false_accepts: int


def for_each(listened: Listened, one: float, false_accepts_per_hour: float) -> dict[str, float]:
    """A threshold for each word, so that all words together let pass no more per hour and as few as can be are missed.

    All thresholds begin at the top. Then the word goes down that gains most hits for a further false accept, to the
    highest threshold that gains them, as long as the false accepts are few enough. Words hide one another, since after
    one no other is heard for a time: where all together let pass more than each alone, those with most are raised.
    Where one threshold for all words misses fewer, it is that of each.

    Args:
        listened: the validation stream.
        one: the threshold for all words.
        false_accepts_per_hour: of all words together.

    Returns:
        Word → threshold, in order of the model's classes.
    """
    most = false_accepts_per_hour * listened.stream.hours
    choices = {word: _choices(listened, word, most) for word in listened.scores.words[::-1]}
    chosen = {word: each[0] for word, each in choices.items()}
    while steps := [
        (_worth(chosen[word], each), each.threshold, word, each)
        for word, lower in choices.items()
        for each in lower
        if each.hits > chosen[word].hits and _total(chosen) - chosen[word].false_accepts + each.false_accepts <= most
    ]:
        *_, word, best = max(steps)
        chosen[word] = best
    found = {word: each.threshold for word, each in chosen.items()}
    while len(accepted := listened.outcome(found).false_accepts) > most:
        heard = Counter(each.heard.word for each in accepted if found[each.heard.word] < THRESHOLDS[-1])
        if not heard:
            break
        ((word, _),) = heard.most_common(1)
        found[word] = THRESHOLDS[THRESHOLDS.index(found[word]) + 1]
    missed, same = len(listened.outcome(found).missed), listened.outcome_of_one(one)
    is_better = len(same.missed) < missed and len(same.false_accepts) <= most
    return dict.fromkeys(found, one) if is_better else found


def _choices(listened: Listened, word: str, most: float) -> list[_Choice]:
    """What thresholds make of a word alone, the highest first, down to where more than so many false accepts pass."""
    found: list[_Choice] = []
    for threshold in reversed(THRESHOLDS):
        outcome = listened.outcome({word: threshold})
        found.append(_Choice(threshold, len(outcome.hits), len(outcome.false_accepts)))
        if found[-1].false_accepts > most:
            break
    return found


def _worth(one: _Choice, other: _Choice) -> float:
    """Hits gained for a further false accept."""
    further = other.false_accepts - one.false_accepts
    return (other.hits - one.hits) / further if further > 0 else math.inf


def _total(chosen: Mapping[str, _Choice]) -> int:
    return sum(each.false_accepts for each in chosen.values())

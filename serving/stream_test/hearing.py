"""The recognizer's decisions over a whole stream at once, for any thresholds, from the probabilities of its windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.views import CLIP_SAMPLES
from serving.recognizer import MS, Heard, Listening

Floats = npt.NDArray[np.float32]


class Scores(NamedTuple):
    """The averaged probabilities of each window that can be heard.

    Attributes:
        ends: last samples of the windows, plus one; int64, (windows,).
        words: the classes that can be heard, the last one first.
        averaged: their averaged probabilities, float32, (windows, words).
        best: the highest of each window, float64, (windows,).
    """

    ends: npt.NDArray[np.int64]
    words: tuple[str, ...]
    averaged: Floats
    best: npt.NDArray[np.float64]


def word_scores(probabilities: Floats, classes: Sequence[str], words: Sequence[str], listening: Listening) -> Scores:
    """What `Recognizer` compares with the thresholds.

    Args:
        probabilities: of all windows of a stream, float32, (windows, classes).
        classes: class names in order of the probabilities.
        words: the classes that can be heard, at least one.
        listening: the recognizer's times.
    """
    count = listening.averaged_windows
    windows = max(0, len(probabilities) - count + 1)
    places = [place for place, name in enumerate(classes) if name in words][::-1]
    averaged = np.zeros((windows, len(places)), np.float32)
    for later in range(count):
        averaged += probabilities[later : later + windows, places]
    averaged /= np.float32(count)
    step = listening.step_ms * MS
    ends = CLIP_SAMPLES + step * (np.arange(windows) + count - 1)
    best = averaged.max(axis=1).astype(np.float64)
    return Scores(ends, tuple(classes[place] for place in places), averaged, best)


def heard(scores: Scores, thresholds: Mapping[str, float], listening: Listening) -> list[Heard]:
    """The words that `Recognizer` hears.

    Args:
        scores: of a stream.
        thresholds: for each word the averaged probability from which on it is heard; words without one never are.
        listening: the recognizer's times.
    """
    least = np.array([thresholds.get(word, np.inf) for word in scores.words])
    windows = np.flatnonzero(scores.best >= least.min())
    passing = scores.averaged[windows].astype(np.float64)
    passing[passing < least] = -1
    places = passing.argmax(axis=1)  # of equal ones the first: the last class, as the recognizer has it
    best = passing[np.arange(len(windows)), places]
    windows, places, best = windows[best >= 0], places[best >= 0], best[best >= 0]
    ends, found, place = scores.ends[windows], [], 0
    while place < len(windows):
        end = int(ends[place])
        found.append(Heard.at(scores.words[places[place]], end, float(best[place])))
        place = int(np.searchsorted(ends, end + max(1, listening.refractory_ms * MS)))
    return found

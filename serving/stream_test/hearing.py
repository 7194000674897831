"""The recognizer's decisions over a whole stream at once, for any threshold, from the probabilities of its windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.views import CLIP_SAMPLES
from serving.recognizer import MS, Heard, Listening

Floats = npt.NDArray[np.float32]


class Scores(NamedTuple):
    """The best word of each window that can be heard.

    Attributes:
        ends: last samples of the windows, plus one; int64, (windows,).
        words: places of the words among the classes, int64, (windows,).
        scores: their averaged probabilities, float32, (windows,).
    """

    ends: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    scores: Floats


def best_words(probabilities: Floats, classes: Sequence[str], words: Sequence[str], listening: Listening) -> Scores:
    """What `Recognizer` compares with a threshold that all words share.

    Args:
        probabilities: of all windows of a stream, float32, (windows, classes).
        classes: class names in order of the probabilities.
        words: the classes that can be heard, at least one.
        listening: the recognizer's times.
    """
    count = listening.averaged_windows
    windows = max(0, len(probabilities) - count + 1)
    averaged = np.zeros((windows, len(classes)), np.float32)
    for later in range(count):
        averaged += probabilities[later : later + windows]
    averaged /= np.float32(count)
    places = np.array([place for place, name in enumerate(classes) if name in words][::-1])
    of_words = averaged[:, places]  # of equal ones argmax finds the first: the last class, as the recognizer has it
    best = of_words.argmax(axis=1)
    step = listening.step_ms * MS
    ends = CLIP_SAMPLES + step * (np.arange(windows) + count - 1)
    return Scores(ends, places[best], of_words[np.arange(windows), best])


def heard(scores: Scores, threshold: float, classes: Sequence[str], listening: Listening) -> list[Heard]:
    """The words that `Recognizer` hears with one threshold for all of them."""
    passing = np.flatnonzero(scores.scores.astype(np.float64) >= threshold)
    ends, found, place = scores.ends[passing], [], 0
    while place < len(passing):
        window, end = passing[place], int(ends[place])
        found.append(Heard.at(classes[scores.words[window]], end, float(scores.scores[window])))
        place = int(np.searchsorted(ends, end + max(1, listening.refractory_ms * MS)))
    return found

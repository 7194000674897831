"""Hears words in an endless stream of samples: windows of a second, averaged probabilities, thresholds, a pause.

Windows begin at fixed samples of the stream, and every step is a function of the samples alone, so that what is heard
does not depend on how the stream was cut into pieces.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic.dataclasses import dataclass

from base.types import STRICT
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from serving.runtimes import FromFeatures
from serving.windows import Windows

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]

MS: Final = SAMPLE_RATE_HZ // 1000
"""Samples of a millisecond."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Listening:
    """How probabilities become words.

    Attributes:
        step_ms: from one window to the next; a multiple of the view's hop.
        average_ms: the probabilities of the windows of this time are averaged.
        refractory_ms: after a word, none is heard for this time.
    """

    step_ms: Annotated[int, Field(ge=10, le=500)] = 40
    average_ms: Annotated[int, Field(ge=0, le=2000)] = 200
    refractory_ms: Annotated[int, Field(ge=0, le=10_000)] = 700

    @property
    def averaged_windows(self) -> int:
        """How many windows are averaged."""
        return max(1, self.average_ms // self.step_ms)


@dataclasses.dataclass(frozen=True)
class Heard:
    """A word that was heard.

    Attributes:
        word: name of the class.
        time_s: end of the window at which it was heard, in seconds from the stream's beginning.
        score: its averaged probability, 0..1.
    """

    word: str
    time_s: float
    score: float

    @staticmethod
    def at(word: str, end: int, score: float) -> Heard:
        """A word heard at a window that ends at a sample of the stream."""
        return Heard(word, end / SAMPLE_RATE_HZ, score)


class Step(NamedTuple):
    """One window of the stream.

    Attributes:
        time_s: its end, in seconds from the stream's beginning.
        probabilities: averaged, float32, (classes,).
        heard: the word, or None.
        features: what the network read, float32, the shape of the view; not to be changed.
    """

    time_s: float
    probabilities: Floats
    heard: Heard | None
    features: Floats


class Recognizer:
    """Fixed state, fed any number of samples at a time."""

    def __init__(
        self,
        windows: Windows,
        network: FromFeatures,
        classes: tuple[str, ...],
        thresholds: Mapping[str, float],
        listening: Listening,
    ) -> None:
        """Begin a stream.

        Args:
            windows: of the view that the network reads, fresh.
            network: from a window's features to probabilities.
            classes: class names in order of the probabilities.
            thresholds: for each word the averaged probability from which on it is heard; words without one never are.
            listening: the times.
        """
        self._windows = windows
        self._network = network
        self._classes = classes
        self._words = {
            place: thresholds[name]
            for place, name in enumerate(classes)
            if name in thresholds and name not in (SILENCE_CLASS, UNKNOWN_CLASS)
        }
        self._recent: deque[Floats] = deque(maxlen=listening.averaged_windows)
        self._refractory = listening.refractory_ms * MS
        self._deaf_until = 0

    def feed(self, samples: Samples) -> Iterator[Step]:
        """What the next samples complete.

        Args:
            samples: int16, (samples,), at 16 kHz, any number of them.

        Yields:
            Each window that ends within them, in order.
        """
        for start, features in self._windows.feed(samples):
            self._recent.append(self._network(features))
            averaged: Floats = np.mean(np.stack(self._recent), axis=0, dtype=np.float32)
            end = start + CLIP_SAMPLES
            yield Step(end / SAMPLE_RATE_HZ, averaged, self._word(averaged, end), features)

    def _word(self, averaged: Floats, end: int) -> Heard | None:
        if end < self._deaf_until or len(self._recent) < (self._recent.maxlen or 1):
            return None
        scores = {place: float(averaged[place]) for place in self._words}
        passing = [(score, place) for place, score in scores.items() if score >= self._words[place]]
        if not passing:
            return None
        score, place = max(passing)
        self._deaf_until = end + self._refractory
        return Heard.at(self._classes[place], end, score)

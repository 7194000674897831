"""What a stream is made of, how it is listened to and what counts as a hit; and the rules of other such tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from base.types import STRICT, Fraction, PositiveFloat, Seed
from features.views import View
from serving.recognizer import Listening
from serving.windows import is_step

RulesName: TypeAlias = Literal["house", "tensorflow", "mlperf_tiny", "micro_wake_word"]
Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class StreamNumbers:
    """What a stream is made of; ranges are [lowest, highest], and each clip draws its own number.

    Attributes:
        hours: length of the part with words.
        gap_s: silence between two words: at least the first number, and on average the second.
        unknown_share: of the words, those that the model has no class for.
        noise_dbfs: level of the background, root mean square, drawn again every `noise_s` seconds.
        noise_s: seconds of one background recording.
        snr_db: level of a word above the background at its place.
        false_accepts_per_hour: the most that the threshold may let pass in the validation stream.
        seed: decides all draws.
    """

    hours: PositiveFloat
    gap_s: tuple[PositiveFloat, PositiveFloat]
    unknown_share: Annotated[float, Field(ge=0, lt=1)]
    noise_dbfs: Range
    noise_s: tuple[PositiveFloat, PositiveFloat]
    snr_db: Range
    false_accepts_per_hour: Annotated[float, Field(ge=0)]
    seed: Seed


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Rules:
    """How a stream is listened to, and what counts.

    Attributes:
        listening: the recognizer's times.
        tolerance_ms: a word is a hit until so long after its end.
        grace_ms: a detection of the right word until so long after its end is no false accept, though it may be no hit.
        words: the most words that are said, or None for as many as fit.
        spoken_share: the part of the stream in which words are said, from its beginning.
        most_misses, most_false_accepts: the numbers to pass the test, or None.
    """

    listening: Listening
    tolerance_ms: Annotated[int, Field(ge=0, le=5000)]
    grace_ms: Annotated[int, Field(ge=0, le=5000)] = 0
    words: int | None = None
    spoken_share: Fraction = 1.0
    most_misses: int | None = None
    most_false_accepts: int | None = None


RULES: Final[dict[RulesName, Rules]] = {
    "house": Rules(listening=Listening(), tolerance_ms=1000),
    "tensorflow": Rules(
        listening=Listening(step_ms=30, average_ms=500, refractory_ms=500),
        tolerance_ms=1500,
    ),
    "mlperf_tiny": Rules(
        listening=Listening(step_ms=32, average_ms=0, refractory_ms=1000),
        tolerance_ms=500,
        grace_ms=1000,
        words=50,
        spoken_share=0.5,
        most_misses=8,
        most_false_accepts=8,
    ),
    "micro_wake_word": Rules(
        listening=Listening(step_ms=30, average_ms=150, refractory_ms=750),
        tolerance_ms=1000,
    ),
}
"""By the name of the test whose rules they are.

tensorflow: test_streaming_accuracy.cc and generate_streaming_test_wav.py of TensorFlow's speech_commands: words every
    three seconds for ten minutes, 30 % of them unknown, averages over 500 ms, hits until 1,500 ms from the word. Theirs
    hears no word twice in a row; here one may follow itself.
mlperf_tiny: the streaming wake word of MLPerf Tiny: 20 minutes, 50 words at least 4 s apart and 11 s on average, all in
    the first half, no averages; detections until 0.5 s after a word are hits and until 1 s none is false; at most 8
    words missed and 8 false detections. Theirs plays MUSAN's speech and music; here the corpus's noise.
micro_wake_word: test.py of microWakeWord: averages over 5 outputs 30 ms apart, and 25 outputs ignored after a word.
"""

_NUMBERS: Final[dict[RulesName, dict[str, object]]] = {
    "house": {},
    "tensorflow": {"hours": 1 / 6, "gap_s": (1.0, 2.0), "unknown_share": 0.3},
    "mlperf_tiny": {"hours": 1 / 3, "gap_s": (4.0, 11.0), "unknown_share": 0.0},
    "micro_wake_word": {},
}


def numbers_of(name: RulesName, numbers: StreamNumbers) -> StreamNumbers:
    """The numbers of a stream by some rules: those given, but for what the rules say of it."""
    return replace(numbers, **_NUMBERS[name])  # type: ignore[arg-type]


def fitting(rules: Rules, view: View) -> Rules:
    """The rules with the shortest step, from their own on, that a view's windows can take."""
    longest = 500
    steps = (step for step in range(rules.listening.step_ms, longest) if is_step(view, step))
    return replace(rules, listening=replace(rules.listening, step_ms=next(steps, longest)))

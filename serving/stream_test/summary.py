"""What a stream test found: the thresholds, the curve, the figures of the test stream, as files and as text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic.dataclasses import dataclass
from tabulate import tabulate

from base.files import to_json, write_text
from base.types import STRICT
from results.metrics import wilson_interval
from serving.stream_test.cost import ListeningCost
from serving.stream_test.listening import Listened, Listener
from serving.stream_test.scoring import DURING, Outcome, rate
from serving.stream_test.settings import Rules, StreamNumbers
from serving.stream_test.thresholds import Point, counts

FORMAT: Final = "keyword-spotting-stream-test/2"
STREAM_FILE: Final = "stream.json"
CURVE_FILE: Final = "curve.csv"
WORDS_FILE: Final = "words.csv"
FALSE_ACCEPTS_FILE: Final = "false_accepts.csv"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class StreamSummary:
    """What stream.json says.

    Attributes:
        model: name of the model.
        rules_name: whose rules.
        numbers, rules: what the streams were made of, and what counted.
        seconds: duration of the validation stream and of the test stream.
        words: spoken in the validation stream and in the test stream.
        thresholds: for each word the averaged probability from which on it was heard.
        missed: words of the test stream that were not heard.
        false_accepts: in the test stream, by what sounded.
        one_threshold: what the best single threshold for all words would have made of the test stream.
        delay_s: from the end of a word to the end of the window at which it was heard: median and 90th percentile.
        real_time_factor: seconds of one core for a second of audio.
        peak_bytes: largest resident memory of a process that listens.
        passed: whether the numbers of the rules are met; None where they have none.
        format: of the description itself.
    """

    model: str
    rules_name: str
    numbers: StreamNumbers
    rules: Rules
    seconds: dict[str, float]
    words: dict[str, int]
    thresholds: dict[str, float]
    missed: int
    false_accepts: dict[str, int]
    one_threshold: Point
    delay_s: tuple[float, float] | None
    real_time_factor: float
    peak_bytes: int
    passed: bool | None
    format: str = FORMAT


def summary(
    listener: Listener,
    rules_name: str,
    validation: Listened,
    test: Listened,
    thresholds: Mapping[str, float],
    one_threshold: float,
    cost: ListeningCost,
) -> StreamSummary:
    """The figures of a stream test.

    Args:
        listener: who listened.
        rules_name: whose rules.
        validation, test: the streams.
        thresholds: of each word, chosen on validation.
        one_threshold: for all words, chosen on validation.
        cost: of listening.
    """
    streams = {"validation": validation.stream, "test": test.stream}
    rules, outcome = test.rules, test.outcome(thresholds)
    delays = [hit.delay_s for hit in outcome.hits]
    missed, false_accepts = counts(outcome)
    limits = (missed, rules.most_misses), (false_accepts, rules.most_false_accepts)
    passed = [found <= most for found, most in limits if most is not None]
    return StreamSummary(
        model=listener.model.export.model,
        rules_name=rules_name,
        numbers=listener.numbers,
        rules=rules,
        seconds={name: round(each.hours * 3600, 3) for name, each in streams.items()},
        words={name: len(each.words) for name, each in streams.items()},
        thresholds=dict(thresholds),
        missed=missed,
        false_accepts=_during(outcome),
        one_threshold=Point(one_threshold, *counts(test.outcome_of_one(one_threshold))),
        delay_s=(float(np.median(delays)), float(np.percentile(delays, 90))) if delays else None,
        real_time_factor=cost.real_time_factor,
        peak_bytes=cost.peak_bytes,
        passed=all(passed) if passed else None,
    )


def _during(outcome: Outcome) -> dict[str, int]:
    counted = Counter(each.during for each in outcome.false_accepts)
    return {name: counted[name] for name in DURING if name in counted}


def write(folder: Path, found: StreamSummary, curves: Mapping[str, list[Point]], outcome: Outcome) -> None:
    """Write the figures and the tables: the curve, the words, each false accept; stream.json last."""
    rows = [(stream, *point) for stream, points in curves.items() for point in points]
    _write_csv(folder / CURVE_FILE, ("stream", *Point._fields), rows)
    _write_csv(
        folder / WORDS_FILE,
        ("word", "threshold", "spoken", "missed", "false_accepts"),
        by_word(found.thresholds, outcome),
    )
    events = (
        (f"{each.heard.time_s:.3f}", each.heard.word, f"{each.heard.score:.3f}", each.during)
        for each in outcome.false_accepts
    )
    _write_csv(folder / FALSE_ACCEPTS_FILE, ("time_s", "word", "score", "during"), events)
    content = {**asdict(found), "one_threshold": found.one_threshold._asdict()}
    write_text(str(folder / STREAM_FILE), to_json(content))


def by_word(thresholds: Mapping[str, float], outcome: Outcome) -> list[tuple[str, float, int, int, int]]:
    """Of each word its threshold, and how often it was spoken, missed and heard for nothing, in alphabetical order."""
    missed = Counter(word.label for word in outcome.missed)
    spoken = missed + Counter(hit.word.label for hit in outcome.hits)
    false_accepts = Counter(each.heard.word for each in outcome.false_accepts)
    return [(word, thresholds[word], spoken[word], missed[word], false_accepts[word]) for word in sorted(thresholds)]


def for_people(found: StreamSummary, outcome: Outcome) -> str:
    """The figures as text: the stream as a whole, then each word."""
    words, hours = found.words["test"], found.seconds["test"] / 3600
    low, high = wilson_interval(found.missed, words)
    total = sum(found.false_accepts.values())
    per_hour = rate(total, hours)
    between = f"{_few(per_hour.lowest)} to {_few(per_hour.highest)}" if total else f"less than {_few(per_hour.highest)}"
    most = found.numbers.false_accepts_per_hour
    lines = [
        ("words missed", f"{found.missed} of {words}, {_share(found.missed, words)} ({low:.1%} to {high:.1%})"),
        ("false accepts", f"{total} in {hours:.2f} h, {_few(per_hour.per_hour)} per hour ({between})"),
    ]
    if total:
        lines.append(("during", ", ".join(f"{name}: {found.false_accepts[name]}" for name in found.false_accepts)))
    if found.delay_s:
        lines.append(("after the word", "median {:.2f} s, 90th percentile {:.2f} s".format(*found.delay_s)))
    lines += [
        ("thresholds", f"below, of at most {most:g} false accepts per hour in validation"),
        ("one for all", "{:g}: {} missed, {} false accepts".format(*found.one_threshold)),
        ("one core", f"{found.real_time_factor:.3f} s for a second of audio, {found.peak_bytes / 1e6:.0f} MB"),
    ]
    if found.passed is not None:
        limits = f"at most {found.rules.most_misses} missed, at most {found.rules.most_false_accepts} false accepts"
        lines.append((found.rules_name, f"{'passed' if found.passed else 'not passed'}: {limits}"))
    rows = by_word(found.thresholds, outcome)
    table = tabulate(rows, ("word", "threshold", "spoken", "missed", "false accepts"), floatfmt=".3f")
    return f"{tabulate(lines, tablefmt='plain')}\n\n{table}\n"


def _few(number: float) -> str:
    return f"{number:.1f}" if number < 10 else f"{number:.0f}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0%"


def _write_csv(place: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_text(str(place), text.getvalue())

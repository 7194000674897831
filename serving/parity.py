"""How near each format of an export comes to the trained model: on all test clips, clip by clip."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from base import command
from base.errors import DataError
from results.metrics import wilson_interval
from results.parity import Parity
from results.predictions import Predictions
from serving.cost import FormatCost
from serving.description import Export, Format
from serving.runtimes import Classify

_CLIPS_AT_ONCE: Final = 64
_POINT: Final = 0.01


def parity(name: str, found: Predictions, trained: Predictions, size_bytes: int) -> Parity:
    """Compare what a format says of the test clips with what the trained model says of the same."""
    correct = int((found.predictions == trained.labels).sum())
    low, high = wilson_interval(correct, len(trained.labels))
    return Parity(
        name=name,
        accuracy=correct / len(trained.labels),
        low=low,
        high=high,
        equal=float((found.predictions == trained.predictions).mean()),
        difference=float(np.abs(found.probabilities - trained.probabilities).max()),
        bytes=size_bytes,
        clips=len(trained.labels),
    )


def predictions_of(classify: Classify, audio: npt.NDArray[np.int16], of: Predictions, name: str) -> Predictions:
    """What a format says of some clips.

    Args:
        classify: the format.
        audio: int16, (clips, 16000), in the order of the clips of `of`.
        of: the clips, their labels and the classes.
        name: of the format, for the progress.
    """
    starts = range(0, len(audio), _CLIPS_AT_ONCE)
    batches = (audio[start : start + _CLIPS_AT_ONCE] for start in starts)
    said = [classify(batch) for batch in command.with_progress(batches, len(starts), "batch", name)]
    return Predictions(of.ids, of.labels, np.concatenate(said), of.classes)


def rows(
    formats: Iterable[tuple[Format, Classify]], export: Export, audio: npt.NDArray[np.int16], trained: Predictions
) -> list[Parity]:
    """The trained model and each format on the test clips.

    Args:
        formats: name and function of each.
        export: what it says of itself.
        audio: of the test clips, int16, (clips, 16000).
        trained: what the trained model says of the same clips, in the same order.
    """
    table = [parity("keras", trained, trained, 0)]
    for name, classify in formats:
        found = predictions_of(classify, audio, trained, name)
        table.append(parity(name, found, trained, export.models[name].bytes))
    return table


def check(table: Sequence[Parity], most_points_lost: float) -> None:
    """Make sure that no format is much worse than the trained model.

    Args:
        table: the trained model first.
        most_points_lost: percentage points of accuracy.

    Raises:
        DataError: a format loses more.
    """
    trained = table[0].accuracy
    lost = {each.name: (trained - each.accuracy) / _POINT for each in table[1:]}
    if worse := {name: points for name, points in lost.items() if points > most_points_lost + 1e-9}:
        told = ", ".join(f"{name} {points:.2f}" for name, points in worse.items())
        raise DataError(
            f"formats lose more than {most_points_lost:g} points of accuracy on {table[0].clips} test clips: {told}; "
            "raise export.max_points_lost in params.yaml if that is good enough, or calibrate with more clips"
        )


def for_people(table: Sequence[Parity], costs: Mapping[str, FormatCost]) -> list[tuple[object, ...]]:
    """The rows of a table for people, with the costs of the formats that were timed."""
    found: list[tuple[object, ...]] = []
    for each in table:
        accuracy = f"{each.accuracy:.1%} ({each.low:.1%} to {each.high:.1%})"
        agreement, timing = ("", "", ""), ("", "", "")
        if (cost := costs.get(each.name)) is not None:
            agreement = (f"{each.equal:.1%}", f"{each.difference:.2g}", f"{each.bytes / 1e3:,.0f}")
            latency = cost.latency
            timing = (f"{latency.median_ms:.2f}", f"{latency.p99_ms:.2f}", f"{cost.peak_bytes / 1e6:.0f}")
        found.append((each.name, accuracy, *agreement, *timing))
    return found


COLUMNS: Final = ("format", "accuracy", "equal", "difference", "kB", "median ms", "p99 ms", "peak MB")

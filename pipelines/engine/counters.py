"""What the engines' own metrics count: items, clips and rejects of each step, and how long a step takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from apache_beam.metrics.metric import Metrics, MetricsFilter
from apache_beam.runners.runner import PipelineResult

NAMESPACE: Final = "keyword spotting"
_MILLISECONDS: Final = "milliseconds"


def count(step: str, seconds: float, counts: Mapping[str, int]) -> None:
    """Count an item that a step has finished, in a worker of Beam.

    Args:
        step: name of the step.
        seconds: that it took.
        counts: what else to count, such as clips.
    """
    Metrics.distribution(NAMESPACE, f"{step}: {_MILLISECONDS}").update(round(1000 * seconds))
    for name, number in counts.items():
        if number:
            Metrics.counter(NAMESPACE, f"{step}: {name}").inc(number)


def totals(result: PipelineResult) -> str:
    """What was counted in a pipeline, in one line; "" where its engine does not say."""
    try:
        found: dict[str, list[Any]] = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    except Exception:  # each engine has its own
        return ""
    counters = {each.key.metric.name: each.result for each in found["counters"]}
    times = {each.key.metric.name.removesuffix(f" {_MILLISECONDS}"): each.result for each in found["distributions"]}
    said = [f"{name} {number}" for name, number in sorted(counters.items()) if number is not None]
    said += [f"{name} {time.count} in {time.sum / 1000:.1f} s" for name, time in sorted(times.items()) if time]
    return ", ".join(said)

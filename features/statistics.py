"""Mean, spread and range of each coefficient, as totals that merge in any grouping and are divided once at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from base.files import to_json
from features.views import View

Floats: TypeAlias = "npt.NDArray[np.float64]"


@dataclass(frozen=True)
class Statistics:
    """Statistics of each coefficient of a view over the clips of a split; arrays are float64, (view.width,)."""

    clips: int
    values: int
    mean: Floats
    std: Floats
    min: Floats
    max: Floats

    def to_dict(self) -> dict[str, Any]:
        """The statistics as JSON can hold them, without loss; `values` counts the values of each coefficient."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "std", "min", "max")}
        return {"clips": self.clips, "values": self.values, **arrays}

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Statistics:
        """The inverse of `to_dict`."""
        arrays = {name: np.asarray(content[name], np.float64) for name in ("mean", "std", "min", "max")}
        return Statistics(clips=content["clips"], values=content["values"], **arrays)


def statistics_json(statistics: Mapping[str, Statistics]) -> str:
    """Content of statistics.json: the statistics of each split under its name."""
    return to_json({split: each.to_dict() for split, each in statistics.items()})


def read_statistics(text: str) -> dict[str, Statistics]:
    """The inverse of `statistics_json`."""
    return {split: Statistics.from_dict(content) for split, content in json.loads(text).items()}


@dataclass(frozen=True)
class Totals:
    """Totals of each coefficient over some clips; arrays are float64, (view.width,)."""

    clips: int
    values: int
    sum: Floats
    sum_of_squares: Floats
    min: Floats
    max: Floats

    def to_dict(self) -> dict[str, Any]:
        """The totals as JSON can hold them, without loss."""
        arrays = {name: getattr(self, name).tolist() for name in ("sum", "sum_of_squares", "min", "max")}
        return {"clips": self.clips, "values": self.values, **arrays}

    @staticmethod
    def from_dict(content: dict[str, Any]) -> Totals:
        """The inverse of `to_dict`."""
        arrays = {name: np.asarray(content[name], np.float64) for name in ("sum", "sum_of_squares", "min", "max")}
        return Totals(clips=content["clips"], values=content["values"], **arrays)


def no_totals(view: View) -> Totals:
    """The totals of no clips."""
    zeros = np.zeros(view.width)
    return Totals(0, 0, zeros, zeros, zeros + np.inf, zeros - np.inf)


class RunningTotals:
    """Totals that grow as clips come."""

    def __init__(self, view: View) -> None:
        self._width, self._scale = view.width, np.float32(view.scale)
        self._clips = self._values = 0
        self._sum, self._sum_of_squares = np.zeros((2, view.width))
        self._min, self._max = np.full((2, view.width), [[np.inf], [-np.inf]], np.float32)

    def add(self, features: npt.NDArray[Any]) -> None:
        """Add some clips.

        Args:
            features: (clips, *view.shape), of the view's dtype; whole numbers count times the view's scale.
        """
        from features import loops  # and Numba, which takes a while and which readers of statistics do not need

        values = features if features.dtype == np.float32 else features * self._scale
        rows = values.reshape(-1, self._width)
        loops.add_to_totals(rows, self._sum, self._sum_of_squares, self._min, self._max)
        self._clips += len(features)
        self._values += len(rows)

    def totals(self) -> Totals:
        """The totals of what was added so far."""
        lowest, highest = self._min.astype(np.float64), self._max.astype(np.float64)
        return Totals(self._clips, self._values, self._sum.copy(), self._sum_of_squares.copy(), lowest, highest)


def totals_of(features: npt.NDArray[Any], view: View) -> Totals:
    """Totals of some clips, as `RunningTotals.add` takes them."""
    running = RunningTotals(view)
    running.add(features)
    return running.totals()


def merge(parts: Iterable[Totals], view: View) -> Totals:
    """Totals of several parts together; the order of the parts decides the last bits of the sums."""
    merged = no_totals(view)
    for part in parts:
        merged = Totals(
            merged.clips + part.clips,
            merged.values + part.values,
            merged.sum + part.sum,
            merged.sum_of_squares + part.sum_of_squares,
            np.minimum(merged.min, part.min),
            np.maximum(merged.max, part.max),
        )
    return merged


def finish(totals: Totals) -> Statistics:
    """Statistics from totals of at least one clip; the standard deviation is that of the population."""
    mean = totals.sum / totals.values
    variance = np.maximum(totals.sum_of_squares / totals.values - mean**2, 0.0)
    return Statistics(totals.clips, totals.values, mean, np.sqrt(variance), totals.min, totals.max)

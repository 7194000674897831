"""The ways in which two groups of clips can differ: each with its size, its standard error and its threshold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic.dataclasses import dataclass as checked_dataclass

from base.types import STRICT, Fraction
from registry.drift.profile import SplitProfile

NotNegative = Annotated[float, Field(ge=0)]

_LEAST_STD: Final = 1e-6
"""Stands in for the spread of a coefficient that never changes."""
_MEDIAN_ERROR: Final = float(np.sqrt(np.pi / 2))
"""Standard error of a median in units of that of a mean, for a normal distribution."""


@checked_dataclass(frozen=True, config=STRICT, kw_only=True)
class Thresholds:
    """How far two groups of clips may differ; each limit is widened by `chance_standard_errors` × the standard error.

    Attributes:
        max_missing_classes: classes with clips in the reference and none here.
        max_class_share_difference: change of a class's share of the clips, 0..1.
        max_coefficient_mean_shift_std: shift of a coefficient's mean, in standard deviations of the reference.
        max_coefficient_spread_ratio: ratio of a coefficient's standard deviations, the larger to the smaller one.
        max_loudness_difference_db: change of the spoken clips' median loudness.
        max_loudness_ks: two-sample Kolmogorov-Smirnov statistic of the spoken clips' loudness, 0..1.
        max_padded_share_difference: change of the share of spoken clips that are shorter than a second, 0..1.
        max_silent_share_difference: change of the share of spoken clips below `silent_below_dbfs`, 0..1.
        max_clipped_share_difference: change of the share of spoken clips with clipped samples, 0..1.
        silent_below_dbfs: a spoken clip quieter than this counts as silent.
        chance_standard_errors: how many standard errors of the difference count as sampling error.
    """

    max_missing_classes: Annotated[int, Field(ge=0)]
    max_class_share_difference: Fraction
    max_coefficient_mean_shift_std: NotNegative
    max_coefficient_spread_ratio: Annotated[float, Field(ge=1)]
    max_loudness_difference_db: NotNegative
    max_loudness_ks: Fraction
    max_padded_share_difference: Fraction
    max_silent_share_difference: Fraction
    max_clipped_share_difference: Fraction
    silent_below_dbfs: Annotated[float, Field(ge=-90, le=0)]
    chance_standard_errors: NotNegative


@checked_dataclass(frozen=True, config=STRICT, kw_only=True)
class Validate:
    """The section `validate` of params.yaml.

    Attributes:
        against: another store or a folder of stores to look for drift from, or None.
        thresholds: how far splits and stores may differ.
    """

    against: Annotated[str, Field(min_length=1)] | None
    thresholds: Thresholds


@dataclass(frozen=True)
class Difference:
    """How far two groups of clips differ.

    Attributes:
        value: how large the difference is.
        standard_error: how large it comes out by chance when the groups do not differ.
        at: the class or coefficient where it is largest, empty where there is only one.
    """

    value: float
    standard_error: float = 0.0
    at: str = ""


Compare: TypeAlias = Callable[[SplitProfile, SplitProfile, Thresholds], Difference]


@dataclass(frozen=True)
class Measure:
    """One way in which two groups of clips can differ.

    Attributes:
        name: its name in tables and metrics.
        threshold: the field of `Thresholds` that limits it.
        of: the clips that it counts.
        advice: what to look at when it is too large.
        compare: how far a split differs from its reference.
    """

    name: str
    threshold: str
    of: Literal["all", "spoken", "coefficients"]
    advice: str
    compare: Compare


def _sampling(clips: int, others: int) -> float:
    """Standard error of a difference of two means, in standard deviations of one clip."""
    return float(np.sqrt(1 / clips + 1 / others))


def _share(clips: int, total: int, others: int, others_total: int) -> Difference:
    """Difference of two shares; by chance the two groups would both have the share of all clips together."""
    together = (clips + others) / (total + others_total)
    error = float(np.sqrt(together * (1 - together))) * _sampling(total, others_total)
    return Difference(abs(clips / total - others / others_total), error)


def _missing_classes(split: SplitProfile, reference: SplitProfile, _: Thresholds) -> Difference:
    missing = [name for name, clips in reference.classes.items() if clips and not split.classes.get(name)]
    return Difference(float(len(missing)), at=", ".join(missing))


def _class_share(split: SplitProfile, reference: SplitProfile, _: Thresholds) -> Difference:
    names = dict.fromkeys((*reference.classes, *split.classes))
    shares = {
        name: _share(split.classes.get(name, 0), split.clips, reference.classes.get(name, 0), reference.clips)
        for name in names
    }
    worst = max(shares, key=lambda name: shares[name].value)
    largest = shares[worst]
    return Difference(largest.value, largest.standard_error, worst if largest.value else "")


def _coefficient_mean(split: SplitProfile, reference: SplitProfile, _: Thresholds) -> Difference:
    """The frames of a clip count as one: were they all alike, the standard error would be this large."""
    shifts = np.abs(np.subtract(split.mean, reference.mean)) / np.maximum(reference.std, _LEAST_STD)
    return _largest(shifts, _sampling(split.clips, reference.clips))


def _coefficient_spread(split: SplitProfile, reference: SplitProfile, _: Thresholds) -> Difference:
    """The error of the logarithm of a ratio of standard deviations, one value a clip, normally distributed."""
    ratios = np.maximum(split.std, _LEAST_STD) / np.maximum(reference.std, _LEAST_STD)
    return _largest(np.maximum(ratios, 1 / ratios), _sampling(split.clips, reference.clips) / np.sqrt(2))


def _largest(values: npt.NDArray[np.float64], standard_error: float) -> Difference:
    worst = int(values.argmax())
    return Difference(float(values[worst]), float(standard_error), f"coefficient {worst}" if values.size > 1 else "")


def _loudness_median(split: SplitProfile, reference: SplitProfile, _: Thresholds) -> Difference:
    difference = float(np.median(split.loudness) - np.median(reference.loudness))
    total = split.spoken + reference.spoken
    variance = (split.spoken * split.loudness.var() + reference.spoken * reference.loudness.var()) / total
    error = _MEDIAN_ERROR * float(np.sqrt(variance)) * _sampling(split.spoken, reference.spoken)
    return Difference(abs(difference), error)


def _loudness_ks(split: SplitProfile, reference: SplitProfile, _: Thresholds) -> Difference:
    """The statistic is a difference of two shares, whose standard error is largest at a half."""
    from scipy.stats import ks_2samp

    statistic = float(ks_2samp(split.loudness, reference.loudness, method="asymp").statistic)
    return Difference(statistic, 0.5 * _sampling(split.spoken, reference.spoken))


def _share_of(count: Callable[[SplitProfile, Thresholds], int]) -> Compare:
    """The difference of the shares of spoken clips that are counted."""

    def compare(split: SplitProfile, reference: SplitProfile, thresholds: Thresholds) -> Difference:
        return _share(count(split, thresholds), split.spoken, count(reference, thresholds), reference.spoken)

    return compare


MEASURES: Final = (
    Measure(
        "missing_classes",
        "max_missing_classes",
        "all",
        "look at the words and the split under select in params.yaml",
        _missing_classes,
    ),
    Measure(
        "class_share_difference",
        "max_class_share_difference",
        "all",
        "look at unknown and silence under select, and at the clips of each word in the catalog",
        _class_share,
    ),
    Measure(
        "coefficient_mean_shift_std",
        "max_coefficient_mean_shift_std",
        "coefficients",
        "look at loudness, microphones and noise of the clips behind it",
        _coefficient_mean,
    ),
    Measure(
        "coefficient_spread_ratio",
        "max_coefficient_spread_ratio",
        "coefficients",
        "look at loudness, padding and noise of the clips behind it",
        _coefficient_spread,
    ),
    Measure(
        "loudness_difference_db",
        "max_loudness_difference_db",
        "spoken",
        "look at rms in the catalog: other gain, microphones or speakers",
        _loudness_median,
    ),
    Measure("loudness_ks", "max_loudness_ks", "spoken", "look at rms in the catalog, by archive", _loudness_ks),
    Measure(
        "padded_share_difference",
        "max_padded_share_difference",
        "spoken",
        "look at length in the catalog: clips cut otherwise, or damaged",
        _share_of(lambda split, _: split.padded),
    ),
    Measure(
        "silent_share_difference",
        "max_silent_share_difference",
        "spoken",
        "listen to the clips with the lowest rms in the catalog",
        _share_of(lambda split, thresholds: split.silent(thresholds.silent_below_dbfs)),
    ),
    Measure(
        "clipped_share_difference",
        "max_clipped_share_difference",
        "spoken",
        "look at clipped in the catalog: recordings with too much gain",
        _share_of(lambda split, _: split.clipped),
    ),
)
"""In the order of the tables."""

"""Compares profiles measure by measure: skew between the splits of a store, drift between two stores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from registry.drift.measures import MEASURES, Measure, Thresholds
from registry.drift.profile import Profile, SplitProfile

ComparisonKind = Literal["skew", "drift"]

REFERENCE_SPLIT: Final = "train"
"""The split that the others of a store are compared with."""


@dataclass(frozen=True)
class Verdict:
    """A measure of one split against its reference, and whether it is within its limit.

    Attributes:
        kind: "skew" against the train split of the same store, "drift" against the same split of another store.
        split: the split that was measured.
        against: what it was measured against.
        clips, against_clips: how many clips of each were compared.
        measure: name of the measure.
        at: the class or coefficient where it is largest.
        value: the measure.
        threshold: the largest difference that does no harm.
        chance: what sampling error may add to it, with this number of clips.
        ok: whether value <= threshold + chance.
        advice: what to look at when it is not.
    """

    kind: ComparisonKind
    split: str
    against: str
    clips: int
    against_clips: int
    measure: str
    at: str
    value: float
    threshold: float
    chance: float
    ok: bool
    advice: str


def skew(profile: Profile, thresholds: Thresholds) -> list[Verdict]:
    """Compare each other split of a store with its train split; nothing where it has none."""
    reference = profile.splits.get(REFERENCE_SPLIT)
    if reference is None:
        return []
    others = [(name, split) for name, split in profile.splits.items() if name != REFERENCE_SPLIT]
    return [
        each
        for name, split in others
        for each in _compare("skew", name, REFERENCE_SPLIT, split, reference, MEASURES, thresholds)
    ]


def drift(profile: Profile, reference: Profile, thresholds: Thresholds) -> list[Verdict]:
    """Compare each split of a store with the same split of another store.

    Coefficients are compared only where both stores have the same definition; see `comparable`.
    """
    same = comparable(profile, reference)
    measures = [measure for measure in MEASURES if same or measure.of != "coefficients"]
    against = f"{reference.store} {reference.version}"
    return [
        each
        for name, split in profile.splits.items()
        if name in reference.splits
        for each in _compare("drift", name, against, split, reference.splits[name], measures, thresholds)
    ]


def comparable(profile: Profile, reference: Profile) -> bool:
    """Whether the coefficients of two stores mean the same: their views have one definition."""
    return profile.definition_sha256 == reference.definition_sha256


def _compare(
    kind: ComparisonKind,
    name: str,
    against: str,
    split: SplitProfile,
    reference: SplitProfile,
    measures: Sequence[Measure],
    thresholds: Thresholds,
) -> Iterator[Verdict]:
    for measure in measures:
        clips, against_clips = (each.spoken if measure.of == "spoken" else each.clips for each in (split, reference))
        if not clips or not against_clips:
            continue
        found = measure.compare(split, reference, thresholds)
        threshold = float(getattr(thresholds, measure.threshold))
        chance = thresholds.chance_standard_errors * found.standard_error
        yield Verdict(
            kind=kind,
            split=name,
            against=against,
            clips=clips,
            against_clips=against_clips,
            measure=measure.name,
            at=found.at,
            value=found.value,
            threshold=threshold,
            chance=chance,
            ok=found.value <= threshold + chance,
            advice=measure.advice,
        )

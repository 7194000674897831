"""How clean the spoken clips of a store are, by split: the catalog's quality columns in a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.labels import SILENCE_CLASS

QUALITY_COLUMNS: Final = ("word", "split", "snr_db", "cut_start", "cut_end", "silent_fraction")
"""The columns of the catalog that `clip_quality` reads."""


@dataclass(frozen=True)
class ClipQuality:
    """The quality of the spoken clips of a split.

    Attributes:
        clips: spoken clips.
        estimated: those long enough for an estimate of their signal-to-noise ratio.
        snr_tenth_db, snr_median_db, snr_ninetieth_db: quantiles of the estimate; None where there is none.
        cut_start, cut_end: clips whose speech goes on to the edge.
        mostly_silent: clips with more than nine tenths of their frames below -50 dBFS.
    """

    clips: int
    estimated: int
    snr_tenth_db: float | None
    snr_median_db: float | None
    snr_ninetieth_db: float | None
    cut_start: int
    cut_end: int
    mostly_silent: int


def clip_quality(catalog: pa.Table, splits: Sequence[str | None]) -> list[ClipQuality]:
    """The quality of the clips of each split.

    Args:
        catalog: rows with the columns of `QUALITY_COLUMNS`.
        splits: the splits, None for clips that have none.
    """
    spoken = catalog.filter(pc.not_equal(catalog.column("word"), SILENCE_CLASS))
    split = spoken.column("split")
    return [_quality(spoken.filter(pc.is_null(split) if each is None else pc.equal(split, each))) for each in splits]


def _quality(clips: pa.Table) -> ClipQuality:
    snr_db = clips.column("snr_db").drop_null().to_numpy().astype(np.float64)
    tenth, median, ninetieth = np.quantile(snr_db, (0.1, 0.5, 0.9)).round(2).tolist() if len(snr_db) else [None] * 3
    cut_start, cut_end = (pc.sum(clips.column(name)).as_py() or 0 for name in ("cut_start", "cut_end"))
    mostly_silent = pc.sum(pc.greater(clips.column("silent_fraction"), 0.9)).as_py() or 0
    return ClipQuality(len(clips), len(snr_db), tenth, median, ninetieth, cut_start, cut_end, mostly_silent)

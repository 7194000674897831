"""The statistics of what is fitted: those of a store, or computed where the view is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from features.statistics import RunningTotals, Statistics, finish
from training import dataset
from training.dataset import Source

_CLIPS_AT_ONCE: Final = 128


def statistics_of(source: Source, splits: Sequence[str]) -> Statistics:
    """The statistics of a view over some splits: those of the store, or computed where the view is.

    Args:
        source: the store, and what a network reads of it.
        splits: at least one.

    Raises:
        DataError: a split is missing or empty.
    """
    for split in splits:
        dataset.clips(source.store, split)
    if not source.computes:
        return pooled([source.store.statistics(split) for split in splits])
    running = RunningTotals(source.view)
    for split in splits:
        for features, _ in dataset.ordered(source, split, _CLIPS_AT_ONCE):
            running.add(features.numpy())
    return finish(running.totals())


def pooled(parts: Sequence[Statistics]) -> Statistics:
    """The statistics of several splits together; those of one split come back as they are.

    Args:
        parts: of distinct clips of one view, at least one.
    """
    if len(parts) == 1:
        return parts[0]
    values = np.array([part.values for part in parts], np.float64)
    means = np.stack([part.mean for part in parts])
    variances = np.square(np.stack([part.std for part in parts]))
    mean = np.average(means, axis=0, weights=values)
    variance = np.average(variances + np.square(means - mean), axis=0, weights=values)
    return Statistics(
        clips=sum(part.clips for part in parts),
        values=sum(part.values for part in parts),
        mean=mean,
        std=np.sqrt(variance),
        min=np.min([part.min for part in parts], axis=0),
        max=np.max([part.max for part in parts], axis=0),
    )

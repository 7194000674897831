"""The stretches of time into which a background recording is divided, one for each split."""

from __future__ import annotations

from typing import Final

from features.splits import SPLITS, SplitName
from features.views import CLIP_SAMPLES

SILENCE_GAP_SAMPLES: Final = 1600
"""A tenth of a second lies unused between the stretches of a recording."""


def stretch_of(start: int, recording_samples: int, ratio: tuple[int, int, int], gap_samples: int) -> SplitName | None:
    """The split of a silence clip: each recording's time is divided into one stretch per split, in order.

    Args:
        start: the clip's first sample in its recording.
        recording_samples: length of the recording.
        ratio: train : validation : test.
        gap_samples: samples that separate neighboring stretches, at least 1.

    Returns:
        The split whose stretch holds the whole clip, or None where it lies across a border.
    """
    border, end = 0, start + CLIP_SAMPLES
    for index, split in enumerate(SPLITS):
        first = border + (gap_samples if index else 0)
        border = recording_samples * sum(ratio[: index + 1]) // sum(ratio)
        if first <= start and end <= border:
            return split
    return None

"""The probability from which on a word counts as heard, chosen on the validation clips."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from results.predictions import Predictions
from serving.description import Threshold


def threshold(validation: Predictions, false_accepts: float) -> Threshold:
    """The lowest threshold at which few enough clips without a word pass.

    A clip passes where the most probable word has at least that probability; silence and unknown are no words. Without
    a validation clip of silence or unknown, every most probable word passes.

    Args:
        validation: what the model says of the validation clips.
        false_accepts: the largest share of the clips without a word that may pass, 0..1.

    Returns:
        The threshold and what it does on the validation clips.
    """
    words = [place for place, name in enumerate(validation.classes) if name not in (SILENCE_CLASS, UNKNOWN_CLASS)]
    of_words = validation.probabilities[:, words]
    scores: npt.NDArray[np.float32] = of_words.max(axis=1)
    heard = np.array(words)[of_words.argmax(axis=1)]
    spoken = np.isin(validation.labels, words)
    others = np.sort(scores[~spoken])
    value = _above(others, int(false_accepts * len(others))) if len(others) else 0.0
    passing = scores >= value
    right = passing & (heard == validation.labels)
    return Threshold(
        value=value,
        rule=f"at most {false_accepts:.1%} of the validation clips of silence and unknown words pass",
        false_accepts=float(passing[~spoken].mean()) if len(others) else None,
        false_rejects=float(1 - right[spoken].mean()) if spoken.any() else None,
        clips=len(validation.labels),
    )


def _above(scores: npt.NDArray[np.float32], passing: int) -> float:
    """The lowest number that at most so many of some sorted scores reach."""
    if passing >= len(scores):
        return 0.0
    return float(np.nextafter(scores[len(scores) - passing - 1], np.float32(2)))

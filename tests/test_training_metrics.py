"""Claims about the figures: they equal scikit-learn's and Newcombe's published interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score, roc_auc_score

from results.metrics import Confusion, roc, wilson_interval

CLASSES = 4
labels = st.integers(0, CLASSES - 1)
pairs = st.lists(st.tuples(labels, labels), min_size=1, max_size=60)


def of(some: list[tuple[int, int]]) -> Confusion:
    array = np.array(some, np.int64).reshape(-1, 2)
    return Confusion.of(array[:, 0], array[:, 1], CLASSES)


@given(pairs)
def test_confusion_precision_recall_and_f1_equal_those_of_scikit_learn(some: list[tuple[int, int]]) -> None:
    actual, predicted = zip(*some, strict=True)
    options = {"labels": list(range(CLASSES)), "average": None, "zero_division": 0}
    ours = of(some)
    np.testing.assert_array_equal(ours.counts, confusion_matrix(actual, predicted, labels=range(CLASSES)))
    np.testing.assert_allclose(ours.precision, precision_score(actual, predicted, **options))
    np.testing.assert_allclose(ours.recall, recall_score(actual, predicted, **options))
    np.testing.assert_allclose(ours.f1, f1_score(actual, predicted, **options))
    assert ours.macro_f1 == pytest.approx(f1_score(actual, predicted, average="macro", zero_division=0))
    assert ours.accuracy == pytest.approx(f1_score(actual, predicted, average="micro"))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=60))
def test_area_under_roc_equals_that_of_scikit_learn_with_ties(some: list[tuple[bool, int]]) -> None:
    positive = np.array([each[0] for each in some])
    scores = np.array([each[1] / 5 for each in some], np.float32)
    curve = roc(positive, scores)
    if positive.all() or not positive.any():
        assert curve is None
        return
    assert curve is not None
    assert curve.area == pytest.approx(roc_auc_score(positive, scores))
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0.0, 0.0)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1.0, 1.0)
    assert (np.diff(curve.threshold) < 0).all()


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775328), (10, 10, 0.7224672, 1.0), (81, 263, 0.2552744, 0.3661765), (0, 0, 0.0, 1.0)],
)
def test_wilson_interval_has_the_published_values(successes: int, trials: int, low: float, high: float) -> None:
    """81 of 263 is Newcombe's example (Statistics in Medicine 17, 1998): 0.2553 to 0.3662."""
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-4)


def test_figures_of_no_clips_are_zero() -> None:
    nothing = of([])
    assert (nothing.accuracy, nothing.macro_f1, nothing.clips) == (0.0, 0.0, 0)

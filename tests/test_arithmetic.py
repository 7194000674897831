"""Logarithm, exponential and cosine are the true ones, and their bits are fixed."""

from __future__ import annotations

import decimal
import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.arithmetic import LN_2, LN_10, cosine, exp, log
from features.array_operations import scaled_log

NORMAL = {"min_value": 2.0**-120, "max_value": 2.0**120}


def true_log(value: float) -> float:
    """To the last bit, by 40 decimal digits."""
    with decimal.localcontext(prec=40):
        return float(decimal.Decimal(value).ln())


@given(st.floats(**NORMAL))
def test_the_logarithm_is_true_to_three_units_in_the_last_place(value: float) -> None:
    expected = true_log(value)
    assert abs(float(log(np.array([value]))[0]) - expected) <= 3 * math.ulp(max(abs(expected), LN_2 / 2))


@given(st.floats(**NORMAL, width=32))
def test_so_it_is_in_single_precision(value: float) -> None:
    expected = true_log(value)
    found = scaled_log(np.array([value], np.float32), 2.0**-126, 1.0)
    assert found.dtype == np.float32
    assert abs(float(found[0]) - expected) <= 3 * float(np.spacing(np.float32(max(abs(expected), LN_2 / 2))))


@given(st.floats(-600, 600))
def test_the_exponential_is_true(value: float) -> None:
    with decimal.localcontext(prec=40):
        expected = float(decimal.Decimal(value).exp())
    assert float(exp(np.array([value]))[0]) == pytest.approx(expected, rel=1e-15)


@given(st.integers(-(2**20), 2**20), st.integers(1, 2**20))
def test_the_cosine_of_turns_is_true(part: int, whole: int) -> None:
    turns = part / whole
    assert float(cosine(np.array([turns]))[0]) == pytest.approx(math.cos(2 * math.pi * (turns % 1.0)), abs=1e-14)


def test_whole_quarters_and_powers_come_out_even() -> None:
    assert cosine(np.array([0.0, 0.5, 1.0, -1.0])).tolist() == [1.0, -1.0, 1.0, 1.0]
    assert log(np.array([1.0, 2.0])).tolist() == [0.0, LN_2]
    assert float(log(np.array([10.0]))[0]) == pytest.approx(LN_10, rel=1e-15)
    assert exp(np.array([0.0])).tolist() == [1.0]


def test_the_order_of_an_array_in_memory_changes_no_bit() -> None:
    values = np.exp(np.random.default_rng(0).uniform(-20, 20, (7, 9, 5)))
    expected = log(values)
    assert np.array_equal(log(np.asfortranarray(values)), expected)
    assert np.array_equal(log(values[:, ::2]), expected[:, ::2])


def test_the_bits_are_those_of_every_other_processor() -> None:
    """The hashes were made on a processor with AVX-512 and are compared wherever the tests run."""
    numbers = np.arange(1, 100_001)
    assert hashed(log(numbers / 7)) == HASHES["log of doubles"]
    assert hashed(scaled_log((numbers / 7).astype(np.float32), 2.0**-126, 1.0)) == HASHES["log of singles"]
    assert hashed(exp((numbers - 50_000) / 1_000)) == HASHES["exp"]
    assert hashed(cosine(numbers / 100_000)) == HASHES["cosine"]


def hashed(values: np.ndarray) -> str:  # type: ignore[type-arg]
    return hashlib.sha256(values.tobytes()).hexdigest()[:16]


HASHES = {
    "log of doubles": "99779b155cd34c7c",
    "log of singles": "d57489489477841e",
    "exp": "de6816c5dec3e5e2",
    "cosine": "8116f1cbc7dd7b0e",
}

"""Power spectra of eight frames at once: the bits of SciPy's Fourier transform of single frames, in half the time.

A register holds one number of each of eight frames, its lanes, so that a step of the transform is the same operation
on whole registers. The transform is the real one of FFTPACK (Swarztrauber, 1982, https://www.netlib.org/fftpack/), with
the order of operations that SciPy's has, so that no bit differs. Lengths have the factors 2, 3 and 5 alone, as those
of the usual frames do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from features.arithmetic import cosine
from features.lanes import LANES, Lanes, compiled_within, load, load_rows, spread, store, store_rows
from features.loops import compiled

Floats = npt.NDArray[np.float32]
Wholes = npt.NDArray[np.int64]

_ROOT_OF_HALF: Final = np.float32(0.5**0.5)
_SIN_OF_THIRD: Final = np.float32(0.75**0.5)
_COS_1, _SIN_1 = np.float32(0.30901699437494745), np.float32(0.9510565162951535)
"""Of a fifth of a turn."""
_COS_2, _SIN_2 = np.float32(-0.8090169943749475), np.float32(0.5877852522924731)
"""Of two fifths."""


@compiled_within
def _turned(values: Floats, place: int, twiddles: Floats, twiddle: int) -> tuple[Lanes, Lanes]:
    """A complex number, its imaginary part at a place and its real part before it, turned back by a twiddle factor."""
    real, imaginary = load(values, place - 1), load(values, place)
    cos, sin = spread(twiddles[twiddle]), spread(twiddles[twiddle + 1])
    return cos * real + sin * imaginary, cos * imaginary - sin * real


@compiled_within
def _put_pair(
    values: Floats, near: int, far: int, real: Lanes, imaginary: Lanes, cross_r: Lanes, cross_i: Lanes
) -> None:
    """Put the sum of two complex numbers at a place, laid out as for `_turned`, and their difference at its mirror."""
    store(values, near - 1, real + cross_r)
    store(values, far - 1, real - cross_r)
    store(values, near, cross_i + imaginary)
    store(values, far, cross_i - imaginary)


@compiled_within
def _by_2(before: Floats, after: Floats, inner: int, outer: int, twiddles: Floats, first: int) -> None:
    """A step of the transform by the factor 2.

    Args:
        before: 2 × outer half-complex spectra of `inner` numbers, those of one residue after those of the other.
        after: receives outer spectra of 2 × inner numbers.
        inner, outer: sizes.
        twiddles, first: the factors of this step begin there.
    """
    for group in range(outer):
        even, odd, to = inner * group, inner * (group + outer), 2 * inner * group
        one, other = load(before, even), load(before, odd)
        store(after, to, one + other)
        store(after, to + 2 * inner - 1, one - other)
        if inner % 2 == 0:
            store(after, to + inner, spread(np.float32(-1)) * load(before, odd + inner - 1))
            store(after, to + inner - 1, load(before, even + inner - 1))
        for place in range(2, inner, 2):
            real, imaginary = _turned(before, odd + place, twiddles, first + place - 2)
            one, other = load(before, even + place - 1), load(before, even + place)
            _put_pair(after, to + place, to + 2 * inner - place, one, other, real, imaginary)


@compiled_within
def _by_4(before: Floats, after: Floats, inner: int, outer: int, twiddles: Floats, first: int) -> None:
    """A step by the factor 4, as `_by_2`."""
    span = inner * outer
    half, minus_half = spread(_ROOT_OF_HALF), spread(-_ROOT_OF_HALF)
    for group in range(outer):
        at, to = inner * group, 4 * inner * group
        x0, x1 = load(before, at), load(before, at + span)
        x2, x3 = load(before, at + 2 * span), load(before, at + 3 * span)
        odd, even = x3 + x1, x0 + x2
        store(after, to + 2 * inner, x3 - x1)
        store(after, to + 2 * inner - 1, x0 - x2)
        store(after, to, even + odd)
        store(after, to + 4 * inner - 1, even - odd)
        if inner % 2 == 0:
            last = at + inner - 1
            x0, x1 = load(before, last), load(before, last + span)
            x2, x3 = load(before, last + 2 * span), load(before, last + 3 * span)
            real, imaginary = half * (x1 - x3), minus_half * (x1 + x3)
            store(after, to + inner - 1, x0 + real)
            store(after, to + 3 * inner - 1, x0 - real)
            store(after, to + 3 * inner, imaginary + x2)
            store(after, to + inner, imaginary - x2)
        for place in range(2, inner, 2):
            near, far = to + place, to + 2 * inner - place
            twiddle = first + place - 2
            r0, i0 = load(before, at + place - 1), load(before, at + place)
            r1, i1 = _turned(before, at + place + span, twiddles, twiddle)
            r2, i2 = _turned(before, at + place + 2 * span, twiddles, twiddle + inner - 1)
            r3, i3 = _turned(before, at + place + 3 * span, twiddles, twiddle + 2 * (inner - 1))
            odd_r, cross_r = r3 + r1, r3 - r1
            odd_i, cross_i = i1 + i3, i1 - i3
            even_r, gap_r = r0 + r2, r0 - r2
            even_i, gap_i = i0 + i2, i0 - i2
            _put_pair(after, near, far + 2 * inner, even_r, even_i, odd_r, odd_i)
            _put_pair(after, near + 2 * inner, far, gap_r, gap_i, cross_i, cross_r)


@compiled_within
def _by_3(before: Floats, after: Floats, inner: int, outer: int, twiddles: Floats, first: int) -> None:
    """A step by the factor 3, as `_by_2`; `inner` is odd, as 5 and 3 come before 2 and 4."""
    span = inner * outer
    minus_half, sin = spread(np.float32(-0.5)), spread(_SIN_OF_THIRD)
    for group in range(outer):
        at, to = inner * group, 3 * inner * group
        x0, x1, x2 = load(before, at), load(before, at + span), load(before, at + 2 * span)
        store(after, to, x0 + (x1 + x2))
        store(after, to + 2 * inner, sin * (x2 - x1))
        store(after, to + 2 * inner - 1, x0 + minus_half * (x1 + x2))
        for place in range(2, inner, 2):
            near, far, twiddle = to + place, to + 2 * inner - place, first + place - 2
            r0, i0 = load(before, at + place - 1), load(before, at + place)
            r1, i1 = _turned(before, at + place + span, twiddles, twiddle)
            r2, i2 = _turned(before, at + place + 2 * span, twiddles, twiddle + inner - 1)
            sum_r, sum_i = r1 + r2, i1 + i2
            store(after, near - 1, r0 + sum_r)
            store(after, near, i0 + sum_i)
            real, imaginary = r0 + minus_half * sum_r, i0 + minus_half * sum_i
            cross_r, cross_i = sin * (i1 - i2), sin * (r2 - r1)
            _put_pair(after, near + 2 * inner, far, real, imaginary, cross_r, cross_i)


@compiled_within
def _by_5(before: Floats, after: Floats, inner: int, outer: int, twiddles: Floats, first: int) -> None:
    """A step by the factor 5, as `_by_2`; `inner` is odd, as for 3."""
    span, step = inner * outer, inner - 1
    cos_1, sin_1, cos_2, sin_2 = spread(_COS_1), spread(_SIN_1), spread(_COS_2), spread(_SIN_2)
    for group in range(outer):
        at, to = inner * group, 5 * inner * group
        x0, x1, x2 = load(before, at), load(before, at + span), load(before, at + 2 * span)
        x3, x4 = load(before, at + 3 * span), load(before, at + 4 * span)
        sum_1, gap_1, sum_2, gap_2 = x4 + x1, x4 - x1, x3 + x2, x3 - x2
        store(after, to, x0 + sum_1 + sum_2)
        store(after, to + 2 * inner - 1, x0 + cos_1 * sum_1 + cos_2 * sum_2)
        store(after, to + 2 * inner, sin_1 * gap_1 + sin_2 * gap_2)
        store(after, to + 4 * inner - 1, x0 + cos_2 * sum_1 + cos_1 * sum_2)
        store(after, to + 4 * inner, sin_2 * gap_1 - sin_1 * gap_2)
        for place in range(2, inner, 2):
            near, far, twiddle = to + place, to + 2 * inner - place, first + place - 2
            r0, i0 = load(before, at + place - 1), load(before, at + place)
            r1, i1 = _turned(before, at + place + span, twiddles, twiddle)
            r2, i2 = _turned(before, at + place + 2 * span, twiddles, twiddle + step)
            r3, i3 = _turned(before, at + place + 3 * span, twiddles, twiddle + 2 * step)
            r4, i4 = _turned(before, at + place + 4 * span, twiddles, twiddle + 3 * step)
            sum_r1, gap_i1, sum_i1, gap_r1 = r4 + r1, r4 - r1, i1 + i4, i1 - i4
            sum_r2, gap_i2, sum_i2, gap_r2 = r3 + r2, r3 - r2, i2 + i3, i2 - i3
            store(after, near - 1, r0 + sum_r1 + sum_r2)
            store(after, near, i0 + sum_i1 + sum_i2)
            real, imaginary = r0 + cos_1 * sum_r1 + cos_2 * sum_r2, i0 + cos_1 * sum_i1 + cos_2 * sum_i2
            cross_r, cross_i = gap_r1 * sin_1 + gap_r2 * sin_2, gap_i1 * sin_1 + gap_i2 * sin_2
            _put_pair(after, near + 2 * inner, far, real, imaginary, cross_r, cross_i)
            real, imaginary = r0 + cos_2 * sum_r1 + cos_1 * sum_r2, i0 + cos_2 * sum_i1 + cos_1 * sum_i2
            cross_r, cross_i = gap_r1 * sin_2 - gap_r2 * sin_1, gap_i1 * sin_2 - gap_i2 * sin_1
            _put_pair(after, near + 4 * inner, far + 2 * inner, real, imaginary, cross_r, cross_i)


@compiled_within
def _load_frames(samples: Floats, start: int, hop: int, window: Floats, lanes: Floats) -> None:
    """Eight frames times a window, in lanes."""
    for sample in range(0, len(window) - LANES + 1, LANES):
        load_rows(samples, start + sample, hop, window, sample, lanes, sample)
    for sample in range(len(window) - len(window) % LANES, len(window)):
        for lane in range(LANES):
            lanes[sample * LANES + lane] = samples[start + sample + lane * hop] * window[sample]


@compiled_within
def _square(spectra: Floats, squares: Floats, bins: int) -> None:
    """Squared magnitudes of half-complex spectra: the first and the last number are real."""
    first, last = load(spectra, 0), load(spectra, 2 * bins - 3)
    store(squares, 0, first * first)
    store(squares, bins - 1, last * last)
    for place in range(1, bins - 1):
        real, imaginary = load(spectra, 2 * place - 1), load(spectra, 2 * place)
        store(squares, place, real * real + imaginary * imaginary)


class Plan(NamedTuple):
    """How frames of a length are transformed.

    Attributes:
        factors: of the length, in the order of the steps: 5, 3, 4, 2, int64, (steps,).
        starts: where the twiddle factors of each step begin, int64, (steps,).
        twiddles: their cosines and sines in turn, float32.
    """

    factors: Wholes
    starts: Wholes
    twiddles: Floats


@lru_cache(maxsize=8)
def plan(length: int) -> Plan | None:
    """How frames are transformed; None where their length is odd, below 14 or has another factor than 2, 3 and 5."""
    rest, factors = length, list[int]()
    for factor in (4, 2, 3, 5):
        while rest % factor == 0:
            rest //= factor
            factors.insert(0, factor)
    if rest > 1 or length % 2 or length // 2 + 1 < LANES:
        return None
    if 2 in factors:  # SciPy takes it last
        factors.remove(2)
        factors.append(2)
    inner, starts, turns = 1, list[int](), list[float]()
    for factor in factors:
        starts.append(len(turns))
        for residue in range(1, factor):
            pairs = [residue * pair / (factor * inner) for pair in range(1, (inner + 1) // 2)]
            turns += [turn for pair in pairs for turn in (pair, pair - 0.25)]  # a sine is a cosine a quarter before
            turns += [0.0] * (inner - 1 - 2 * len(pairs))
        inner *= factor
    twiddles = cosine(np.array([*turns, 0.0])).astype(np.float32)
    return Plan(np.array(factors, np.int64), np.array(starts, np.int64), twiddles)


@compiled("void(float32[:, ::1], float32[::1], int64, int64, int64[::1], int64[::1], float32[::1], float32[:, :, ::1])")
def power_spectra(
    samples: Floats,
    window: Floats,
    hop: int,
    length: int,
    factors: Wholes,
    starts: Wholes,
    twiddles: Floats,
    power: Floats,
) -> None:
    """Squared magnitudes of the Fourier transforms of windowed frames.

    Args:
        samples: (clips, samples), at least those of all frames.
        window: (window samples,), at most `length`.
        hop: samples from a frame to the next.
        length: of the transform; frames are followed by zeros.
        factors, starts, twiddles: the plan of the length.
        power: receives the squares, (clips, frames, length / 2 + 1), at least LANES frames and LANES bins.
    """
    before, after = np.empty(length * LANES, np.float32), np.empty(length * LANES, np.float32)
    frames, bins = power.shape[1:]
    for clip in range(len(samples)):
        of_clip, squares = samples[clip], power[clip].reshape(-1)
        for begin in range(0, frames, LANES):
            frame = min(begin, frames - LANES)
            _load_frames(of_clip, frame * hop, hop, window, before)
            before[len(window) * LANES :] = 0
            inner = 1
            for step in range(len(factors)):
                factor = factors[step]
                outer = length // (inner * factor)
                if factor == 5:
                    _by_5(before, after, inner, outer, twiddles, starts[step])
                elif factor == 3:
                    _by_3(before, after, inner, outer, twiddles, starts[step])
                elif factor == 4:
                    _by_4(before, after, inner, outer, twiddles, starts[step])
                else:
                    _by_2(before, after, inner, outer, twiddles, starts[step])
                before, after, inner = after, before, inner * factor
            _square(before, after, bins)
            for place in range(0, bins, LANES):
                place = min(place, bins - LANES)
                store_rows(after, place, squares, frame * bins + place, bins)

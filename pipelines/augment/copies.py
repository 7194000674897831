"""Makes the copies of a clip; each is a pure function of the clip, its id, the kind of copies and the seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft

from features.arithmetic import LN_10, exp
from features.audio import Samples, apply_gain, pad_or_trim
from features.splits import hash64
from features.views import CLIP_SAMPLES, FULL_SCALE, SAMPLE_RATE_HZ
from pipelines.augment import vocoder
from pipelines.augment.config import Gain, Kind, Ninefold, Noise, Room, Shift, Speed
from pipelines.augment.materials import Doubles, Materials

RATES: Final = (0.7, 1.0, 1.3)
HALF_STEPS: Final = (-1, 0, 1)

_DECAY_DB: Final = 60.0
"""What a room's reverberation decays by in its decay time."""


class Copy(NamedTuple):
    """A copy of a clip.

    Attributes:
        kind: what it was made by.
        number: among the copies of its kind, from 0.
        parameters: what was drawn for it, each by its name.
        samples: int16, (CLIP_SAMPLES,).
        length: how many samples are real; those after them are zero.
    """

    kind: str
    number: int
    parameters: dict[str, Any]
    samples: Samples
    length: int


class Draw:
    """Draws the numbers of one copy, each by a hash of its names: nothing depends on order or on other copies."""

    def __init__(self, seed: int, kind: str, parent: str, number: int) -> None:
        self._names = ("augment", seed, kind, parent, number)

    def between(self, name: str, lowest: float, highest: float) -> float:
        """A number, uniform over a range, rounded to 0.01."""
        drawn = round(lowest + (highest - lowest) * self.bits(name) / 2**64, 2)
        return min(max(drawn, lowest), highest)

    def integer(self, name: str, lowest: int, highest: int) -> int:
        """A whole number, uniform over a range, both ends among it."""
        return lowest + self.bits(name) % (highest - lowest + 1)

    def one_of(self, name: str, names: list[str]) -> str:
        """One of some names."""
        return names[self.bits(name) % len(names)]

    def bits(self, name: str) -> int:
        """64 bits, as a number."""
        return hash64(*self._names, name)


def copies_of(clip_id: str, samples: Samples, kind: Kind, seed: int, materials: Materials) -> Iterator[Copy]:
    """The copies of one kind of a clip, in order of number.

    Args:
        clip_id: the clip.
        samples: its real samples, int16, (samples,), without padding, at least one.
        kind: what to make, and how many.
        seed: of the draws.
        materials: noise for the kind `noise`, impulse responses for the kind `room` that is given some.
    """
    if isinstance(kind, Ninefold):
        yield from _ninefold(samples)
        return
    for number in range(kind.copies):
        parameters, made = _one(samples, kind, Draw(seed, kind.kind, clip_id, number), materials)
        yield Copy(kind.kind, number, parameters, *pad_or_trim(made))


def _ninefold(samples: Samples) -> Iterator[Copy]:
    number, values = 0, samples.astype(np.float32)
    for rate in RATES:
        slowed = values if rate == 1 else vocoder.stretched(vocoder.spectrum(values), rate)
        spectrum = vocoder.spectrum(slowed)
        for half_steps in HALF_STEPS:
            if rate == 1 and half_steps == 0:
                continue
            made = slowed if half_steps == 0 else vocoder.shifted(spectrum, half_steps)
            parameters = {"rate": rate, "half_steps": half_steps}
            yield Copy("ninefold", number, parameters, *pad_or_trim(_to_int16(made)))
            number += 1


def _one(
    samples: Samples, kind: Noise | Speed | Gain | Shift | Room, draw: Draw, materials: Materials
) -> tuple[dict[str, Any], Samples]:
    """A drawn copy: what was drawn, and its samples, of any number."""
    match kind:
        case Noise():
            noise, snr_db = draw.one_of("noise", list(materials.noise)), draw.between("snr_db", *kind.snr_db)
            return {"noise": noise, "snr_db": snr_db}, with_noise(samples, materials.noise[noise], snr_db)
        case Speed():
            factor = draw.between("factor", *kind.factor)
            return {"factor": factor}, at_speed(samples, factor)
        case Gain():
            gain_db = draw.between("gain_db", *kind.gain_db)
            return {"gain_db": gain_db}, apply_gain(samples, gain_db)
        case Shift():
            shift_ms = draw.integer("shift_ms", *kind.shift_ms)
            return {"shift_ms": shift_ms}, later(samples, shift_ms)
        case Room():
            parameters, response = _response(kind, draw, materials)
            return parameters, in_room(samples, response)


def _response(kind: Room, draw: Draw, materials: Materials) -> tuple[dict[str, Any], Doubles]:
    if kind.decay_ms is None or kind.direct_to_reverberant_db is None:
        name = draw.one_of("impulse_response", list(materials.impulse_responses))
        return {"impulse_response": name}, materials.impulse_responses[name]
    decay_ms = draw.integer("decay_ms", *kind.decay_ms)
    ratio_db = draw.between("direct_to_reverberant_db", *kind.direct_to_reverberant_db)
    parameters = {"decay_ms": decay_ms, "direct_to_reverberant_db": ratio_db}
    return parameters, impulse_response(decay_ms, ratio_db, draw.bits("reverberation"))


def with_noise(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """A clip with noise over the whole second; one that is all zeros stays so.

    Args:
        samples: int16, (samples,), real samples of the clip.
        noise: int16, (CLIP_SAMPLES,), not all zeros.
        snr_db: mean square of the clip's real samples over that of the noise, in dB.

    Returns:
        int16, (CLIP_SAMPLES,).
    """
    gain = math.sqrt(_mean_square(samples) / _mean_square(noise)) / _amplitude(snr_db)
    mixed = noise * gain
    mixed[: samples.size] += samples
    return _to_int16(mixed)


def at_speed(samples: Samples, factor: float) -> Samples:
    """A clip played faster or slower; int16, (round(samples / factor),)."""
    wanted = max(round(samples.size / factor), 1)
    played = vocoder.faster(samples.astype(np.float32), factor)[:wanted]
    return _to_int16(np.pad(played, (0, wanted - played.size)))


def later(samples: Samples, shift_ms: int) -> Samples:
    """A clip behind zeros, or without its beginning where the shift is negative, of which one sample at least is left.

    Args:
        samples: int16, (samples,).
        shift_ms: how much later.
    """
    shift = shift_ms * SAMPLE_RATE_HZ // 1000
    if shift >= 0:
        return np.pad(samples, (min(shift, CLIP_SAMPLES - 1), 0))
    return samples[min(-shift, samples.size - 1) :]


def in_room(samples: Samples, response: Doubles) -> Samples:
    """A clip as an impulse response lets it sound, as loud over its real samples as before; its end dies away.

    Args:
        samples: int16, (samples,).
        response: float64, (any,), the direct sound first, at 1.

    Returns:
        int16, (samples + response - 1,).
    """
    size = samples.size + response.size - 1
    points = scipy.fft.next_fast_len(size, real=True)
    spectrum, room = scipy.fft.rfft(samples.astype(np.float64), points), scipy.fft.rfft(response, points)
    product = np.empty_like(spectrum)
    product.real = spectrum.real * room.real - spectrum.imag * room.imag
    product.imag = spectrum.real * room.imag + spectrum.imag * room.real
    heard = scipy.fft.irfft(product, points)[:size]
    before, after = _mean_square(samples), _mean_square(heard[: samples.size])
    return _to_int16(heard * math.sqrt(before / after) if after else heard)


def impulse_response(decay_ms: int, direct_to_reverberant_db: float, seed: int) -> Doubles:
    """The direct sound, then noise whose level falls evenly, in dB, by 60 dB in the decay time.

    This is the statistical model of late reverberation (Polack, La transmission de l'énergie sonore dans les salles,
    1988), without single echoes.

    Args:
        decay_ms: the decay time.
        direct_to_reverberant_db: energy of the direct sound over that of the noise, in dB.
        seed: of the noise, in [0, 2**64).

    Returns:
        float64, (samples in the decay time,), the direct sound first, at 1.
    """
    count = decay_ms * SAMPLE_RATE_HZ // 1000
    bits = np.random.PCG64(seed).random_raw(count)
    uniform = (bits >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1.0
    tail = uniform * exp(np.arange(count) * (-_DECAY_DB / 20 * LN_10 / count))
    tail[0] = 0.0
    energy = math.fsum((tail * tail).tolist())
    tail *= 1 / (_amplitude(direct_to_reverberant_db) * math.sqrt(energy))
    tail[0] = 1.0
    return tail


def _amplitude(decibels: float) -> float:
    """The factor of an amplitude that is a number of dB."""
    return float(exp(np.array(decibels * LN_10 / 20)))


def _mean_square(values: npt.NDArray[Any]) -> float:
    """Mean square of values rounded to whole numbers, of which float64 holds the sum of squares exactly."""
    whole = np.rint(values.astype(np.float64))
    return float(np.einsum("i,i->", whole, whole)) / values.size


def _to_int16(values: npt.NDArray[Any]) -> Samples:
    """Values in steps of int16, rounded and clipped."""
    rounded: Samples = np.clip(np.rint(values), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return rounded

"""The sounds around a synthetic voice: rooms, microphones, placement within a clip, and background noise recordings.

All signals are float64 at 16 kHz, full scale at 1. Random draws are uniform and sums run in a fixed order, so that the
samples do not depend on the number of threads or on what the processor offers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr
from scipy import signal

SAMPLE_RATE_HZ: Final = 16_000
CLIP_SAMPLES: Final = SAMPLE_RATE_HZ

Signal: TypeAlias = npt.NDArray[np.float64]
Pcm: TypeAlias = npt.NDArray[np.int16]

_FULL_SCALE = 32_767
_SILENCE_RATIO = 0.003
_RECORDING_PEAK = 0.7
_PINK_FILTER = ((0.049922035, -0.095993537, 0.050612699, -0.004408786), (1, -2.494956002, 2.017265875, -0.522189400))
"""White to pink noise, numerator and denominator: J. O. Smith, Spectral Audio Signal Processing, "Pink noise"."""


@dataclass(frozen=True)
class Place:
    """Where a speaker is recorded.

    Attributes:
        response: impulse response of room and microphone, float64, (taps,); its first tap is the direct sound.
        noise_pole: pole of the background noise's one-pole low-pass, 0 (white) to below 1 (dull).
    """

    response: Signal
    noise_pole: float


@dataclass(frozen=True)
class Staging:
    """How one word lies in its clip.

    Attributes:
        samples: length of the clip, at most 16,000.
        start: first sample of the word.
        peak: largest magnitude of the word, 0 to 1.
        noise_ratio: root mean square of the background noise, relative to the word's.
    """

    samples: int
    start: int
    peak: float
    noise_ratio: float


def draw_place(rng: np.random.Generator) -> Place:
    """A random small room with a random plain microphone."""
    taps = int(_seconds(rng.uniform(0.02, 0.12)))
    decay = 10 ** (-3 * np.arange(taps) / taps)
    echoes = rng.uniform(-1, 1, taps) * decay
    echoes *= _amplitude(rng.uniform(-30, -14)) / np.sqrt(np.sum(echoes**2))
    echoes[0] = 1
    low_pass = signal.butter(2, rng.uniform(3500, 7500), fs=SAMPLE_RATE_HZ)
    high_pass = signal.butter(1, rng.uniform(40, 250), "highpass", fs=SAMPLE_RATE_HZ)
    response = signal.lfilter(*high_pass, signal.lfilter(*low_pass, echoes))
    return Place(response=response, noise_pole=float(rng.uniform(0, 0.97)))


def draw_staging(rng: np.random.Generator, word_samples: int, short: bool) -> Staging:
    """A random length, position, loudness and noise for a word.

    Args:
        rng: source of randomness.
        word_samples: length of the word, at most 16,000.
        short: whether the clip ends soon after the word, rather than after 1 s.

    Returns:
        A staging that holds the whole word.
    """
    slack = CLIP_SAMPLES - word_samples
    if short:
        start = min(int(_seconds(rng.uniform(0.01, 0.2))), slack)
        samples = min(start + word_samples + int(_seconds(rng.uniform(0.02, 0.12))), CLIP_SAMPLES)
    else:
        start, samples = int(rng.uniform(0.4, 0.6) * slack), CLIP_SAMPLES
    peak, noise_ratio = _amplitude(rng.uniform(-16, -3)), _amplitude(-rng.uniform(30, 55))
    return Staging(samples=samples, start=start, peak=peak, noise_ratio=noise_ratio)


def voice(pcm: bytes, sample_rate_hz: float) -> Signal:
    """A spoken word at 16 kHz, without the silence around it.

    Args:
        pcm: 16-bit little-endian mono samples.
        sample_rate_hz: their rate. A rate above the true one makes the speaker smaller: quicker, higher, brighter.

    Returns:
        float64, (samples,), full scale at 1.

    Raises:
        ValueError: there is no sound.
    """
    samples = np.frombuffer(pcm, "<i2").astype(np.float64) / (_FULL_SCALE + 1)
    loudness = np.abs(samples)
    (loud,) = np.nonzero(loudness > _SILENCE_RATIO * loudness.max(initial=0))
    if not loud.size:
        raise ValueError(f"{len(samples)} samples hold no sound")
    resampled: Signal = soxr.resample(samples[loud[0] : loud[-1] + 1], sample_rate_hz, SAMPLE_RATE_HZ, "VHQ")
    return resampled


def record(word: Signal, place: Place, staging: Staging, rng: np.random.Generator) -> Pcm:
    """The clip of a word spoken at a place.

    Returns:
        int16, (staging.samples,).
    """
    clip = np.zeros(staging.samples)
    clip[staging.start : staging.start + len(word)] = word
    clip = signal.oaconvolve(clip, place.response)[: staging.samples]
    clip *= staging.peak / np.max(np.abs(clip))
    noise = signal.lfilter([1], [1, -place.noise_pole], rng.uniform(-1, 1, staging.samples))
    word_rms = _rms(clip[staging.start : staging.start + len(word)])
    return quantise(clip + noise * (staging.noise_ratio * word_rms / _rms(noise)))


def quantise(sound: Signal) -> Pcm:
    """Round to 16 bits; what is beyond full scale is clipped."""
    rounded: Pcm = np.rint(np.clip(sound, -1, 1) * _FULL_SCALE).astype(np.int16)
    return rounded


def white_noise(rng: np.random.Generator, samples: int) -> Signal:
    """Noise with the same power at every frequency."""
    return rng.uniform(-1, 1, samples)


def pink_noise(rng: np.random.Generator, samples: int) -> Signal:
    """Noise whose power falls by 3 dB an octave."""
    return _filtered(_PINK_FILTER, white_noise(rng, samples))


def brown_noise(rng: np.random.Generator, samples: int) -> Signal:
    """Noise whose power falls by 6 dB an octave above 25 Hz."""
    return _filtered(((1, -1), (1, -1.98, 0.9801)), white_noise(rng, samples))


def hum(rng: np.random.Generator, samples: int) -> Signal:
    """Mains hum: 50 Hz and its harmonics, slowly swelling, over faint hiss."""
    seconds = np.arange(samples) / SAMPLE_RATE_HZ
    sound = 0.01 * white_noise(rng, samples)
    for harmonic in range(1, 13):
        swell = 1 + 0.3 * np.sin(2 * np.pi * (rng.uniform(0.05, 0.5) * seconds + rng.uniform()))
        sound += rng.uniform(0.2, 1) / harmonic * swell * np.sin(2 * np.pi * (50 * harmonic * seconds + rng.uniform()))
    return sound


def clicks(rng: np.random.Generator, samples: int) -> Signal:
    """About six short taps a second, each with its own pitch, loudness and decay, over faint hiss."""
    sound = 0.003 * white_noise(rng, samples)
    for _ in range(6 * samples // SAMPLE_RATE_HZ):
        start, length = int(rng.integers(samples)), int(_seconds(rng.uniform(0.002, 0.02)))
        tap = _amplitude(rng.uniform(-24, 0)) * rng.uniform(-1, 1, length) * 10 ** (-3 * np.arange(length) / length)
        tap = signal.lfilter([1], [1, -rng.uniform(-0.9, 0.9)], tap)[: samples - start]
        sound[start : start + length] += tap
    return sound


def babble(voices: Sequence[Signal], rng: np.random.Generator, samples: int) -> Signal:
    """Many voices at once, each at its own loudness.

    Args:
        voices: what each voice says, of any length; it is repeated from a random place until it is long enough.
        rng: source of randomness.
        samples: length of the result.
    """
    sound = np.zeros(samples)
    for spoken in voices:
        turned = np.roll(spoken, int(rng.integers(len(spoken))))
        sound += _amplitude(rng.uniform(-12, 0)) / _rms(spoken) * np.resize(turned, samples)
    return sound


NOISES: Final[dict[str, Callable[[np.random.Generator, int], Signal]]] = {
    "white_noise": white_noise,
    "pink_noise": pink_noise,
    "brown_noise": brown_noise,
    "hum": hum,
    "clicks": clicks,
}


def recording(sound: Signal) -> Pcm:
    """A background recording, brought to a common peak of 0.7."""
    return quantise(sound * (_RECORDING_PEAK / np.max(np.abs(sound))))


def _filtered(coefficients: tuple[Sequence[float], Sequence[float]], sound: Signal) -> Signal:
    filtered: Signal = signal.lfilter(*coefficients, sound)
    return filtered


def _rms(sound: Signal) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def _amplitude(decibels: float) -> float:
    return float(10 ** (decibels / 20))


def _seconds(duration_s: float) -> float:
    return duration_s * SAMPLE_RATE_HZ

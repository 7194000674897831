"""The features of the windows of a stream, each frame computed once where a view's frames depend on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Final, Protocol, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from features.frontend import compute
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, LogMel, Mfcc, Spectrogram, View

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]

Framewise: TypeAlias = Spectrogram | LogMel | Mfcc
"""Kinds of views whose frames know nothing of each other."""
_MOST_SAMPLES: Final = SAMPLE_RATE_HZ
"""Samples that are worked on at once, so that memory stays the same however many are fed."""


class Windows(Protocol):
    """Cuts a stream into windows of a second."""

    def feed(self, samples: Samples) -> Iterator[tuple[int, Floats]]:
        """The windows that end within the next samples.

        Args:
            samples: int16, (samples,), at 16 kHz, any number of them.

        Yields:
            Of each window its first sample in the stream, and its features times the view's scale, view.shape.
        """


def windows(view: View, step_ms: int) -> Windows:
    """The windows of a stream, one every `step_ms`; each has the features that its second has as a clip.

    Args:
        view: the definition of the features.
        step_ms: from one window to the next; where frames are computed once, a multiple of their hop.

    Raises:
        DataError: the step is no multiple of the hop.
    """
    if not is_framewise(view):
        return _WholeWindows(view, step_ms * SAMPLE_RATE_HZ // 1000)
    if not is_step(view, step_ms):
        hop_ms = _hop(view) * 1000 / SAMPLE_RATE_HZ
        raise DataError(f"a step of {step_ms} ms is no multiple of the hop of {view.kind}, {hop_ms:g} ms")
    return _SharedFrames(view, step_ms * SAMPLE_RATE_HZ // 1000)


def is_step(view: View, step_ms: int) -> bool:
    """Whether windows of a view can follow each other at so many milliseconds."""
    return not is_framewise(view) or step_ms * SAMPLE_RATE_HZ % (1000 * _hop(view)) == 0


def is_framewise(view: View) -> TypeGuard[Framewise]:
    """Whether a frame of a view follows from its own samples, so that overlapping windows share frames."""
    return (
        isinstance(view, Framewise)
        and view.sample_rate_hz == SAMPLE_RATE_HZ
        and not view.centered
        and view.loudness != "peak"
    )


def _hop(view: Framewise) -> int:
    return view.hop_length * SAMPLE_RATE_HZ // view.sample_rate_hz


class _WholeWindows:
    """Each window computed as a clip of its own."""

    def __init__(self, view: View, step: int) -> None:
        self._view, self._step = view, step
        self._kept = np.empty(0, np.int16)
        self._start = 0

    def feed(self, samples: Samples) -> Iterator[tuple[int, Floats]]:
        for piece in _pieces(samples):
            self._kept = np.concatenate((self._kept, piece))
            while len(self._kept) >= CLIP_SAMPLES:
                features = compute(self._view, self._kept[None, :CLIP_SAMPLES])[0]
                yield self._start, features.astype(np.float32) * np.float32(self._view.scale)
                self._kept = self._kept[self._step :]
                self._start += self._step


class _SharedFrames:
    """Frames computed as they come; windows are made of the last ones."""

    def __init__(self, view: Framewise, step: int) -> None:
        self._view, self._step, self._hop = view, step, _hop(view)
        self._frames = np.empty((0, *view.shape[1:]), np.float32)
        self._samples = np.empty(0, np.int16)
        self._start = 0
        self._seen = 0

    def feed(self, samples: Samples) -> Iterator[tuple[int, Floats]]:
        for piece in _pieces(samples):
            self._seen += len(piece)
            self._samples = np.concatenate((self._samples, piece))
            if self._start + CLIP_SAMPLES <= self._seen:  # all frames at once that came since the last window
                self._compute()
            while self._start + CLIP_SAMPLES <= self._seen:
                yield self._start, self._frames[: self._view.shape[0]]
                self._frames = self._frames[self._step // self._hop :]
                self._start += self._step

    def _compute(self) -> None:
        """The frames that end within the samples kept; the samples that later frames need stay."""
        length = self._view.frame_length
        count = max(0, (len(self._samples) - length) // self._hop + 1)
        if count == 0:
            return
        found = frames_of(self._view, self._samples[: (count - 1) * self._hop + length], count)
        self._frames = np.concatenate((self._frames, found))
        self._samples = self._samples[count * self._hop :]


def frames_of(view: Framewise, samples: Samples, count: int) -> Floats:
    """The frames of some samples, with the bits that a clip that holds them has.

    Args:
        view: whose frames follow from their own samples.
        samples: int16, those of the frames.
        count: frames.

    Returns:
        float32, (count, coefficients).
    """
    hop, length, most = _hop(view), view.frame_length, view.shape[0]
    found = []
    for first in range(0, count, most):
        frames = min(most, count - first)
        part = samples[first * hop :][: (frames - 1) * hop + length]
        clip_ms = -(-len(part) * 1000 // SAMPLE_RATE_HZ)
        padded = np.zeros((1, clip_ms * SAMPLE_RATE_HZ // 1000), np.int16)
        padded[0, : len(part)] = part
        found.append(compute(_seen_for(view, clip_ms), padded)[0, :frames])
    return np.concatenate(found)


@lru_cache(maxsize=8)
def _seen_for(view: Framewise, clip_ms: int) -> Framewise:
    """A view that sees another part of a clip."""
    return replace(view, clip_ms=clip_ms)


def _pieces(samples: Samples) -> Iterator[Samples]:
    for start in range(0, len(samples), _MOST_SAMPLES):
        yield samples[start : start + _MOST_SAMPLES]

"""The samples of a stream that wait for the network, at most a few seconds of them: what is later is left out."""

from __future__ import annotations

import asyncio
from collections import deque

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]


class Backlog:
    """What one task puts in, another takes out."""

    def __init__(self, most_samples: int) -> None:
        """Begin empty.

        Args:
            most_samples: that wait; where more come, all that wait are left out, so that the newest are heard soon.
        """
        self._most = most_samples
        self._pieces: deque[Samples] = deque()
        self._held = 0
        self._left_out = 0
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    def put(self, samples: Samples) -> None:
        """Let samples wait."""
        if self._held + len(samples) > self._most:
            self._left_out += self._held
            self._pieces.clear()
            self._held = 0
        self._pieces.append(samples)
        self._held += len(samples)
        self._changed.set()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; an error is raised where samples are taken out, at once."""
        self._ended, self._error = True, error
        self._changed.set()

    def left_out(self) -> int:
        """Samples that were left out since this was asked before."""
        found, self._left_out = self._left_out, 0
        return found

    async def take(self) -> Samples | None:
        """The next samples, or None at the end."""
        while True:
            if self._error is not None:
                raise self._error
            if self._pieces:
                samples = self._pieces.popleft()
                self._held -= len(samples)
                return samples
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()

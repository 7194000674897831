"""How much each address may send: a bucket that fills at a rate and holds a burst, for as many addresses as matter."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_MOST_ADDRESSES: Final = 4096


class Bucket:
    """Fills at a rate, up to what it holds."""

    def __init__(self, per_s: float, holds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin full.

        Args:
            per_s: how much flows in each second.
            holds: the most that is in it.
            clock: seconds.
        """
        self._per_s, self._holds, self._clock = per_s, holds, clock
        self._content, self._at = holds, clock()

    def take(self, amount: float = 1.0) -> bool:
        """Take something out; False, and nothing is taken, where that much is not in it."""
        now = self._clock()
        self._content = min(self._holds, self._content + (now - self._at) * self._per_s)
        self._at = now
        if self._content < amount:
            return False
        self._content -= amount
        return True


class Quotas:
    """A bucket for each address; the one not seen for longest is forgotten first."""

    def __init__(self, per_s: float, holds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without addresses; the arguments are those of a bucket."""
        self._new: Callable[[], Bucket] = lambda: Bucket(per_s, holds, clock)
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str) -> bool:
        """Whether an address may send once more now."""
        bucket = self._buckets.pop(address, None) or self._new()
        self._buckets[address] = bucket
        if len(self._buckets) > _MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        return bucket.take()

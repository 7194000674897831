"""The samples that wait: in order and whole while there are few, only the newest where there are many."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.web.backlog import Backlog


def drained(backlog: Backlog) -> list[int]:
    async def take_all() -> list[int]:
        found: list[int] = []
        while (samples := await backlog.take()) is not None:
            found += samples.tolist()
        return found

    return asyncio.run(take_all())


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(50, 200))
def test_what_is_not_left_out_comes_out_in_order(sizes: list[int], most: int) -> None:
    backlog = Backlog(most)
    whole = np.arange(sum(sizes), dtype=np.int16)
    for piece in np.split(whole, np.cumsum(sizes)[:-1]) if sizes else []:
        backlog.put(piece)
    backlog.end()
    left_out = backlog.left_out()
    found = drained(backlog)
    assert found == whole[left_out:].tolist()
    assert len(found) <= most
    assert left_out == 0 or sum(sizes) > most
    assert backlog.left_out() == 0


def test_an_error_is_raised_before_what_waits() -> None:
    backlog = Backlog(10)
    backlog.put(np.zeros(5, np.int16))
    backlog.end(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        drained(backlog)


def test_one_who_waits_gets_what_comes_later() -> None:
    async def wait() -> list[int]:
        backlog = Backlog(10)
        waiting = asyncio.create_task(backlog.take())
        await asyncio.sleep(0)
        backlog.put(np.array([7], np.int16))
        found = await waiting
        assert found is not None
        return list(map(int, found))

    assert asyncio.run(wait()) == [7]

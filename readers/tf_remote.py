"""The records of remote shards as a tf.data pipeline: TensorFlow asks this process for them, which reads by fsspec.

TensorFlow itself knows only some kinds of storage, and its plugin for others aborts processes at their end. A shard
waits in a temporary file while it is read, the next one is fetched meanwhile; memory holds some records of one.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from typing import BinaryIO, Final

import numpy as np
import tensorflow as tf

from base.errors import DataError
from readers.current import Current
from stores.framing import read_records
from stores.manifest import Shard

_RECORDS_AT_ONCE: Final = 64
_FETCHED_AHEAD: Final = 1
_MOST_WAITING: Final = 8
"""Shards that were fetched and not read; an iteration that is given up leaves `_FETCHED_AHEAD` and two."""

_QUIET_SECONDS: Final = 0.2
_LONGEST_END_SECONDS: Final = 60.0

_RECORD: Final = tf.TensorSpec((None,), tf.string)
_faults: Final[list[Exception]] = []


def records(folder: str, shards: Sequence[Shard], order: tf.data.Dataset) -> tf.data.Dataset:
    """The records of some shards, one shard after the other.

    Args:
        folder: of the store.
        shards: at least one.
        order: a dataset of numbers of shards, int64, ().

    Returns:
        A dataset of strings, (). What can't be read ends in `tf.errors.UnknownError`, and `last_fault` gives it.
    """
    waiting = _Waiting(folder, shards)

    def fetch(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ticket = tf.numpy_function(waiting.fetch, [number], tf.int64, stateful=True)
        return number, tf.ensure_shape(ticket, ())

    def read(number: tf.Tensor, ticket: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_generator(waiting.read, output_signature=_RECORD, args=(number, ticket))

    return order.map(fetch).prefetch(_FETCHED_AHEAD).flat_map(read).unbatch()


def last_fault() -> Exception | None:
    """What a pipeline of this process has failed by last, once."""
    return _faults.pop() if _faults else None


class _Calls:
    """Calls from TensorFlow's threads into Python, which must be over before the process ends.

    TensorFlow waits for its threads when an iterator that is still there at the end is deleted; a thread that then
    waits for Python's lock waits forever. So new calls fail at once from there on, which stops the pipeline.
    """

    def __init__(self) -> None:
        self._ending, self._running, self._last = False, 0, 0.0
        self._lock, self._registered = threading.Lock(), False

    def end_with_process(self) -> None:
        """See to it, once, that no call is under way when Python ends."""
        if not self._registered:
            self._registered = True
            atexit.register(self._end)

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call in the block; refused when the process ends."""
        with self._lock:
            self._last = time.monotonic()
            if self._ending:
                raise DataError("the process ends")
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._last = time.monotonic()

    def _end(self) -> None:
        self._ending = True
        give_up = time.monotonic() + _LONGEST_END_SECONDS
        while time.monotonic() < give_up:
            if not self._running and time.monotonic() - self._last > _QUIET_SECONDS:
                return
            time.sleep(_QUIET_SECONDS / 4)


_calls: Final = _Calls()


class _Waiting:
    """Shards that were fetched and are not read to their end."""

    def __init__(self, folder: str, shards: Sequence[Shard]) -> None:
        self._shards, self._current = shards, Current(folder, shards)
        self._files: OrderedDict[int, BinaryIO] = OrderedDict()
        self._tickets, self._lock = count(), threading.Lock()
        _calls.end_with_process()

    def fetch(self, number: np.int64) -> np.int64:
        """Fetch a shard; the ticket by which `read` finds it."""
        with _calls.one():
            file = self._opened(int(number))
        with self._lock:
            ticket = next(self._tickets)
            self._files[ticket] = file
            given_up = self._files.popitem(last=False)[1] if len(self._files) > _MOST_WAITING else None
        if given_up is not None:
            given_up.close()
        return np.int64(ticket)

    def read(self, number: np.int64, ticket: np.int64) -> Iterator[list[bytes]]:
        """The records of a shard, some at a time."""
        with self._lock:
            file = self._files.pop(int(ticket), None)
        with file or self._opened(int(number)) as opened:
            found = read_records(opened, self._shards[int(number)].file)
            try:
                while True:
                    with _calls.one():
                        some = list(islice(found, _RECORDS_AT_ONCE))
                    if not some:
                        break
                    yield some
            except (DataError, OSError) as error:
                _keep(error)
                raise

    def _opened(self, number: int) -> BinaryIO:
        try:
            return self._current.open(self._shards[number])
        except (DataError, OSError) as error:
            _keep(error)
            raise


def _keep(error: Exception) -> None:
    """Keep what TensorFlow tells as a traceback in a text."""
    _faults[:] = [error]

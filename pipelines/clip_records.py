"""The records of a shard of clips, for the stages that read them."""

from __future__ import annotations

from collections.abc import Iterator

from base import files
from base.errors import DataError
from stores.framing import read_records


def clip_records(path: str) -> Iterator[bytes]:
    """The records of a shard of clips, in order.

    Raises:
        DataError: the shard is missing or damaged.
    """
    try:
        file = files.open_for_reading(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run `python -m pipelines.ingest` again") from error
    with file:
        yield from read_records(file, path)

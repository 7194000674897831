"""Sends files to Google's storage by gcsfs so that what arrives is what was sent, or a sentence says that it is not."""

from __future__ import annotations

import errno
import importlib
from typing import Any, Final

PROTOCOLS: Final = ("gs", "gcs")
IN_MEMORY_BYTES: Final = 5 << 20
"""gcsfs sends larger files in a way that has no delimiters."""

_DELIMITER: Final = b"\n--==0=="
"""What gcsfs puts after a file. By RFC 2046, section 5.1.1, a carriage return before it is a part of it."""


def write_bytes(system: Any, path: str, data: bytes) -> None:
    """Write a file: in one request, or in two where its content could be taken for a delimiter.

    Args:
        system: the file system, by gcsfs.
        path: the file in it.
        data: the content.

    Raises:
        OSError: other bytes arrived than were sent.
    """
    is_safe = _DELIMITER not in data and not data.endswith(b"\r")
    _checked(system.pipe_file, path, data, path, **({} if is_safe else {"chunksize": len(data)}))


def put_file(system: Any, source: str, path: str) -> None:
    """Write what a local file holds.

    Args:
        system: the file system, by gcsfs.
        source: a file of more than `IN_MEMORY_BYTES`.
        path: the file in it.

    Raises:
        OSError: other bytes arrived than were sent.
    """
    _checked(system.put_file, source, path, path)


def _checked(send: Any, first: Any, second: Any, path: str, **options: Any) -> None:
    """Send with a comparison of the hash that the server returns."""
    not_equal = importlib.import_module("gcsfs.retry").ChecksumError  # gcsfs is not in every environment
    try:
        send(first, second, consistency="md5", **options)
    except not_equal as error:
        raise OSError(errno.EIO, "other bytes arrived than were sent; run the command again", path) from error

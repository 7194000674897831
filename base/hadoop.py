"""Files of Hadoop's file system, which shows a file while it is written, and gives it another name in one step."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

PROTOCOLS: Final = ("hdfs", "viewfs")

_ATTEMPTS: Final = "dfs.client.failover.max.attempts"
_FEW_ATTEMPTS: Final = "4"
"""They take a quarter of a minute."""


def options(path: str) -> dict[str, str]:
    """What the client is told besides its own configuration: how soon to give up.

    An address with a port is of one name node, which has no other to wait for.
    """
    return {_ATTEMPTS: _FEW_ATTEMPTS} if urlsplit(path).port else {}


def write(system: Any, path: str, put: Callable[[str], object], *, replace: bool = True) -> None:
    """Write a file that gets its name once it is whole.

    Args:
        system: of fsspec.
        path: the file, within the system.
        put: writes the file of the path that it is given.
        replace: whether to take the place of the file that has the name.

    Raises:
        FileExistsError: there is one and it is not to be replaced; of several who write at once, one alone succeeds.
    """
    folder, _, name = path.rpartition("/")
    part = f"{folder}/.{name}.{uuid.uuid4().hex}.part"
    try:
        put(part)
        system.mv(part, path, overwrite=replace)
    except BaseException:
        with contextlib.suppress(OSError):  # it is not there, or the server is not
            system.rm_file(part)
        raise

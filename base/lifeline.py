"""Ends a process with the one that started it: what outlived it would work on for nobody."""

from __future__ import annotations

import contextlib
import os
import threading
from multiprocessing.connection import Connection


def end_with(other_end: Connection) -> None:
    """End this process, whatever it is doing, when the other end of a pipe is closed.

    Args:
        other_end: of a pipe whose other end the starting process alone holds; nothing is sent through it.
    """

    def wait() -> None:
        with contextlib.suppress(EOFError, OSError):
            other_end.recv()
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()

"""Keeps what native libraries print on stderr from people; what matters is in their errors."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send file descriptor 2, Python's stdout and its warnings nowhere for a while."""
    kept = os.dup(2)
    with (
        open(os.devnull, "w") as nothing,
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(action="ignore"),
    ):
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)

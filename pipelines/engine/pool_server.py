"""Settles the server of the pool's processes, which imports this module before all others.

It ends with the process that started it, even in the middle of an import, since it looks for that one's end only once
it has imported all that it was told to; Linux alone has the call
(https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html). And its collector rests, until a process has
forked.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
from typing import Final

from pipelines.engine import collector

_PR_SET_PDEATHSIG: Final = 1

with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

collector.rest()

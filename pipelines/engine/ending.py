"""Ends a process when the one that started it ends, even in the middle of an import.

Importing this module settles it for the process: it is the first that the server of processes imports, which looks for
the end of the main process only once it has imported all that it was told to. Linux alone has the call
(https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html).
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1

with contextlib.suppress(OSError, AttributeError):
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)

"""Ends a command at Ctrl-C, at once and whatever it is doing, with the sentence that says how to go on.

Nothing is unwound: a stage can be killed at any moment, so it can be ended at any moment. The signal wakes a thread of
its own, since the main thread may be inside a library for longer than anyone waits.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final, NoReturn

EXIT_CODE: Final = 130
"""What shells make of an end by Ctrl-C: 128 and the number of the signal."""
MESSAGE: Final = "error: interrupted; run the same command again to resume\n"
_STDERR: Final = 2

_ending = threading.Lock()


def answer() -> None:
    """From here on, end this process at Ctrl-C; its pool of processes ends with it.

    Called before the imports of a command, which take seconds. A command that a shell runs in the background is told
    to ignore Ctrl-C, and does.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGINT, lambda *_: _end())
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    threading.Thread(target=_end_at_signal, args=(woken,), name="interruption", daemon=True).start()


def _end_at_signal(woken: int) -> None:
    while signal.SIGINT not in os.read(woken, 1):
        pass
    _end()


def _end() -> NoReturn:
    if _ending.acquire(blocking=False):
        new_line = "\n" if os.isatty(_STDERR) else ""  # below the bar of progress
        try:
            os.write(_STDERR, (new_line + MESSAGE).encode())
        finally:
            os._exit(EXIT_CODE)
    while True:  # the other thread has come first
        signal.pause()

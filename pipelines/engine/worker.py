"""A worker process of the local runner: Beam's own worker, which logs to the main process and does not outlive it."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time

logging.getLogger().addHandler(logging.NullHandler())

_POLL_SECONDS = 0.5


def _end_with(parent: int) -> None:
    """End this process when its parent is gone; a worker left behind would write into the output of the next run."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the main one answers
    threading.Thread(target=_end_with, args=[int(sys.argv[1])], daemon=True).start()

    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv[:1])

"""A worker process of the local runner: Beam's own worker, which logs to the main process, not to the terminal."""

import logging
import sys

logging.getLogger().addHandler(logging.NullHandler())

if __name__ == "__main__":
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)

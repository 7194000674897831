"""The start of a command: Beam is imported here while other processes import what the steps need."""

from __future__ import annotations

import logging
import sys
from typing import Final

from base.remote import library
from pipelines.engine import collector, pool

_UNUSED: Final = ("bson", "pandas")
_OF_OTHER_RUNNERS: Final = ("apitools", "boto3", "google.api_core", "google.auth", "requests")
"""What the clients of Google's and Amazon's clouds begin with, and what speaks HTTP for them."""


def import_ahead(*steps: str) -> None:
    """Import Beam in this process and the steps in the server of the pool's processes, at the same time.

    Beam imports some libraries wherever they are installed: pandas, for elements that are data frames, the client of
    MongoDB, and those of clouds, for its own files and services. They take up to half of the time, and nothing here
    needs them but the runners that the command line can name.

    Args:
        steps: names of the modules that hold a stage's steps; none where the stage does them in this process.
    """
    collector.rest()
    if steps:
        libraries = {name for each in sys.argv if (name := library(each))}  # some take as long to import as the steps
        pool.import_ahead("pipelines.engine.hiding", *steps, *sorted(libraries))
    from pipelines.engine.hiding import hidden

    logging.getLogger("apache_beam.io.mongodbio").setLevel(logging.ERROR)  # it warns that there is no bson
    names_runner = any(argument.startswith("--runner") for argument in sys.argv)
    with hidden(_UNUSED if names_runner else _UNUSED + _OF_OTHER_RUNNERS):
        import apache_beam  # noqa: F401

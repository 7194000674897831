"""What listening costs on one core: seconds of work for a second of audio, and the memory of a process that listens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from base import command
from base.errors import DataError
from features.views import SAMPLE_RATE_HZ
from serving.cost import peak_bytes
from serving.model import open_model
from serving.recognizer import Listening


class ListeningCost(NamedTuple):
    """Seconds of processor time for a second of audio, and the largest resident memory in bytes."""

    real_time_factor: float
    peak_bytes: int


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--step-ms", required=True, type=click.IntRange(10, 500))
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(2), help="Audio to listen to.")
def main(folder: Path, step_ms: int, seconds: int) -> None:
    """Print as JSON what listening with the export in FOLDER costs, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    recognizer = open_model(folder).recognizer(Listening(step_ms=step_ms))
    second = np.random.default_rng(0).integers(-(2**12), 2**12, SAMPLE_RATE_HZ, np.int16)
    for _ in recognizer.feed(second):
        pass
    before = time.process_time()
    for _ in range(seconds):
        for _ in recognizer.feed(second):
            pass
    click.echo(json.dumps(ListeningCost((time.process_time() - before) / seconds, peak_bytes())._asdict()))


def measured(folder: Path, step_ms: int) -> ListeningCost:
    """The cost of listening, measured in a process of its own.

    Raises:
        DataError: it failed; it has said why.
    """
    arguments = [sys.executable, "-m", "serving.stream_test.cost", str(folder), "--step-ms", str(step_ms)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise DataError(f"measuring the cost of listening ended with exit code {done.returncode}: see above")
    return ListeningCost(**json.loads(done.stdout))


if __name__ == "__main__":
    command.run(main)

"""What listening costs on one core: seconds of work for a second of audio, and the memory of a process that listens."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from pydantic.dataclasses import dataclass

from base import command
from base.files import to_json
from base.types import STRICT
from features.views import SAMPLE_RATE_HZ
from serving.measuring import measured_alone, on_one_core, peak_bytes
from serving.model import open_model
from serving.recognizer import Listening


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ListeningCost:
    """Seconds of processor time for a second of audio, and the largest resident memory in bytes."""

    real_time_factor: float
    peak_bytes: int


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--step-ms", required=True, type=click.IntRange(10, 500))
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(2), help="Audio to listen to.")
def main(folder: Path, step_ms: int, seconds: int) -> None:
    """Print as JSON what listening with the export in FOLDER costs, on one core."""
    on_one_core()
    recognizer = open_model(folder).recognizer(Listening(step_ms=step_ms))
    second = np.random.default_rng(0).integers(-(2**12), 2**12, SAMPLE_RATE_HZ, np.int16)
    for _ in recognizer.feed(second):
        pass
    before = time.process_time()
    for _ in range(seconds):
        for _ in recognizer.feed(second):
            pass
    spent_s = time.process_time() - before
    cost = ListeningCost(real_time_factor=spent_s / seconds, peak_bytes=peak_bytes())
    click.echo(to_json(asdict(cost)))


def measured(folder: Path, step_ms: int) -> ListeningCost:
    """The cost of listening, measured in a process of its own.

    Raises:
        DataError: it failed; it has said why.
    """
    return measured_alone(ListeningCost, "serving.stream_test.cost", str(folder), "--step-ms", str(step_ms))


if __name__ == "__main__":
    command.run(main)

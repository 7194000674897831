"""What one clip costs in a format of an export: its time on one core, and the memory of a process that runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from base import command
from base.errors import DataError
from base.files import to_json
from base.types import STRICT
from features.views import CLIP_SAMPLES
from results.cost import Latency, latency
from serving.description import FORMATS, Format, read_export


@dataclass(frozen=True, config=STRICT, kw_only=True)
class FormatCost:
    """Time of one clip, from its samples to probabilities, and the largest resident memory of the process in bytes."""

    latency: Latency
    peak_bytes: int


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("name", type=click.Choice(FORMATS))
@click.option("--runs", type=click.IntRange(min=1), default=1000, show_default=True, help="Clips to time, one by one.")
def main(folder: Path, name: Format, runs: int) -> None:
    """Print as JSON what one clip costs in the format NAME of the export in FOLDER, on one core without a GPU."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from serving.runtimes import classifier

    classify = classifier(folder, read_export(folder), name)
    clip = np.random.default_rng(0).integers(-(2**12), 2**12, (1, CLIP_SAMPLES), np.int16)
    found = latency(lambda: classify(clip), runs)
    click.echo(to_json(asdict(FormatCost(latency=found, peak_bytes=peak_bytes()))))


def peak_bytes() -> int:
    """Largest resident memory of this process so far; `getrusage` would count its parent's before the program began."""
    [line] = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def measured(folder: Path, name: Format, runs: int) -> FormatCost:
    """The cost of a format, measured in a process of its own.

    Raises:
        DataError: it failed; it has said why.
    """
    arguments = [sys.executable, "-m", "serving.cost", str(folder), name, "--runs", str(runs)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if done.returncode:
        raise DataError(f"measuring {name} ended with exit code {done.returncode}: the lines above say why")
    try:
        cost: FormatCost = TypeAdapter(FormatCost).validate_json(done.stdout)
    except ValidationError as error:
        raise DataError(f"the cost of {name} can't be read: {error}") from error
    return cost


if __name__ == "__main__":
    command.run(main)

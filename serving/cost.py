"""What one clip costs in a format of an export: its time on one core, and the memory of a process that runs it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from pydantic.dataclasses import dataclass

from base import command
from base.files import to_json
from base.types import STRICT
from features.views import CLIP_SAMPLES
from results.cost import Latency, latency
from serving.description import FORMATS, Format, read_export
from serving.measuring import measured_alone, on_one_core, peak_bytes


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
    on_one_core()
    from serving.runtimes import classifier

    classify = classifier(folder, read_export(folder), name)
    clip = np.random.default_rng(0).integers(-(2**12), 2**12, (1, CLIP_SAMPLES), np.int16)
    found = latency(lambda: classify(clip), runs)
    click.echo(to_json(asdict(FormatCost(latency=found, peak_bytes=peak_bytes()))))


def measured(folder: Path, name: Format, runs: int) -> FormatCost:
    """The cost of a format, measured in a process of its own.

    Raises:
        DataError: it failed; it has said why.
    """
    return measured_alone(FormatCost, "serving.cost", str(folder), name, "--runs", str(runs))


if __name__ == "__main__":
    command.run(main)

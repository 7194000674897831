"""How users label an archive today, for comparison: librosa clip by clip, Keras on batches, a CSV file at the end."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import click
import numpy as np

from base import command
from benchmarks.by_librosa import Floats, compute, decode, read_clips
from features.views import View
from results.model import read_description
from results.network_file import read_network

LABELS_FILE: Final = "labels.csv"


def batches(archive: str, view: View, clips: int, size: int) -> Iterator[tuple[list[str], Floats]]:
    """Names and features of the first clips of an archive, so many at once; float32, (size or fewer, *view.shape)."""
    found = read_clips(archive, clips)
    while some := list(islice(found, size)):
        features = np.stack([compute(decode(data), view) for _, data in some])
        yield [f"{name}.wav" for name, _ in some], features.astype(np.float32) * np.float32(view.scale)


@click.command()
@click.argument("archive")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--clips", type=click.IntRange(min=1), required=True, help="How many of the first clips to take.")
@click.option("--batch", type=click.IntRange(min=1), default=256, show_default=True, help="Clips at once.")
def main(archive: str, model: Path, output: Path, clips: int, batch: int) -> None:
    """Label the first clips of ARCHIVE with the trained MODEL, into a CSV file in the folder OUTPUT."""
    description, network = read_description(model), read_network(model)
    rows = list[tuple[str, str]]()
    for names, features in batches(archive, description.feature_view, clips, batch):
        places = network.predict_on_batch(features).argmax(axis=1)
        rows += zip(names, (description.classes[place] for place in places), strict=True)
    output.mkdir(parents=True)
    with (output / LABELS_FILE).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("fname", "label"), *sorted(rows)])


if __name__ == "__main__":
    command.run(main)

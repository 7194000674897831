"""Two ways in which users prepare features today, for comparison: a librosa loop, and audio as plain Beam elements.

Both read the first clips of an archive and compute the views of params.yaml in the working directory; at 16 kHz the
values are those of `features.frontend`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import apache_beam as beam
import click
import numpy as np

from base import command, params
from benchmarks.by_librosa import Floats, compute_all, read_clips
from benchmarks.measure import WORK_SECONDS_FILE
from features.views import View

if TYPE_CHECKING:
    import tensorflow as tf


def loop(archive: str, output: Path, clips: int, views: dict[str, View]) -> None:
    """One clip after the other, each into a file word/name.npz."""
    for clip_id, data in read_clips(archive, clips):
        place = output / f"{clip_id}.npz"
        place.parent.mkdir(parents=True, exist_ok=True)
        np.savez(place, **compute_all(data, views))


class ToExample(beam.DoFn):
    """(id, WAVE file) → serialized tf.train.Example."""

    def __init__(self, views: dict[str, View]) -> None:
        self._views = views

    def process(self, element: tuple[str, bytes]) -> Iterator[bytes]:
        clip_id, data = element
        yield to_example(clip_id, compute_all(data, self._views)).SerializeToString()


def to_example(clip_id: str, features: dict[str, Floats]) -> tf.train.Example:
    """A clip's id, word and features as a message."""
    import tensorflow as tf

    def text(value: str) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))

    fields = {"id": text(clip_id), "word": text(clip_id.partition("/")[0])}
    for name, values in features.items():
        fields[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values.ravel().tolist()))
    return tf.train.Example(features=tf.train.Features(feature=fields))


def plain_beam(archive: str, output: Path, clips: int, views: dict[str, View]) -> None:
    """Clips as elements, through Beam's Python runner, into TFRecord files; no shuffle, which would hold all clips."""
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create([archive])
            | "Read" >> beam.FlatMap(read_clips, clips)
            | "Features" >> beam.ParDo(ToExample(views))
            | beam.io.WriteToTFRecord(str(output / "features"), file_name_suffix=".tfrecord")
        )


def warm_up(method: str, archive: str, views: dict[str, View]) -> None:
    """Have everything imported: librosa and TensorFlow load much of themselves when they are first called."""
    for clip_id, data in read_clips(archive, 1):
        features = compute_all(data, views)
        if method == "beam":
            to_example(clip_id, features)


METHODS: Final = {"loop": loop, "beam": plain_beam}


@click.command()
@click.argument("method", type=click.Choice(list(METHODS)))
@click.argument("archive")
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--clips", type=click.IntRange(min=1), required=True, help="How many of the archive's first clips to take."
)
@click.option("--views", required=True, help="Names of views of params.yaml, divided by commas.")
def main(method: str, archive: str, output: Path, clips: int, views: str) -> None:
    """Prepare the first clips of ARCHIVE by METHOD in the folder OUTPUT."""
    declared: dict[str, View] = params.load("extract.views", dict[str, View])
    chosen = {name: declared[name] for name in views.split(",")}
    output.mkdir(parents=True)
    warm_up(method, archive, chosen)
    started = time.monotonic()
    METHODS[method](archive, output, clips, chosen)
    (output / WORK_SECONDS_FILE).write_text(f"{time.monotonic() - started}\n")


if __name__ == "__main__":
    from benchmarks.baselines import main as importable_main  # Beam finds transforms by this module's real name

    command.run(importable_main)

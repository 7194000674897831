"""Two ways in which users prepare features today, for comparison: a librosa loop, and audio as plain Beam elements.

Both read the first clips of an archive and compute the views of params.yaml in the working directory; the values are
those of `features.frontend`.
"""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import apache_beam as beam
import click
import librosa
import numpy as np
import numpy.typing as npt
import soundfile

import command
import params
from benchmarks.measure import WORK_SECONDS_FILE
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, LogMel, Mfcc, Spectrogram, View, Waveform

if TYPE_CHECKING:
    import tensorflow as tf

Floats = npt.NDArray[np.float32]

_CLIP: Final = re.compile(r"(?:\./)?(?P<id>[^/_]+/[^/]+_nohash_\d+)\.wav")


def read_clips(archive: str, clips: int) -> Iterator[tuple[str, bytes]]:
    """(id, WAVE file) of the first so many clips of an archive."""
    with tarfile.open(archive, "r|gz") as files:
        found = ((match, file) for file in files if (match := _CLIP.fullmatch(file.name)))
        for match, file in islice(found, clips):
            content = files.extractfile(file)
            if content:
                yield match["id"], content.read()


def decode(data: bytes) -> Floats:
    """A clip of one second, float32 in -1..1, (16000,)."""
    samples, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    fixed: Floats = librosa.util.fix_length(samples, size=CLIP_SAMPLES)
    return fixed


def compute(samples: Floats, view: View) -> Floats:
    """A view by librosa, of the view's shape."""
    match view:
        case Mfcc():
            log_mel = _decibels(_mel_filters(view) @ _power(samples, view), view)
            features = librosa.feature.mfcc(S=log_mel, n_mfcc=view.coefficients)
        case LogMel():
            features = _decibels(_mel_filters(view) @ _power(samples, view), view)
        case Spectrogram():
            features = _decibels(_power(samples, view), view)
        case Waveform():
            return librosa.resample(samples, orig_sr=SAMPLE_RATE_HZ, target_sr=view.sample_rate_hz)
    return features.T


def _power(samples: Floats, view: Spectrogram) -> Floats:
    spectrum = librosa.stft(samples, n_fft=view.frame_samples, hop_length=view.hop_samples, center=False)
    power: Floats = np.abs(spectrum) ** 2
    return power


def _decibels(power: Floats, view: Spectrogram) -> Floats:
    decibels: Floats = librosa.power_to_db(power, amin=10.0 ** (view.floor_db / 10.0), top_db=None)
    return decibels


@lru_cache(maxsize=8)
def _mel_filters(view: LogMel) -> Floats:
    filters: Floats = librosa.filters.mel(
        sr=SAMPLE_RATE_HZ,
        n_fft=view.frame_samples,
        n_mels=view.mel_bands,
        fmin=view.mel_low_hz,
        fmax=view.mel_high_hz,
        htk=view.mel_scale == "htk",
    )
    return filters


def compute_all(data: bytes, views: dict[str, View]) -> dict[str, Floats]:
    """All views of a clip's WAVE file."""
    samples = decode(data)
    return {name: compute(samples, view) for name, view in views.items()}


def loop(archive: str, output: Path, clips: int, views: dict[str, View]) -> None:
    """One clip after the other, each into a file word/name.npz."""
    for clip_id, data in read_clips(archive, clips):
        place = output / f"{clip_id}.npz"
        place.parent.mkdir(parents=True, exist_ok=True)
        np.savez(place, **compute_all(data, views))


class ToExample(beam.DoFn):
    """(id, WAVE file) → serialised tf.train.Example."""

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
    declared = params.load().extract.views
    chosen = {name: declared[name] for name in views.split(",")}
    output.mkdir(parents=True)
    warm_up(method, archive, chosen)
    started = time.monotonic()
    METHODS[method](archive, output, clips, chosen)
    (output / WORK_SECONDS_FILE).write_text(f"{time.monotonic() - started}\n")


if __name__ == "__main__":
    from benchmarks.baselines import main as importable_main  # Beam finds transforms by this module's real name

    command.run(importable_main)

"""Two ways in which users prepare features today, for comparison: a librosa loop, and audio as plain Beam elements.

Both read the first clips of an archive and compute the views of params.yaml in the working directory; at 16 kHz the
values are those of `features.frontend`.
"""

from __future__ import annotations

import io
import re
import tarfile
import time
from collections.abc import Callable, Iterator
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

from base import command, params
from base.errors import DataError
from benchmarks.measure import WORK_SECONDS_FILE
from features.views import (
    CLIP_SAMPLES,
    SAMPLE_RATE_HZ,
    BaseView,
    LogMel,
    MelView,
    Mfcc,
    SpectralView,
    Spectrogram,
    View,
    Waveform,
)

if TYPE_CHECKING:
    import tensorflow as tf

Floats = npt.NDArray[np.float32]

_CLIP: Final = re.compile(r"(?:\./)?(?P<id>[^/_]+/[^/]+_nohash_\d+)\.wav")


def read_clips(archive: str, clips: int) -> Iterator[tuple[str, bytes]]:
    """(id, WAVE file) of the first clips of an archive."""
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
    """A view by librosa, of the view's shape.

    Raises:
        DataError: there is no function for this kind of view.
    """
    if type(view) not in _FUNCTIONS:
        raise DataError(f"librosa has no counterpart here for views of kind {view.kind}: measure another view")
    return _FUNCTIONS[type(view)](samples, view)


def waveform(samples: Floats, view: BaseView) -> Floats:
    """The part of a clip that the view sees, at its rate, (samples,)."""
    seen = samples[: view.clip_ms * SAMPLE_RATE_HZ // 1000]
    resampled: Floats = librosa.resample(seen, orig_sr=SAMPLE_RATE_HZ, target_sr=view.sample_rate_hz)
    return resampled


def spectrogram(samples: Floats, view: SpectralView) -> Floats:
    """(frames, frequency_bins)"""
    return _scaled(_linear(samples, view), view).T


def log_mel(samples: Floats, view: MelView) -> Floats:
    """(frames, mel_bands)"""
    return _scaled(_mel_filters(view) @ _linear(samples, view), view).T


def mfcc(samples: Floats, view: Mfcc) -> Floats:
    """(frames, coefficients)"""
    coefficients: Floats = librosa.feature.mfcc(S=log_mel(samples, view).T, n_mfcc=view.coefficients)
    return coefficients.T


_FUNCTIONS: Final[dict[type, Callable[[Floats, Any], Floats]]] = {
    Waveform: waveform,
    Spectrogram: spectrogram,
    LogMel: log_mel,
    Mfcc: mfcc,
}


def _linear(samples: Floats, view: SpectralView) -> Floats:
    """Magnitude or power, (frequency_bins, frames); a frame is followed by zeros, as the last frame must be for it."""
    appended = view.fft_length - view.frame_length
    hann = librosa.filters.get_window("hann", view.frame_length, fftbins=view.window == "hann")
    padded = np.pad(waveform(samples, view), (0, appended))
    window = np.pad(hann, (0, appended))
    spectrum = librosa.stft(padded, n_fft=view.fft_length, hop_length=view.hop_length, window=window, center=False)
    values: Floats = np.abs(spectrum) ** view.power
    return values


def _scaled(values: Floats, view: SpectralView) -> Floats:
    """In dB where the view has a floor."""
    if view.floor_db is None:
        return values
    lowest = 10.0 ** (view.floor_db / 10.0)
    decibels: Floats = librosa.power_to_db(values ** (2 / view.power), amin=lowest, top_db=None)
    return decibels


@lru_cache(maxsize=8)
def _mel_filters(view: MelView) -> Floats:
    filters: Floats = librosa.filters.mel(
        sr=view.sample_rate_hz,
        n_fft=view.fft_length,
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

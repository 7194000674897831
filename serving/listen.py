"""`python -m serving.listen`: says the words of an endless stream as they come, from a microphone or standard input."""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
import numpy as np
import numpy.typing as npt

from base import command
from base.errors import DataError
from features.views import SAMPLE_RATE_HZ
from serving.model import open_model
from serving.recognizer import Listening
from serving.tested import thresholds_option

Samples = npt.NDArray[np.int16]

STDIN: Final = "-"
MICROPHONE: Final = "microphone"
_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 50
_MOST_BLOCKS: Final = 500
"""Ten seconds of a microphone wait at most; a machine that is slower than that loses the newest."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("source", default=MICROPHONE)
@click.option("--threshold", type=click.FloatRange(0, 1), help="Instead of that of the export, for all words.")
@thresholds_option
@click.option("--step-ms", default=Listening().step_ms, show_default=True, type=click.IntRange(10, 500))
@click.option("--average-ms", default=Listening().average_ms, show_default=True, type=click.IntRange(0, 2000))
@click.option("--refractory-ms", default=Listening().refractory_ms, show_default=True, type=click.IntRange(0, 10_000))
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
def main(
    folder: Path,
    source: str,
    threshold: float | None,
    tested: Path | None,
    step_ms: int,
    average_ms: int,
    refractory_ms: int,
    *,
    as_json: bool,
) -> None:
    """Say the words that are heard, with the export in FOLDER, until the stream ends or Ctrl-C.

    SOURCE is microphone, which needs the package sounddevice, or - for standard input: samples of 16 bits, little
    endian, one channel, 16 kHz, as `arecord -t raw -f S16_LE -r 16000` or ffmpeg's `-f s16le -ac 1 -ar 16000` write.
    """
    if threshold is not None and tested is not None:
        raise click.UsageError("--threshold and --thresholds exclude each other")
    model = open_model(folder, tested)
    if threshold is not None:
        model = replace(model, thresholds=dict.fromkeys(model.words, threshold))
    listening = Listening(step_ms=step_ms, average_ms=average_ms, refractory_ms=refractory_ms)
    recognizer = model.recognizer(listening)
    try:
        for samples in blocks(source):
            for step in recognizer.feed(samples):
                if step.heard:
                    found = asdict(step.heard)
                    line = json.dumps(found) if as_json else "{time_s:9.2f} s  {word}  {score:.0%}".format(**found)
                    click.echo(line)
                    sys.stdout.flush()
    except KeyboardInterrupt:
        command.say("stopped")


def blocks(source: str) -> Iterator[Samples]:
    """The samples of a source as they come.

    Raises:
        DataError: there is no such source, or it has no microphone.
    """
    if source == STDIN:
        return raw_blocks(sys.stdin.buffer)
    if source == MICROPHONE:
        return microphone_blocks()
    raise DataError(f"source {source!r}: expected {MICROPHONE}, or {STDIN} for standard input; files go to predict")


def raw_blocks(file: BinaryIO) -> Iterator[Samples]:
    """int16 samples of a raw stream; half a sample at its end is left out."""
    rest = b""
    while read := file.read(2 * _BLOCK_SAMPLES):
        read = rest + read
        whole = len(read) // 2 * 2
        rest = read[whole:]
        yield np.frombuffer(read[:whole], "<i2").astype(np.int16)


def microphone_blocks() -> Iterator[Samples]:
    """int16 samples of the default microphone, at 16 kHz.

    Raises:
        DataError: sounddevice is not installed, or there is no microphone.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        raise DataError(
            f"the microphone needs the package sounddevice and the library PortAudio ({error}): install both, or send "
            f"samples to standard input with {STDIN}"
        ) from error
    waiting: queue.Queue[Samples] = queue.Queue(_MOST_BLOCKS)

    def heard(block: npt.NDArray[np.int16], frames: int, time: Any, status: Any) -> None:
        if not waiting.full():
            waiting.put_nowait(block[:, 0].copy())

    try:
        with sounddevice.InputStream(SAMPLE_RATE_HZ, _BLOCK_SAMPLES, channels=1, dtype="int16", callback=heard):
            while True:
                yield waiting.get()
    except sounddevice.PortAudioError as error:
        raise DataError(f"no microphone can be listened to: {error}") from error


if __name__ == "__main__":
    command.run(main)

"""`python -m serving.predict`: decodes audio files of any kind and length with an export."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Final

import click
import numpy as np
from tabulate import tabulate

from base import command
from base.errors import DataError
from features.audio import pad_or_trim
from features.audio_file import AudioError, AudioFile
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from serving.model import Model, open_model
from serving.recognizer import Heard, Listening
from serving.tested import thresholds_option

STDIN: Final = "-"
_TOP: Final = 3


@dataclass(frozen=True)
class Guess:
    """A class and its probability, 0..1."""

    word: str
    probability: float


@dataclass(frozen=True)
class Decoded:
    """What a file says.

    Attributes:
        file: its name as it was given.
        seconds: its duration.
        top: the most probable classes, best first, of the window in which the first of them is most probable.
        heard: the words of a file longer than a second, in order of time.
    """

    file: str
    seconds: float
    top: tuple[Guess, ...]
    heard: tuple[Heard, ...]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True)
@click.option("--json", "form", flag_value="json", help="JSON lines, one for each file.")
@click.option("--csv", "form", flag_value="csv", help="CSV, one row for each class or word.")
@click.option("--step-ms", default=Listening().step_ms, show_default=True, type=click.IntRange(10, 500))
@thresholds_option
def main(folder: Path, files: Sequence[str], form: str | None, step_ms: int, tested: Path | None) -> None:
    """Decode FILES with the export in FOLDER: WAV, FLAC, Ogg Vorbis, Opus, MP3, of any rate, length and channels.

    - reads standard input. A file of up to a second gets its most probable classes. A longer one is listened to from
    its beginning to its end: the words that are heard, and when. Files that can't be read are named at the end, and
    the exit code is 1.
    """
    model = open_model(folder, tested)
    listening, failed = Listening(step_ms=step_ms), []
    decoded = []
    for name in files:
        try:
            decoded.append(decode_file(model, name, listening))
        except (AudioError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            failed.append(f"{name}: {reason}")
    if decoded:
        click.echo(shown(decoded, form), nl=False)
    for line in failed:
        click.echo(f"error: {line}", err=True)
    if failed:
        raise DataError(f"{len(failed)} of {len(files)} files could not be decoded")


def decode_file(model: Model, name: str, listening: Listening) -> Decoded:
    """Decode one file.

    Args:
        model: what decodes it.
        name: its path, or - for standard input.
        listening: the times by which a longer file is listened to.

    Raises:
        AudioError: it is not usable audio.
        OSError: it can't be read.
    """
    data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    return decode_recording(model, name, AudioFile(data), listening)


def decode_recording(model: Model, name: str, recording: AudioFile, listening: Listening) -> Decoded:
    """Decode audio of any length; only a block of it is in memory at a time."""
    seconds, classes = recording.size / SAMPLE_RATE_HZ, model.export.classes
    if recording.size <= CLIP_SAMPLES:
        clip, _ = pad_or_trim(recording.stretch(0, CLIP_SAMPLES))
        return Decoded(name, seconds, guesses(classes, model.probabilities(clip[None])[0]), ())
    best, heard = None, []
    recognizer = model.recognizer(listening)
    for step in chain.from_iterable(map(recognizer.feed, recording.blocks())):
        if best is None or step.probabilities.max() > best.max():
            best = step.probabilities
        if step.heard:
            heard.append(step.heard)
    assert best is not None
    return Decoded(name, seconds, guesses(classes, best), tuple(heard))


def guesses(classes: Sequence[str], probabilities: np.ndarray[tuple[int], np.dtype[np.float32]]) -> tuple[Guess, ...]:
    """The most probable classes, best first."""
    order = np.argsort(-probabilities, kind="stable")[:_TOP]
    return tuple(Guess(classes[place], float(probabilities[place])) for place in order)


def shown(decoded: Sequence[Decoded], form: str | None) -> str:
    """What was decoded, as text in a form: "json", "csv", or a table for people."""
    if form == "json":
        return "".join(f"{json.dumps(asdict(each), ensure_ascii=False)}\n" for each in decoded)
    rows = [row for each in decoded for row in _rows(each)]
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([("file", "seconds", "time_s", "word", "probability"), *rows])
        return text.getvalue()
    table = [(file, f"{seconds:.2f}", *_for_people(rest)) for file, seconds, *rest in rows]
    return tabulate(table, ("file", "seconds", "at", "word", "probability"), disable_numparse=True) + "\n"


def _rows(each: Decoded) -> Iterator[tuple[str, float, float | str, str, float | str]]:
    """A row for each class of a clip, or for each word of a longer file; one without a word where none was heard."""
    if each.seconds <= CLIP_SAMPLES / SAMPLE_RATE_HZ:
        yield from ((each.file, each.seconds, "", guess.word, guess.probability) for guess in each.top)
    elif each.heard:
        yield from ((each.file, each.seconds, event.time_s, event.word, event.score) for event in each.heard)
    else:
        yield (each.file, each.seconds, "", "", "")


def _for_people(row: Sequence[float | str]) -> tuple[str, str, str]:
    time_s, word, probability = row
    at = f"{time_s:.2f} s" if isinstance(time_s, float) else ""
    return at, str(word) or "no word", f"{probability:.1%}" if isinstance(probability, float) else ""


if __name__ == "__main__":
    command.run(main)

"""`python -m serving.stream_test.hard_negatives`: cuts what a model mistakes for its words out of a stream."""

from __future__ import annotations

import csv
import io
import wave
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from base import command, params
from base.errors import DataError
from base.files import published, write_text
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from serving.stream_test.listening import Listened, listener
from serving.stream_test.render import Samples, rendered, sound_of
from serving.stream_test.scoring import FalseAccept
from serving.stream_test.settings import RULES, StreamNumbers

WORD: Final = "hard_negative"
_LIST: Final = "train.csv"


@click.command()
@click.argument("export", type=click.Path(path_type=Path))
@click.argument("features")
@click.argument("clips")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--speech", type=click.Path(path_type=Path), help="Folder of long recordings, all of them for training.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="From which score on a word is cut; that of the export.")
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), help="Of words, instead of stream_test.hours.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes, one core each.")
def main(
    export: Path,
    features: str,
    clips: str,
    folder: Path,
    speech: Path | None,
    threshold: float | None,
    hours: float | None,
    workers: int,
) -> None:
    """Let the export in EXPORT listen to a stream of the train split, and write its false accepts as clips into FOLDER.

    FOLDER/clips is a corpus for corpus.sources in which each clip is an unknown word of the train split. Take other
    recordings of SPEECH than those of the stream test.
    """
    numbers: StreamNumbers = params.load("stream_test", StreamNumbers)
    numbers = numbers if hours is None else replace(numbers, hours=hours)
    listening = listener(export, features, clips, numbers, RULES["house"], None, workers)
    found = listening.listen("train", speech, folder)
    least = listening.model.export.threshold.value if threshold is None else threshold
    cut = [each for each in found.outcome_of_one(least).false_accepts if is_negative(found, each)]
    if not cut:
        raise DataError(f"nothing is mistaken for a word at the threshold {least:.3f}: take a lower one or more hours")
    write(folder / "clips", found, cut)
    command.say(f"{folder / 'clips'}: {len(cut)} clips that {listening.model.export.model} takes for words")


def is_negative(listened: Listened, each: FalseAccept) -> bool:
    """Whether no word of the model sounds in the window in which it was heard."""
    start, stop = window(each)
    return not any(
        placement.kind == "word" and placement.onset < stop and placement.end > start
        for placement in listened.stream.between(start, stop)
    )


def window(each: FalseAccept) -> tuple[int, int]:
    """First and last sample, plus one, of the window at which a word was heard."""
    stop = round(each.heard.time_s * SAMPLE_RATE_HZ)
    return stop - CLIP_SAMPLES, stop


def write(folder: Path, listened: Listened, cut: list[FalseAccept]) -> None:
    """Write clips in the layout of listed clips.

    Raises:
        DataError: the folder holds something already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder} is not empty: remove it, or name another folder")
    (folder / WORD).mkdir(parents=True)
    sound, text = sound_of(listened.material.audio), io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("file", "class"))
    for each in cut:
        start, stop = window(each)
        name = f"{WORD}/{start:011d}-{each.heard.word}.wav"
        _write_wav(folder / name, rendered(listened.stream, sound, start, stop))
        rows.writerow((name, WORD))
    write_text(str(folder / _LIST), text.getvalue())


def _write_wav(path: Path, samples: Samples) -> None:
    with published(str(path)) as file, wave.open(file, "wb") as audio:
        audio.setparams((1, 2, SAMPLE_RATE_HZ, len(samples), "NONE", ""))
        audio.writeframes(samples.astype("<i2").tobytes())


if __name__ == "__main__":
    command.run(main)

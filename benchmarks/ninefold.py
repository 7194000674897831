"""Measures how many copies of the ninefold are made in a second, by the stage's code and by librosa's loop in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

import click
import librosa
import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from base import command
from benchmarks.measure import machine
from features.audio import Samples
from features.labels import SILENCE_CLASS
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from pipelines.augment.config import Ninefold
from pipelines.augment.copies import HALF_STEPS, RATES, copies_of
from pipelines.augment.materials import Materials
from readers.store import open_store

COPIES: Final = len(RATES) * len(HALF_STEPS) - 1

_NINEFOLD: Final = Ninefold(kind="ninefold")
_NOTHING: Final = Materials({}, {})


def ours(samples: Samples) -> list[npt.NDArray[np.float64]]:
    """The copies of a clip as the stage makes them, each without its padding."""
    made = copies_of("", samples, _NINEFOLD, 0, _NOTHING)
    return [copy.samples[: copy.length].astype(np.float64) for copy in made]


def loop(samples: Samples) -> list[npt.NDArray[np.float64]]:
    """The same copies by librosa's functions, called one after the other, each cut to a second."""
    sound = samples.astype(np.float32)
    found = []
    for rate in RATES:
        stretched = sound if rate == 1 else librosa.effects.time_stretch(sound, rate=rate)
        for half_steps in HALF_STEPS:
            if rate == 1 and half_steps == 0:
                continue
            shifted = stretched
            if half_steps:
                shifted = librosa.effects.pitch_shift(stretched, sr=SAMPLE_RATE_HZ, n_steps=half_steps)
            found.append(shifted[:CLIP_SAMPLES].astype(np.float64))
    return found


def agreement_db(copy: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float:
    """Power of the expected samples, as int16 holds them, over that of the difference."""
    expected = np.clip(np.rint(expected), -32_768, 32_767)
    error = float(((copy - expected) ** 2).sum())
    return float(10 * np.log10(float((expected**2).sum()) / error)) if error else float("inf")


def copies_a_second(make: Callable[[Samples], object], clips: list[Samples]) -> float:
    """How many copies are made in a second."""
    started = time.perf_counter()
    for samples in clips:
        make(samples)
    return COPIES * len(clips) / (time.perf_counter() - started)


@click.command()
@click.argument("clips", type=click.Path(exists=True, path_type=Path))
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="Clips in each run.")
@click.option("--repetitions", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each.")
def main(clips: Path, count: int, repetitions: int) -> None:
    """Measure the ninefold on spoken clips of the store CLIPS, in one process, and how well both agree."""
    store = open_store(clips)
    spoken = (record for record in store.records(store.splits[0]) if record["word"] != SILENCE_CLASS)
    sounds = [np.asarray(each["audio"], np.int16)[: each["length"]] for each in islice(spoken, count)]
    facts = machine()
    agreements = [
        agreement_db(copy, expected)
        for samples in sounds
        for copy, expected in zip(ours(samples), loop(samples), strict=True)
    ]  # which also has librosa compile its functions
    rates: dict[str, list[float]] = {"pipelines.augment": [], "librosa's loop": []}
    for _ in range(repetitions):
        rates["pipelines.augment"].append(copies_a_second(ours, sounds))
        rates["librosa's loop"].append(copies_a_second(loop, sounds))
    rows = [(name, statistics.median(each), min(each), max(each)) for name, each in rates.items()]
    click.echo(f"{facts['cores']} cores, {facts['cpu']}, load {facts['load_before']:.1f} before the start\n")
    click.echo(tabulate(rows, ("ninefold, one process", "copies/s", "lowest", "highest"), floatfmt=",.0f"))
    least, middle = min(agreements), statistics.median(agreements)
    click.echo(
        f"\nMedian of {repetitions} runs in turn, each of {COPIES * len(sounds):,} copies of {len(sounds):,} clips.\n"
        f"Signal over the difference of the two: {least:.0f} dB at least, {middle:.0f} dB in the middle, "
        f"N = {len(agreements):,} copies."
    )


if __name__ == "__main__":
    command.run(main)

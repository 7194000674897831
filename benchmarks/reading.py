"""Measures how many records a second each way to read a store gives, and how soon an epoch begins, in turn."""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import click
from tabulate import tabulate

from base import command
from base.errors import DataError
from benchmarks.measure import machine
from benchmarks.readers import BATCH, READERS, SHUFFLE, SPLIT, Reading
from readers.store import open_store

PROJECT: Final = Path(__file__).resolve().parents[1]
TORCH_PYTHON: Final = PROJECT / ".venv-torch" / "bin" / "python"
HEADERS: Final = ("view", "reader", "records/s", "lowest", "highest", "first batch, ms")


@dataclass(frozen=True)
class Rate:
    """One reader on one store, in each repetition: records a second, and milliseconds to an epoch's first batch."""

    view: str
    reader: str
    rates: tuple[float, ...]
    first_batch_ms: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rates)

    def to_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {**asdict(self), "median": self.median}


def pythons(parquet: Path | None) -> dict[str, str]:
    """The readers that can run here: name → the Python interpreter that has their library."""
    found = dict.fromkeys(READERS, sys.executable)
    if importlib.util.find_spec("torch") is None:
        found["PyTorch"] = str(TORCH_PYTHON)
        if not TORCH_PYTHON.exists():
            command.say(
                "PyTorch is left out: it is not installed; `make test-torch` sets up an environment that has it"
            )
            del found["PyTorch"]
    if parquet is None:
        command.say("Hugging Face datasets is left out: --parquet names no export of the store")
        del found["Hugging Face datasets"]
    return found


def read(python: str, reader: str, store: Path, records: int, parquet: Path | None) -> Reading:
    """What one reader takes in a process of its own.

    Raises:
        DataError: the process fails.
    """
    options = [] if parquet is None else [f"--parquet={parquet}"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [python, "-m", "benchmarks.readers", reader, str(store), str(records), *options],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        raise DataError(f"{reader} on {store} ended with exit code {done.returncode}: the lines above say why")
    return Reading(**json.loads(done.stdout.splitlines()[-1]))


def compare(store: Path, records: int, repetitions: int, parquet: Path | None) -> list[Rate]:
    """The rates of all readers that can run here, measured in turn, so that other load meets all alike."""
    view, found = open_store(store).name, pythons(parquet)
    readings: dict[str, list[Reading]] = {reader: [] for reader in found}
    for repetition in range(1, repetitions + 1):
        for reader, python in found.items():
            reading = read(python, reader, store, records, parquet)
            readings[reader].append(reading)
            command.say(f"{view}, {reader}, {repetition} of {repetitions}: {reading.rate:,.0f} records/s")
    return [
        Rate(view, reader, tuple(each.rate for each in turns), tuple(each.first_batch_ms for each in turns))
        for reader, turns in readings.items()
    ]


def render(rates: Sequence[Rate], facts: dict[str, Any]) -> str:
    """The table with what it depends on."""
    cells = [(each.view, each.reader, *_figures(each)) for each in rates]
    table = tabulate(cells, HEADERS, colalign=("left", "left", *["right"] * 4), disable_numparse=True)
    repetitions = max((len(each.rates) for each in rates), default=0)
    return "\n".join(
        [
            f"{facts['cores']} cores, {facts['cpu']}, load {facts['load_before']:.1f} before the start",
            "",
            table,
            "",
            f"Median of {repetitions} runs in turn, each a process of its own, without its first epoch: split {SPLIT}, "
            f"batches of {BATCH}, files in the page cache. tf.data and PyTorch shuffle among {SHUFFLE:,} records, "
            "NumPy and Hugging Face datasets the whole split, TensorFlow Datasets the files only.",
        ]
    )


def _figures(rate: Rate) -> list[str]:
    speeds = [f"{each:,.0f}" for each in (rate.median, min(rate.rates), max(rate.rates))]
    return [*speeds, f"{statistics.median(rate.first_batch_ms):.1f}"]


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path(exists=True, resolve_path=True, path_type=Path))
@click.option("--records", type=click.IntRange(min=1), default=50_000, show_default=True, help="To read in each run.")
@click.option("--repetitions", type=click.IntRange(min=1), default=5, show_default=True, help="Runs of each reader.")
@click.option(
    "--parquet",
    "exports",
    multiple=True,
    type=click.Path(exists=True, resolve_path=True, path_type=Path),
    help="The store's export to Parquet (`python -m registry export STORE DIR --format parquet`); once for each store.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to this JSON file.")
def main(
    stores: tuple[Path, ...], records: int, repetitions: int, exports: tuple[Path, ...], output: Path | None
) -> None:
    """Measure how fast the split train of each of STORES is read."""
    if exports and len(exports) != len(stores):
        raise DataError(f"{len(exports)} times --parquet for {len(stores)} stores: give it once for each, in order")
    facts = machine()
    pairs = zip(stores, exports or [None] * len(stores), strict=True)
    rates = [each for store, export in pairs for each in compare(store, records, repetitions, export)]
    click.echo(render(rates, facts))
    if output:
        content = {"machine": facts, "records": records, "rates": [each.to_dict() for each in rates]}
        output.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    command.run(main)

"""The picture of a stream test: misses against false accepts per hour, and what each word misses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import click
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from base import command
from base.errors import DataError
from base.files import published, read_text
from reports.pictures import BLUE, GRAY, ORANGE, figure, png, style

_HIGHEST_RATE = 100


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("picture", type=click.Path(path_type=Path))
def main(folder: Path, picture: Path) -> None:
    """Draw what `serving.stream_test` wrote into FOLDER into the PNG file PICTURE."""
    content = drawn(folder)
    with published(str(picture)) as file:
        file.write(content)
    command.say(f"{picture}: stream test of {folder}")


def drawn(folder: Path) -> bytes:
    """The curve and the words as PNG.

    Raises:
        DataError: a table is missing.
    """
    found = json.loads(_text(folder / "stream.json"))
    curve = list(csv.DictReader(_text(folder / "curve.csv").splitlines()))
    words = list(csv.DictReader(_text(folder / "words.csv").splitlines()))
    with style():
        drawing = figure(9.6, 3.9)
        left, right = drawing.subplots(1, 2, width_ratios=(3, 2))
        for stream, color in (("validation", GRAY), ("test", BLUE)):
            _curve(left, [row for row in curve if row["stream"] == stream], found, stream, color)
        _chosen(left, found)
        left.set_xscale("symlog", linthresh=1)
        left.set(xlim=(0, _HIGHEST_RATE), ylim=(0, 1), xlabel="false accepts per hour", ylabel="words missed")
        left.set_xticks((0, 1, 10, 100), ("0", "1", "10", "100"))
        left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        left.legend(loc="best")
        _words(right, words)
        hours = found["seconds"]["test"] / 3600
        drawing.suptitle(f"{found['model']}: {found['words']['test']} words in {hours:.1f} h of audio")
        return png(drawing)


def _curve(axes: Axes, rows: list[dict[str, str]], found: dict[str, Any], stream: str, color: str) -> None:
    hours, words = found["seconds"][stream] / 3600, max(found["words"][stream], 1)
    rates = [int(row["false_accepts"]) / hours for row in rows]
    axes.plot(
        rates, [int(row["missed"]) / words for row in rows], color=color, label=f"one threshold for all words, {stream}"
    )


def _chosen(axes: Axes, found: dict[str, Any]) -> None:
    rate = sum(found["false_accepts"].values()) / (found["seconds"]["test"] / 3600)
    share = found["missed"] / max(found["words"]["test"], 1)
    label = "a threshold for each word, chosen on validation"
    axes.plot([rate], [share], "o", color=ORANGE, label=label, clip_on=False, zorder=3)


def _words(axes: Axes, rows: list[dict[str, str]]) -> None:
    spoken = [row for row in rows if int(row["spoken"])][::-1]
    shares = [int(row["missed"]) / int(row["spoken"]) for row in spoken]
    bars = axes.barh([row["word"] for row in spoken], shares, color=BLUE)
    axes.bar_label(bars, [f"{row['missed']} of {row['spoken']}" for row in spoken], padding=3, fontsize=8)
    axes.set(xlim=(0, 1), xlabel="words missed at their thresholds")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y", visible=False)


def _text(path: Path) -> str:
    try:
        return read_text(str(path))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run serving.stream_test") from error


if __name__ == "__main__":
    command.run(main)

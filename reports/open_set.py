"""The picture of an open-set measurement: unknown words that pass against commands that are rejected."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import click
from matplotlib.ticker import PercentFormatter

from base import command
from base.errors import DataError
from base.files import published, read_text
from reports.pictures import BLUE, GRAY, GREEN, ORANGE, figure, png, style

_CURVES_FILE = "curves.csv"
_SCORES_FILE = "open_set.csv"
_COLORS = {"softmax": GRAY, "energy": BLUE, "cosine": GREEN, "mahalanobis": GREEN, "trained": ORANGE}
_LINES = {"mahalanobis": "--"}
_HIGHEST_REJECTS = 0.3

Points = tuple[list[float], list[float]]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("picture", type=click.Path(path_type=Path))
def main(folder: Path, picture: Path) -> None:
    """Draw the curves of FOLDER, which `training.open_set` wrote, into the PNG file PICTURE: a panel for each model."""
    content = curves(folder)
    with published(str(picture)) as file:
        file.write(content)
    command.say(f"{picture}: curves of {folder}")


def curves(folder: Path) -> bytes:
    """The curves as PNG.

    Raises:
        DataError: a table is missing.
    """
    by_model: defaultdict[str, defaultdict[str, Points]] = defaultdict(lambda: defaultdict(lambda: ([], [])))
    for row in rows(folder / _CURVES_FILE):
        rejects, accepts = by_model[row["model"]][row["score"]]
        rejects.append(float(row["false_rejects"]))
        accepts.append(float(row["false_accepts"]))
    counts = rows(folder / _SCORES_FILE)[0]
    with style():
        drawing = figure(3.9 * len(by_model) + 0.4, 3.6)
        panels = drawing.subplots(1, len(by_model), squeeze=False, sharey=True)[0]
        for axes, (model, of_model) in zip(panels, by_model.items(), strict=True):
            for score, (rejects, accepts) in of_model.items():
                axes.plot(rejects, accepts, _LINES.get(score, "-"), color=_COLORS[score], label=score)
            axes.axvline(0.05, color=GRAY, lw=0.8, ls=":")
            axes.set(title=model, xlim=(0, _HIGHEST_REJECTS), ylim=(0, 1), xlabel="commands rejected")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        panels[0].set_ylabel("unseen words that pass")
        panels[-1].legend()
        drawing.suptitle(f"{counts['unknown_clips']} clips of unseen words, {counts['command_clips']} of commands")
        return png(drawing)


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table.

    Raises:
        DataError: it is missing or has no row.
    """
    try:
        found = list(csv.DictReader(read_text(str(path)).splitlines()))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run training.open_set") from error
    if not found:
        raise DataError(f"{path} has no row: run training.open_set again")
    return found


if __name__ == "__main__":
    command.run(main)

"""The picture of fine-tuning: the confusion of the test clips before and after, side by side."""

from __future__ import annotations

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports that take seconds

from pathlib import Path

import click
import numpy as np

from base import command
from base.files import published
from reports.evaluation_charts import confusion_panel
from reports.pictures import figure, png, style
from results.predictions import PREDICTIONS_FILE, read_predictions


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("picture", type=click.Path(path_type=Path))
def main(folder: Path, picture: Path) -> None:
    """Draw both confusions of FOLDER, which `training.before_after` wrote, into the PNG file PICTURE."""
    content = confusions(folder)
    with published(str(picture)) as file:
        file.write(content)
    command.say(f"{picture}: confusion before and after fine-tuning")


def confusions(folder: Path) -> bytes:
    """Both confusions as PNG.

    Raises:
        DataError: predictions are missing or damaged.
    """
    with style():
        before, after = (read_predictions(folder / name / PREDICTIONS_FILE) for name in ("before", "after"))
        size = 2.0 + 0.42 * len(before.classes)
        drawing = figure(2 * size + 0.9, size)
        panels = drawing.subplots(1, 2, sharey=True)
        for axes, title, predictions in zip(panels, ("before", "after"), (before, after), strict=True):
            image = confusion_panel(axes, predictions.confusion, predictions.classes)
            right = int(np.trace(predictions.confusion.counts))
            axes.set_title(f"{title}: {right} of {predictions.confusion.clips} clips")
        panels[1].set_ylabel("")
        drawing.colorbar(image, ax=panels, fraction=0.03, pad=0.02).set_label("share of the actual class's clips")
        return png(drawing)


if __name__ == "__main__":
    command.run(main)

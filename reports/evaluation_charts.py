"""The report's pictures as inline SVG and PNG: charts of the figures, and what one clip looks like in each view."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from features.views import SAMPLE_RATE_HZ, View
from reports import pictures
from reports.pictures import (
    BLUE,
    GRAY,
    GREEN,
    ORANGE,
    Sound,
    color_range,
    figure,
    heat_map,
    waveform,
)
from results.metrics import Confusion, Roc

Samples = npt.NDArray[np.int16]


def svg(drawing: Figure) -> str:
    """A figure as an <svg> element; equal figures give equal text."""
    out = io.StringIO()
    drawing.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = out.getvalue()
    return text[text.index("<svg") :]


def png(drawing: Figure) -> str:
    """A figure as the data URI of a PNG."""
    return data_uri("image/png", pictures.png(drawing))


def data_uri(media_type: str, content: bytes) -> str:
    """Bytes as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def confusion_matrix(confusion: Confusion, classes: Sequence[str]) -> str:
    """Counts in each cell, colored by the share of the row (actual class)."""
    size = 2.0 + 0.42 * len(classes)
    drawing = figure(size + 0.9, size)
    axes = drawing.subplots()
    image = confusion_panel(axes, confusion, classes)
    bar = drawing.colorbar(image, ax=axes, fraction=0.045, pad=0.02, format=PercentFormatter(1.0, decimals=0))
    bar.set_label("share of the actual class's clips")
    return svg(drawing)


def confusion_panel(axes: Axes, confusion: Confusion, classes: Sequence[str]) -> Any:
    """Draw a confusion matrix; the image, for a color bar."""
    shares = confusion.counts / np.maximum(confusion.support, 1)[:, None]
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    axes.grid(False)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="actual")
    for (row, column), count in np.ndenumerate(confusion.counts):
        if count:
            color = "#1b2229" if shares[row, column] > 0.6 else "#ffffff"
            axes.text(column, row, f"{count}", ha="center", va="center", color=color, fontsize=9)
    return image


def training_curves(history: Sequence[Mapping[str, str]], best_epoch: int) -> str:
    """Loss and accuracy by epoch, of train and, where there was one, of validation; the kept epoch is marked."""
    drawing = figure(9.6, 3.1)
    panels = drawing.subplots(1, 2)
    epochs = [int(row["epoch"]) for row in history]
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        for column, label, color, marker in (
            (name, "train", BLUE, "o"),
            (f"val_{name}", "validation", ORANGE, "s"),
        ):
            if column in history[0]:
                values = [float(row[column]) for row in history]
                axes.plot(epochs, values, color=color, marker=marker, ms=3, label=label)
        axes.axvline(best_epoch, color=GRAY, lw=1, ls=":", label=f"kept (epoch {best_epoch})")
        axes.set(xlabel="epoch", ylabel=name, ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    panels[1].set_ylim(0, 1)
    panels[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return svg(drawing)


def roc_curve(curve: Roc) -> str:
    """True against false positive rate of the unknown class."""
    drawing = figure(4.3, 3.7)
    axes = drawing.subplots()
    axes.plot([0, 1], [0, 1], color=GRAY, lw=1, ls=":", label="by chance")
    axes.step(
        curve.false_positive_rate, curve.true_positive_rate, where="post", color=BLUE, label=f"area {curve.area:.3f}"
    )
    axes.set(xlabel="known clips taken for unknown", ylabel="unknown words found", xlim=(0, 1), ylim=(0, 1.01))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="lower right")
    return svg(drawing)


def class_bars(counts: Mapping[str, Mapping[str, int]], classes: Sequence[str]) -> str:
    """Clips of each class, one bar for each split.

    Args:
        counts: split → class → clips.
        classes: class names in order of label.
    """
    drawing = figure(6.6, 3.5)
    axes = drawing.subplots()
    width = 0.8 / len(counts)
    for number, (split, color) in enumerate(zip(counts, (BLUE, ORANGE, GREEN), strict=False)):
        clips = [counts[split].get(name, 0) for name in classes]
        places = np.arange(len(classes)) + (number - (len(counts) - 1) / 2) * width
        bars = axes.bar(places, clips, width, color=color, label=f"{split} ({sum(clips):,})")
        if len(classes) <= 12:
            axes.bar_label(bars, fontsize=6, color="#56616b", padding=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set(ylabel="clips")
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.12)
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1), handlelength=1)
    return svg(drawing)


def clip_row(samples: Samples, length: int, features: Sequence[npt.NDArray[np.generic]], views: Sequence[View]) -> str:
    """One clip side by side: its waveform and each view of frames.

    Args:
        samples: int16, (16000,).
        length: real samples; the padding after them is shaded.
        features: for each view, float32, (frames, coefficients).
        views: the views.
    """
    drawing = figure(3.05 * (1 + len(views)), 2.15)
    panels = drawing.subplots(1, 1 + len(views), squeeze=False)[0]
    waveform(panels[0], Sound(samples, SAMPLE_RATE_HZ, length))
    for axes, view, seen in zip(panels[1:], views, features, strict=True):
        values = np.asarray(seen, np.float32)
        image = heat_map(axes, values, view, color_range([values], view))
        axes.set_title(view.title)
        bar = drawing.colorbar(image, ax=axes, fraction=0.06, pad=0.02)
        bar.set_label(view.unit, fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return png(drawing)


def thumbnail(features: npt.NDArray[np.generic]) -> str:
    """A spectral view as a small picture without axes, time across."""
    drawing = figure(1.9, 0.9)
    axes = drawing.subplots()
    axes.imshow(
        np.asarray(features, np.float32).T, origin="lower", aspect="auto", cmap="viridis", interpolation="nearest"
    )
    axes.set_axis_off()
    drawing.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    return png(drawing)

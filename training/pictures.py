"""The report's pictures as inline SVG and PNG: charts of the figures, and what one clip looks like in each view."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, Mfcc, Spectrogram, View
from training.metrics import Confusion, Roc

Samples = npt.NDArray[np.int16]

BLUE: Final = "#0072b2"
ORANGE: Final = "#d55e00"
GREEN: Final = "#009e73"
GREY: Final = "#8a94a0"
"""Colours of Okabe and Ito, told apart by colour-blind readers too."""

_STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": "#c5ccd3",
    "axes.labelcolor": "#3b4650",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ebee",
    "xtick.color": "#56616b",
    "ytick.color": "#56616b",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "report",
    "figure.constrained_layout.use": True,
}
_PIXELS_PER_INCH: Final = 110
_TITLES: Final = {"spectrogram": "Log spectrogram", "logmel": "Log-mel", "mfcc": "MFCC"}


def style() -> AbstractContextManager[None]:
    """While it is open, figures have the report's look."""
    context: AbstractContextManager[None] = plt.rc_context(_STYLE)
    return context


def figure(width_in: float, height_in: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of one row of panels, without a window."""
    matplotlib.use("Agg")
    drawing, axes = plt.subplots(1, columns, figsize=(width_in, height_in), squeeze=False)
    return drawing, list(axes[0])


def svg(drawing: Figure) -> str:
    """A figure as an <svg> element; equal figures give equal text."""
    out = io.StringIO()
    drawing.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    plt.close(drawing)
    text = out.getvalue()
    return text[text.index("<svg") :]


def png(drawing: Figure) -> str:
    """A figure as the data URI of a PNG."""
    out = io.BytesIO()
    drawing.savefig(out, format="png", dpi=_PIXELS_PER_INCH, metadata={"Software": None})
    plt.close(drawing)
    return data_uri("image/png", out.getvalue())


def data_uri(media_type: str, content: bytes) -> str:
    """Bytes as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def confusion_matrix(confusion: Confusion, classes: Sequence[str]) -> str:
    """Counts in each cell, coloured by the share of the row (actual class)."""
    size = 2.0 + 0.42 * len(classes)
    drawing, (axes,) = figure(size + 0.9, size)
    shares = confusion.counts / np.maximum(confusion.support, 1)[:, None]
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    axes.grid(False)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="actual")
    for (row, column), count in np.ndenumerate(confusion.counts):
        if count:
            colour = "#1b2229" if shares[row, column] > 0.6 else "#ffffff"
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=9)
    bar = drawing.colorbar(image, ax=axes, fraction=0.045, pad=0.02, format=PercentFormatter(1.0, decimals=0))
    bar.set_label("share of the actual class's clips")
    return svg(drawing)


def training_curves(history: Sequence[Mapping[str, str]], best_epoch: int) -> str:
    """Loss and accuracy of train and validation by epoch, the kept epoch marked."""
    drawing, panels = figure(9.6, 3.1, columns=2)
    epochs = [int(row["epoch"]) for row in history]
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [float(row[name]) for row in history], color=BLUE, marker="o", ms=3, label="train")
        axes.plot(
            epochs, [float(row[f"val_{name}"]) for row in history], color=ORANGE, marker="s", ms=3, label="validation"
        )
        axes.axvline(best_epoch, color=GREY, lw=1, ls=":", label=f"kept (epoch {best_epoch})")
        axes.set(xlabel="epoch", ylabel=name, ylim=(0, None))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    panels[1].set_ylim(0, 1)
    panels[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return svg(drawing)


def roc_curve(curve: Roc) -> str:
    """True against false positive rate of the unknown class."""
    drawing, (axes,) = figure(4.3, 3.7)
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls=":", label="by chance")
    axes.step(
        curve.false_positive_rate, curve.true_positive_rate, where="post", color=BLUE, label=f"area {curve.area:.3f}"
    )
    axes.set(xlabel="known clips taken for unknown", ylabel="unknown words found", xlim=(0, 1), ylim=(0, 1.01))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc="lower right")
    return svg(drawing)


def class_bars(counts: Mapping[str, Sequence[int]], classes: Sequence[str]) -> str:
    """Clips of each class, one bar for each split."""
    drawing, (axes,) = figure(6.6, 3.5)
    width = 0.8 / len(counts)
    for number, (split, colour) in enumerate(zip(counts, (BLUE, ORANGE, GREEN), strict=False)):
        places = np.arange(len(classes)) + (number - (len(counts) - 1) / 2) * width
        bars = axes.bar(places, counts[split], width, color=colour, label=f"{split} ({sum(counts[split]):,})")
        if len(classes) <= 12:
            axes.bar_label(bars, fontsize=6, color="#56616b", padding=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set(ylabel="clips")
    axes.grid(axis="x", visible=False)
    axes.margins(y=0.12)
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1, 1), handlelength=1)
    return svg(drawing)


def clip_row(
    samples: Samples, length: int, features: Mapping[str, npt.NDArray[np.generic]], views: Mapping[str, View]
) -> str:
    """One clip side by side: its waveform and each spectral view.

    Args:
        samples: int16, (16000,).
        length: real samples; the padding after them is shaded.
        features: by name of view, float32, (frames, coefficients).
        views: the same views' definitions.
    """
    drawing, panels = figure(3.05 * (1 + len(features)), 2.15, columns=1 + len(features))
    waveform(panels[0], samples, length)
    for axes, name in zip(panels[1:], features, strict=True):
        view = views[name]
        assert isinstance(view, Spectrogram)
        heat_map(drawing, axes, np.asarray(features[name], np.float32), view)
    return png(drawing)


def waveform(axes: Axes, samples: Samples, length: int) -> None:
    """Amplitude by time, the padding shaded."""
    axes.plot(np.arange(CLIP_SAMPLES) / SAMPLE_RATE_HZ, samples / 32768.0, color=BLUE, lw=0.5)
    if length < CLIP_SAMPLES:
        axes.axvspan(length / SAMPLE_RATE_HZ, 1, color="#e8ebee", lw=0)
    highest = max(0.05, float(np.abs(samples / 32768.0).max()) * 1.05)
    axes.set(xlim=(0, 1), ylim=(-highest, highest), xlabel="time [s]", ylabel="amplitude")
    axes.set_title("Waveform", fontsize=10)


def heat_map(drawing: Figure, axes: Axes, features: npt.NDArray[np.float32], view: Spectrogram) -> None:
    """A spectral view with time in seconds across, and frequency, mel band or coefficient upwards."""
    end_s = (view.frames * view.hop_ms) / 1000
    is_mfcc = isinstance(view, Mfcc)
    shown = features[:, 1:] if is_mfcc and features.shape[1] > 1 else features
    axes.grid(False)
    extent, label, unit = _upward(view, shown.shape[1], end_s)
    spread = float(np.percentile(np.abs(shown), 97)) if is_mfcc else None
    image = axes.imshow(
        shown.T, origin="lower", aspect="auto", extent=extent, cmap="cividis" if spread else "viridis",
        vmin=-spread if spread else None, vmax=spread, interpolation="nearest",
    )  # fmt: skip
    axes.set(xlabel="time [s]", ylabel=label)
    axes.set_title(_TITLES[view.kind], fontsize=10)
    bar = drawing.colorbar(image, ax=axes, fraction=0.06, pad=0.02)
    bar.ax.set_title(unit, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _upward(view: Spectrogram, bins: int, end_s: float) -> tuple[tuple[float, float, float, float], str, str]:
    match view.kind:
        case "spectrogram":
            return (0, end_s, 0, SAMPLE_RATE_HZ / 2000), "frequency [kHz]", "dB"
        case "logmel":
            return (0, end_s, 0, bins), "mel band", "dB"
        case _:
            return (0, end_s, 0.5, bins + 0.5), "coefficient (from 1)", ""


def thumbnail(features: npt.NDArray[np.generic]) -> str:
    """A spectral view as a small picture without axes, time across."""
    drawing, (axes,) = figure(1.9, 0.9)
    axes.imshow(
        np.asarray(features, np.float32).T, origin="lower", aspect="auto", cmap="viridis", interpolation="nearest"
    )
    axes.set_axis_off()
    drawing.set_layout_engine("none")
    axes.set_position((0, 0, 1, 1))
    return png(drawing)

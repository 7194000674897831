"""What clips look like, as PNG, and the look that all pictures of the project share."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from features.views import FULL_SCALE, View

BLUE: Final = "#0072b2"
ORANGE: Final = "#d55e00"
GREEN: Final = "#009e73"
GRAY: Final = "#8a94a0"
"""Colors of Okabe and Ito, told apart by color-blind readers too."""

_PADDING: Final = "#e8ebee"
_STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": "#c5ccd3",
    "axes.labelcolor": "#3b4650",
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ebee",
    "xtick.color": "#56616b",
    "ytick.color": "#56616b",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "keyword spotting",
}
_PIXELS_PER_INCH: Final = 110
_FAMILY_COLUMNS: Final = 3
_COLUMNS: Final = (4, 5, 6)
"""Widths of a grid of examples; the one that leaves the fewest panels empty is taken."""

Features = npt.NDArray[Any]


@dataclass(frozen=True)
class Sound:
    """Audio to draw.

    Attributes:
        samples: int16, (samples,).
        rate_hz: samples a second.
        length: how many samples are real; the padding after them is shaded.
    """

    samples: npt.NDArray[np.int16]
    rate_hz: int
    length: int


@dataclass(frozen=True)
class Example:
    """A clip of a view to draw.

    Attributes:
        title: what stands above it.
        features: the view's tensor, (*view.shape).
        length: real length as its record holds it.
    """

    title: str
    features: Features
    length: int


@dataclass(frozen=True)
class Relative:
    """A clip or a copy of it to draw next to the others.

    Attributes:
        title: what stands above it.
        sound: its audio, or None.
        features: the view's tensor, float32, (frames, coefficients), or None.
    """

    title: str
    sound: Sound | None
    features: Features | None


def style() -> AbstractContextManager[None]:
    """While it is open, figures have the look of the project's pictures."""
    context: AbstractContextManager[None] = matplotlib.rc_context(_STYLE)
    return context


def svg(drawing: Figure) -> bytes:
    """A figure as SVG; equal figures give equal bytes."""
    out = io.BytesIO()
    drawing.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def png(drawing: Figure) -> bytes:
    """A figure as PNG; equal figures give equal bytes."""
    out = io.BytesIO()
    drawing.savefig(out, format="png", dpi=_PIXELS_PER_INCH, metadata={"Software": None})
    return out.getvalue()


def figure(width_in: float, height_in: float) -> Figure:
    """An empty figure without a window."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def example_grid(examples: Sequence[Example], view: View) -> bytes:
    """Clips of a view side by side, as PNG."""
    columns = min(_COLUMNS, key=lambda columns: (-len(examples) % columns, columns))
    rows = -(-len(examples) // columns)
    drawing = figure(2.3 * columns + 0.9, 1.8 * rows + 0.4)
    of_samples, seconds = len(view.shape) == 1, view.clip_ms / 1000
    panels = drawing.subplots(rows, columns, squeeze=False, sharex=True, sharey=not of_samples)
    spread = color_range([example.features for example in examples], view)
    image = None
    for number, (axes, example) in enumerate(zip(panels.flat, examples, strict=False)):
        if of_samples:
            waveform(axes, Sound(example.features, view.sample_rate_hz, example.length))
        else:
            image = heat_map(axes, example.features, view, spread)
        axes.set_title(example.title, fontsize=9)
        axes.set(xlim=(0, seconds), xticks=(0, seconds / 2, seconds))
        _label_outer(axes, left=number % columns == 0, bottom=number + columns >= len(examples))
    for axes in panels.flat[len(examples) :]:
        axes.set_visible(False)
    if image is not None:
        drawing.colorbar(image, ax=panels, fraction=0.03, pad=0.02, aspect=25).set_label(view.unit)
    return png(drawing)


def clip_picture(title: str, sound: Sound | None, view: View | None, features: Features | None) -> bytes:
    """One clip as PNG: its waveform where there is audio, and below it the view.

    Args:
        title: what stands above both.
        sound: the audio, or None.
        view: a view of frames, or None for the waveform alone.
        features: the view's tensor, float32 or uint16, (frames, coefficients).
    """
    heights = [*([2.0] if sound else []), *([3.1] if view and features is not None else [])]
    drawing = figure(7.6, sum(heights) + 0.4)
    panels = drawing.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    if sound:
        waveform(panels[0], sound)
    if view and features is not None:
        image = heat_map(panels[-1], features, view, color_range([features], view))
        panels[-1].set_title(view.title)
        drawing.colorbar(image, ax=panels[-1], fraction=0.05, pad=0.01).set_label(view.unit)
    for axes in panels:
        axes.label_outer(remove_inner_ticks=False)
        axes.set_xlim(0, 1)
    drawing.suptitle(title, fontsize=11, fontweight="bold")
    return png(drawing)


def family_picture(title: str, relatives: Sequence[Relative], view: View | None) -> bytes:
    """A clip and its copies side by side as PNG: of each its waveform where there is audio, and below it the view.

    Args:
        title: what stands above all.
        relatives: the clip, then its copies; all with audio or none.
        view: a view of frames, or None for waveforms alone.
    """
    seen = [each.features for each in relatives if view and each.features is not None]
    heights = [*([1.0] if relatives[0].sound else []), *([1.6] if seen else [])]
    columns = min(_FAMILY_COLUMNS, len(relatives))
    rows = -(-len(relatives) // columns)
    drawing = figure(3.6 * columns, rows * (sum(heights) + 0.4) + 0.5)
    for part, relative in zip(drawing.subfigures(rows, columns, squeeze=False).flat, relatives, strict=False):
        panels = part.subplots(len(heights), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        if relative.sound:
            waveform(panels[0], relative.sound)
        if view and relative.features is not None:
            heat_map(panels[-1], relative.features, view, color_range(seen, view))
        for axes in panels:
            axes.label_outer(remove_inner_ticks=False)
            axes.set(xlim=(0, 1), title="")
        panels[0].set_title(relative.title, fontsize=9)
    drawing.suptitle(title, fontsize=11, fontweight="bold")
    return png(drawing)


def color_range(features: Sequence[Features], view: View) -> tuple[float, float]:
    """The values of the darkest and the lightest color for some clips of a view: symmetric where values are signed."""
    values = np.concatenate([each[..., first_shown(view) :].ravel() for each in features])
    if view.signed:
        highest = max(float(np.percentile(np.abs(values), 98)), 1.0)
        return -highest, highest
    return float(values.min()), float(values.max())


def waveform(axes: Axes, sound: Sound) -> None:
    """Amplitude by time in seconds, the padding shaded."""
    values = sound.samples / FULL_SCALE
    seconds = len(values) / sound.rate_hz
    axes.plot(np.arange(len(values)) / sound.rate_hz, values, color=BLUE, lw=0.5)
    if sound.length < len(values):
        axes.axvspan(sound.length / sound.rate_hz, seconds, color=_PADDING, lw=0)
    highest = max(0.05, float(np.abs(values).max()) * 1.05)
    axes.set(xlim=(0, seconds), ylim=(-highest, highest), xlabel="time [s]", ylabel="amplitude", title="Waveform")


def heat_map(axes: Axes, features: Features, view: View, spread: tuple[float, float]) -> Any:
    """A view of frames: time in seconds across, each frame at its middle; the view's own axis upwards.

    Args:
        axes: where to draw.
        features: float32 or uint16, (frames, coefficients).
        view: the view.
        spread: the values of the darkest and of the lightest color.

    Returns:
        The image, for a color bar.
    """
    first, axis = first_shown(view), view.axis
    shown, first_place = features[:, first:], axis.start + first * axis.step
    start_s = (view.window_ms - view.step_ms) / 2000 - view.lead / view.sample_rate_hz
    end_s = start_s + view.steps * view.step_ms / 1000
    lower = first_place - axis.step / 2
    upper = lower + shown.shape[1] * axis.step
    axes.grid(False)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="time [s]", ylabel=f"{axis.label} (from {first_place:g})" if first else axis.label)
    return axes.imshow(
        shown.T,
        origin="lower",
        aspect="auto",
        extent=(start_s, end_s, lower, upper),
        cmap="cividis" if view.signed else "viridis",
        vmin=spread[0],
        vmax=spread[1],
        interpolation="nearest",
    )


def first_shown(view: View) -> int:
    """The first coefficient to draw: the second one, where the first is a level that dwarfs the others."""
    return 1 if view.first_is_level and view.width > 1 else 0


def _label_outer(axes: Axes, left: bool, bottom: bool) -> None:
    """Label only the axes at the left and at the lower end of their row and column."""
    axes.set(ylabel=axes.get_ylabel() if left else "", xlabel=axes.get_xlabel() if bottom else "")
    axes.tick_params(labelbottom=bottom)

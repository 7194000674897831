"""The pictures of the results page: accuracy against what a model costs, published models beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import Bbox

from reports.evaluation_charts import svg
from reports.pictures import BLUE, GRAY, ORANGE, figure

_ACCURACIES: Final = (
    0.0,
    0.2,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.85,
    0.9,
    0.92,
    0.94,
    0.95,
    0.96,
    0.97,
    0.98,
    0.99,
    0.995,
    0.999,
)
"""Ticks of an axis that is logarithmic in the share of errors."""
_LOWEST_ERROR: Final = 5e-4
_ROOM: Final = 2.5
"""The axis of costs goes as many times below the lowest and above the highest."""
_MARKER: Final = 10.0
"""Pixels that a marker takes."""
_RINGS: Final = 10
_RING_PIXELS: Final = 12.0
_DIRECTIONS: Final = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.9, 1), (-0.9, 1), (0.9, -1), (-0.9, -1))
"""Right, left, above, below, and between."""
_OUR_LABEL: Final = "#1b2229"
_PUBLISHED_LABEL: Final = "#8a4a10"


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model in a picture.

    Attributes:
        name: its label.
        cost: where it stands across, above 0.
        accuracy: share of the test clips, 0..1.
        interval: that of the accuracy, or None where it is not known.
        published: whether it is another's result.
    """

    name: str
    cost: float
    accuracy: float
    interval: tuple[float, float] | None
    published: bool


def accuracy_by_cost(points: Sequence[Point], label: str) -> str:
    """Accuracy, on an axis logarithmic in the errors, against a cost, on a logarithmic axis, as an <svg> element.

    Args:
        points: the models, at least one.
        label: what the cost is, with its unit.
    """
    drawing = figure(7.6, 5.2)
    FigureCanvasAgg(drawing)
    axes = drawing.subplots()
    ours = [point for point in points if not point.published]
    others = [point for point in points if point.published]
    _draw(axes, others, ORANGE, "D", "published")
    _draw(axes, ours, BLUE, "o", "ours, with 95 % interval")
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="accuracy (logarithmic in the errors)")
    axes.invert_yaxis()
    axes.yaxis.set_major_locator(FixedLocator([_error(each) for each in _ACCURACIES]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda error, _: f"{100 * (1 - error):.4g} %"))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
    costs = [point.cost for point in points]
    axes.set_xlim(min(costs) / _ROOM, max(costs) * _ROOM)
    axes.margins(y=0.08)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.1), ncols=2)
    drawing.canvas.draw()
    drawing.set_layout_engine("none")  # labels are placed for these axes
    _label(axes, points)
    return svg(drawing)


def _draw(axes: Axes, points: Sequence[Point], color: str, marker: str, name: str) -> None:
    """The markers of some models, with their intervals where these are known."""
    if not points:
        return
    for point in points:
        if point.interval:
            axes.plot([point.cost] * 2, [_error(each) for each in point.interval], color=color, lw=1.2, alpha=0.6)
    costs, errors = [point.cost for point in points], [_error(point.accuracy) for point in points]
    axes.plot(costs, errors, ls="", marker=marker, ms=6, mfc=color if marker == "o" else "none", mec=color, label=name)


def _error(accuracy: float) -> float:
    """The share of errors, kept above 0, which a logarithmic axis does not have."""
    return max(1 - accuracy, _LOWEST_ERROR)


def _label(axes: Axes, points: Sequence[Point]) -> None:
    """Write each model's name where it covers no marker, no interval and no other name, with a line where it is far.

    Ours come first. Places next to the marker are tried first, then farther and farther ones; where none is free, the
    name stands next to its marker all the same.
    """
    to_pixels, to_data = axes.transData, axes.transData.inverted()
    centers = [to_pixels.transform((point.cost, _error(point.accuracy))) for point in points]
    taken = [Bbox.from_bounds(x - _MARKER / 2, y - _MARKER / 2, _MARKER, _MARKER) for x, y in centers]
    taken += [
        Bbox(to_pixels.transform([(point.cost, _error(each)) for each in point.interval]))
        for point in points
        if point.interval
    ]
    frame = axes.get_window_extent()
    for place in sorted(range(len(points)), key=lambda place: points[place].published):
        point, (x, y) = points[place], centers[place]
        color = _PUBLISHED_LABEL if point.published else _OUR_LABEL
        text = axes.text(point.cost, _error(point.accuracy), point.name, fontsize=8.5, color=color, va="bottom")
        size = text.get_window_extent()
        box, ring = _free_place((x, y), (size.width, size.height), taken, frame)
        text.set_position(tuple(to_data.transform((box.x0, box.y0))))
        taken.append(box)
        if ring:
            end = to_data.transform((np.clip(x, box.x0, box.x1), np.clip(y, box.y0, box.y1)))
            axes.plot([point.cost, end[0]], [_error(point.accuracy), end[1]], color=GRAY, lw=0.6, zorder=1)


def _free_place(
    center: tuple[float, float], size: tuple[float, float], taken: Sequence[Bbox], frame: Bbox
) -> tuple[Bbox, int]:
    """The first place for a name that is free.

    Args:
        center: of its marker, in pixels, like all that follows.
        size: width and height of the name.
        taken: where it must not stand.
        frame: where it must stay.

    Returns:
        Its box, and its ring: 0 is next to the marker.
    """
    places = [(_beside(center, size, direction, ring), ring) for ring in range(_RINGS) for direction in _DIRECTIONS]
    for box, ring in places:
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            return box, ring
    return places[0]


def _beside(center: tuple[float, float], size: tuple[float, float], direction: tuple[float, float], ring: int) -> Bbox:
    """The box of a name in a direction from its marker."""
    gap = _MARKER / 2 + 3 + ring * _RING_PIXELS
    x, y = (center[axis] + direction[axis] * (gap + size[axis] / 2) for axis in (0, 1))
    return Bbox.from_bounds(x - size[0] / 2, y - size[1] / 2, *size)

"""Charts of a store's catalog and statistics, as SVG: words, classes, speakers, lengths, loudness, coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, StrMethodFormatter

from features.statistics import Statistics
from features.views import View
from reports.pictures import BLUE, GRAY, GREEN, ORANGE, figure, first_shown, svg

Counts = Mapping[str, Mapping[str, int]]

_COLORS: Final = (BLUE, ORANGE, GREEN)
_DASHES: Final = ("-", "--", "-.")
_WHOLE_STEPS: Final = (1, 2, 5, 10)
_FEWEST_COEFFICIENTS: Final = 2
_LEAST_STD: Final = 1e-6


def word_bars(counts: Counts) -> bytes:
    """Clips of each word as one bar, divided by split.

    Args:
        counts: split → word → clips.
    """
    totals = {word: sum(of_split.get(word, 0) for of_split in counts.values()) for word in next(iter(counts.values()))}
    words = sorted(totals, key=lambda word: (totals[word], word))
    drawing = figure(7.6, 1.2 + 0.21 * len(words))
    axes = drawing.subplots()
    left = np.zeros(len(words), np.int64)
    bars = None
    for color, (split, of_split) in zip(_COLORS, counts.items(), strict=False):
        clips = np.array([of_split.get(word, 0) for word in words])
        bars = axes.barh(words, clips, left=left, color=color, height=0.75, label=f"{split} ({clips.sum():,})")
        left += clips
    if bars:
        axes.bar_label(bars, [f"{total:,}" for total in left], fontsize=8, color="#56616b", padding=3)
    axes.set(xlabel="clips", ylim=(-0.6, len(words) - 0.4))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.08)
    _legend_above(axes, "Clips of each word")
    return svg(drawing)


def class_bars(counts: Counts) -> bytes:
    """Share of each class in its split, so that splits of any size compare.

    Args:
        counts: split → class → clips.
    """
    classes = list(next(iter(counts.values())))
    drawing = figure(max(7.2, 0.36 * len(classes) + 2), 3.2)
    axes = drawing.subplots()
    width = 0.8 / len(counts)
    for number, (color, (split, of_class)) in enumerate(zip(_COLORS, counts.items(), strict=False)):
        places = np.arange(len(classes)) + (number - (len(counts) - 1) / 2) * width
        total = sum(of_class.values())
        axes.bar(places, [of_class[name] / total for name in classes], width, color=color, label=f"{split} ({total:,})")
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set(ylabel="share of the split's clips")
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.grid(axis="x", visible=False)
    _legend_above(axes, "Classes of each split")
    return svg(drawing)


def speaker_bars(clips: Mapping[str, Sequence[int]]) -> bytes:
    """How many speakers have how many clips, one panel a split.

    Args:
        clips: split → clips of each of its speakers.
    """
    drawing = figure(8.4, 2.9)
    panels = drawing.subplots(1, len(clips), squeeze=False, sharex=True)[0]
    most = max(max(each, default=1) for each in clips.values())
    for axes, color, (split, each) in zip(panels, _COLORS, clips.items(), strict=False):
        axes.hist(each, bins=np.arange(0.5, most + 1), color=color, rwidth=0.85)
        axes.set(title=f"{split}: {len(each):,} speakers", xlabel="clips of a speaker", xlim=(0.4, most + 0.6))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=_WHOLE_STEPS))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=_WHOLE_STEPS))
        axes.grid(axis="x", visible=False)
    panels[0].set_ylabel("speakers")
    return svg(drawing)


def length_lines(lengths_ms: Mapping[str, npt.NDArray[np.float64]]) -> bytes:
    """Lengths of the spoken clips that are shorter than a second, as shares of all spoken clips of their split."""
    drawing = figure(7.2, 3.2)
    axes = drawing.subplots()
    short = np.concatenate([each[each < 1000] for each in lengths_ms.values()])
    lowest = 50 * np.floor(short.min() / 50) if short.size else 950
    bins = np.arange(lowest, 1001, 50)
    for color, dash, (split, each) in zip(_COLORS, _DASHES, lengths_ms.items(), strict=False):
        shorter = each[each < 1000]
        shares = np.histogram(shorter, bins)[0] / max(len(each), 1)
        label = f"{split} ({len(shorter):,} of {len(each):,})"
        axes.stairs(shares, bins, color=color, ls=dash, lw=1.6, label=label)
    axes.set(xlabel="length [ms], steps of 50 ms", ylabel="share of the split's\nspoken clips", xlim=(lowest, 1000))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    _legend_above(axes, "Spoken clips shorter than a second")
    return svg(drawing)


def loudness_lines(levels_dbfs: Mapping[str, npt.NDArray[np.float64]], silence_dbfs: npt.NDArray[np.float64]) -> bytes:
    """How loud the spoken clips of each split are, and the clips of background noise."""
    drawing = figure(7.2, 3.4)
    axes = drawing.subplots()
    everything = np.concatenate([*levels_dbfs.values(), silence_dbfs])
    bins = np.arange(2 * np.floor(everything.min() / 2), everything.max() + 2, 2)
    for color, dash, (split, each) in zip(_COLORS, _DASHES, levels_dbfs.items(), strict=False):
        shares = np.histogram(each, bins)[0] / max(len(each), 1)
        label = f"{split} (median {np.median(each):.1f})" if len(each) else split
        axes.stairs(shares, bins, color=color, ls=dash, lw=1.6, label=label)
    if len(silence_dbfs):
        shares = np.histogram(silence_dbfs, bins)[0] / len(silence_dbfs)
        label = f"noise (median {np.median(silence_dbfs):.1f})"
        axes.stairs(shares, bins, color=GRAY, fill=True, alpha=0.35, label=label)
    axes.set(xlabel="loudness [dBFS], steps of 2 dB", ylabel="share of the clips", xlim=(bins[0], bins[-1]))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    _legend_above(axes, "Loudness (rms)", columns=2)
    return svg(drawing)


def coefficient_lines(statistics: Mapping[str, Statistics], view: View) -> bytes | None:
    """Mean and standard deviation of each coefficient in the first split, and how far the other splits' means are.

    Args:
        statistics: split → its statistics, the train split first.
        view: the view; the left panel leaves out a first coefficient that is the level and dwarfs the others.

    Returns:
        SVG, or None where there is only one coefficient.
    """
    (first, reference), *others = statistics.items()
    width = len(reference.mean)
    if width < _FEWEST_COEFFICIENTS:
        return None
    places, skipped = view.axis.start + view.axis.step * np.arange(width), first_shown(view)
    drawing = figure(9.6, 3.2)
    left, right = drawing.subplots(1, 2)
    low, high = reference.mean - reference.std, reference.mean + reference.std
    left.fill_between(places[skipped:], low[skipped:], high[skipped:], color=BLUE, alpha=0.2, lw=0, label="± 1 std")
    left.plot(places[skipped:], reference.mean[skipped:], color=BLUE, lw=1.4, label="mean")
    label = f"{view.axis.label} (from {places[skipped]:g})" if skipped else view.axis.label
    left.set(xlabel=label, ylabel=view.unit, xlim=(places[skipped], places[-1]))
    _legend_above(left, f"Coefficients of {first}")
    right.axhline(0, color=GRAY, lw=1)
    for color, dash, (split, each) in zip(_COLORS[1:], _DASHES[1:], others, strict=False):
        shift = (each.mean - reference.mean) / np.maximum(reference.std, _LEAST_STD)
        right.plot(places, shift, color=color, ls=dash, lw=1.4, label=split)
    right.set(xlabel=view.axis.label, ylabel=f"shift of the mean\n[std of {first}]", xlim=(places[0], places[-1]))
    _legend_above(right, f"Other splits against {first}")
    return svg(drawing)


def _percent(share: float, _: float | None = None) -> str:
    return f"{100 * share:.4g} %"


def _legend_above(axes: Axes, title: str, columns: int = 3) -> None:
    """Title to the left, legend above the axes to the right."""
    axes.set_title(title, loc="left", pad=8 + 15 * (1 + (len(axes.get_legend_handles_labels()[0]) - 1) // columns))
    axes.legend(ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1.4, borderaxespad=0.2)

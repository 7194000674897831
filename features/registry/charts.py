"""Charts of a store's catalogue and statistics, as SVG: words, classes, speakers, lengths, loudness, coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, StrMethodFormatter

from features.pictures import BLUE, GREEN, GREY, ORANGE, UNITS, UPWARD, figure, svg
from features.statistics import Statistics
from features.views import SAMPLE_RATE_HZ, Mfcc, Spectrogram, View

Counts = Mapping[str, Mapping[str, int]]

_COLOURS: Final = (BLUE, ORANGE, GREEN)
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
    for colour, (split, of_split) in zip(_COLOURS, counts.items(), strict=False):
        clips = np.array([of_split.get(word, 0) for word in words])
        bars = axes.barh(words, clips, left=left, color=colour, height=0.75, label=f"{split} ({clips.sum():,})")
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
    for number, (colour, (split, of_class)) in enumerate(zip(_COLOURS, counts.items(), strict=False)):
        places = np.arange(len(classes)) + (number - (len(counts) - 1) / 2) * width
        total = sum(of_class.values())
        axes.bar(
            places, [of_class[name] / total for name in classes], width, color=colour, label=f"{split} ({total:,})"
        )
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
    for axes, colour, (split, each) in zip(panels, _COLOURS, clips.items(), strict=False):
        axes.hist(each, bins=np.arange(0.5, most + 1), color=colour, rwidth=0.85)
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
    for colour, dash, (split, each) in zip(_COLOURS, _DASHES, lengths_ms.items(), strict=False):
        shorter = each[each < 1000]
        shares = np.histogram(shorter, bins)[0] / max(len(each), 1)
        label = f"{split} ({len(shorter):,} of {len(each):,})"
        axes.stairs(shares, bins, color=colour, ls=dash, lw=1.6, label=label)
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
    for colour, dash, (split, each) in zip(_COLOURS, _DASHES, levels_dbfs.items(), strict=False):
        shares = np.histogram(each, bins)[0] / max(len(each), 1)
        label = f"{split} (median {np.median(each):.1f})" if len(each) else split
        axes.stairs(shares, bins, color=colour, ls=dash, lw=1.6, label=label)
    if len(silence_dbfs):
        shares = np.histogram(silence_dbfs, bins)[0] / len(silence_dbfs)
        label = f"noise (median {np.median(silence_dbfs):.1f})"
        axes.stairs(shares, bins, color=GREY, fill=True, alpha=0.35, label=label)
    axes.set(xlabel="loudness [dBFS], steps of 2 dB", ylabel="share of the clips", xlim=(bins[0], bins[-1]))
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    _legend_above(axes, "Loudness (rms)", columns=2)
    return svg(drawing)


def coefficient_lines(statistics: Mapping[str, Statistics], view: View) -> bytes | None:
    """Mean and standard deviation of each coefficient in the first split, and how far the other splits' means are.

    Args:
        statistics: split → its statistics, the train split first.
        view: the view; the left panel leaves out the first coefficient of MFCCs, their level, which dwarfs the others.

    Returns:
        SVG, or None where there is only one coefficient.
    """
    (first, reference), *others = statistics.items()
    width = len(reference.mean)
    if not isinstance(view, Spectrogram) or width < _FEWEST_COEFFICIENTS:
        return None
    places, skipped = _places(view, width), 1 if isinstance(view, Mfcc) else 0
    drawing = figure(9.6, 3.2)
    left, right = drawing.subplots(1, 2)
    low, high = reference.mean - reference.std, reference.mean + reference.std
    left.fill_between(places[skipped:], low[skipped:], high[skipped:], color=BLUE, alpha=0.2, lw=0, label="± 1 std")
    left.plot(places[skipped:], reference.mean[skipped:], color=BLUE, lw=1.4, label="mean")
    left.set(xlabel=UPWARD[view.kind], ylabel=UNITS[view.kind] or "value", xlim=(places[skipped], places[-1]))
    _legend_above(left, f"Coefficients of {first}")
    right.axhline(0, color=GREY, lw=1)
    for colour, dash, (split, each) in zip(_COLOURS[1:], _DASHES[1:], others, strict=False):
        shift = (each.mean - reference.mean) / np.maximum(reference.std, _LEAST_STD)
        right.plot(places, shift, color=colour, ls=dash, lw=1.4, label=split)
    right.set(xlabel=UPWARD[view.kind].partition(" (")[0] if skipped else UPWARD[view.kind])
    right.set(ylabel=f"shift of the mean\n[std of {first}]", xlim=(places[0], places[-1]))
    _legend_above(right, f"Other splits against {first}")
    return svg(drawing)


def _places(view: Spectrogram, width: int) -> npt.NDArray[np.float64]:
    """Where the coefficients stand on an axis: kHz for spectrograms, numbers for the others."""
    if view.kind == "spectrogram":
        return np.linspace(0, SAMPLE_RATE_HZ / 2000, width)
    return np.arange(width, dtype=np.float64) + (0 if isinstance(view, Mfcc) else 1)


def _percent(share: float, _: float | None = None) -> str:
    return f"{100 * share:.4g} %"


def _legend_above(axes: Axes, title: str, columns: int = 3) -> None:
    """Title to the left, legend above the axes to the right."""
    axes.set_title(title, loc="left", pad=8 + 15 * (1 + (len(axes.get_legend_handles_labels()[0]) - 1) // columns))
    axes.legend(ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), handlelength=1.4, borderaxespad=0.2)

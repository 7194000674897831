"""The data card: a page with tables and pictures that says what a store of features holds and where it comes from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import numpy as np
import numpy.typing as npt

from base.errors import DataError
from features.audio import loudness_dbfs
from features.labels import SILENCE_CLASS
from features.splits import SPLITS
from features.statistics import Statistics
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, View
from readers.belonging import check_belonging
from readers.copies import copy_counts
from readers.store import Store
from reports import catalog_charts, pictures
from reports.catalog_charts import Counts
from reports.clip_quality import QUALITY_COLUMNS, clip_quality
from reports.pictures import Example

if TYPE_CHECKING:
    import pyarrow as pa

_TEMPLATE: Final = Path(__file__).with_name("data_card.md.j2")
_CLIP_COLUMNS: Final = ("id", "word", "split", "audio_sha256")
_VIEW_COLUMNS: Final = (
    "id", "word", "speaker", "label", "split", "length", "rms", "clipped", "audio_sha256", "shard", "position",
    *QUALITY_COLUMNS,
)  # fmt: skip
_SHOWN_GROUPS: Final = 20
_NO_SPLIT: Final = "no split"

Rows = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Card:
    """A page and its pictures.

    Attributes:
        text: Markdown.
        pictures: file name → SVG or PNG, in a folder with the page's name next to it.
    """

    text: str
    pictures: dict[str, bytes]


@dataclass(frozen=True)
class Spread:
    """The distribution of a number over the clips of a split: quantiles 0, 0.1, 0.5, 0.9 and 1."""

    split: str
    clips: int
    lowest: float
    tenth: float
    median: float
    ninetieth: float
    highest: float


def make_card(store: Store, clips: Store, folder: str) -> Card:
    """The card of a store of features; equal stores give equal bytes.

    Args:
        store: the features.
        clips: the store of clips that they were made from.
        folder: name of the folder of the pictures, as the page names it.

    Raises:
        DataError: the stores are of other kinds or do not belong together, or a table or shard is missing or damaged.
    """
    if store.view is None:
        raise DataError(f"{store.path} is a store of clips: name a store of features first, then its clips")
    check_belonging(clips, store)
    catalog = store.catalog(_VIEW_COLUMNS)
    clip_rows, rows = _columns(clips.catalog(_CLIP_COLUMNS)), _columns(catalog)
    words, classes, copies = _word_counts(clip_rows), _class_counts(rows, store), copy_counts(store)
    statistics = {split: store.statistics(split) for split in store.splits}
    drawn = _pictures(store, store.view, rows, words, classes, statistics)
    page = {
        "store": store,
        "clips": clips,
        "folder": folder,
        "pictures": drawn,
        "definition": json.dumps(store.manifest.definition, indent=2),
        "task": store.manifest.task,
        "archives": store.manifest.archives,
        "clip_parameters": json.dumps(clips.manifest.clip_parameters),
        "statistics": statistics,
        "words": words,
        "classes": classes,
        "copies": copies,
        "copied": sum(sum(kinds.values()) for kinds in copies.values()),
        "speakers": _speakers(rows, store.splits),
        "clips_without_speaker": sum(
            speaker is None for split in store.splits for speaker in rows["speaker"][_spoken(rows, split)]
        ),
        "shared_speakers": _in_several_splits(rows, "speaker"),
        "shared_audio": _in_several_splits(rows, "audio_sha256"),
        "lengths": _spreads(rows, store.splits, _lengths_ms(rows)),
        "padded": {split: int((rows["length"][_spoken(rows, split)] < CLIP_SAMPLES).sum()) for split in store.splits},
        "loudness": _spreads(rows, store.splits, loudness_dbfs(rows["rms"])),
        "clipped": {split: int((rows["clipped"][_spoken(rows, split)] > 0).sum()) for split in store.splits},
        "quality": dict(zip(store.splits, clip_quality(catalog, store.splits), strict=True)),
        "duplicates": _duplicates(clip_rows),
        "shown_duplicates": _SHOWN_GROUPS,
        "rejects": _rejects(clips.rejects()),
        "examples": _example_rows(rows, store),
    }
    return Card(_render(page), drawn)


def _render(page: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["whole"] = "{:,}".format
    environment.filters["decimal"] = lambda value: "none" if value is None else f"{value:.1f}"
    environment.filters["percent"] = "{:.1%}".format
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(page)


def _pictures(
    store: Store, view: View, rows: Rows, words: Counts, classes: Counts, statistics: Mapping[str, Statistics]
) -> dict[str, bytes]:
    """The pictures by file name."""
    levels = loudness_dbfs(rows["rms"])
    lengths = _lengths_ms(rows)
    spoken = {split: _spoken(rows, split) for split in store.splits}
    examples = [_example(store, rows, row) for row in _example_numbers(rows, store)]
    spoken_words = {split: {w: n for w, n in of.items() if w != SILENCE_CLASS} for split, of in words.items()}
    with pictures.style():
        drawn = {
            "words.svg": catalog_charts.word_bars(
                {split: of for split, of in spoken_words.items() if split != _NO_SPLIT} or spoken_words
            ),
            "classes.svg": catalog_charts.class_bars(classes),
            "speakers.svg": catalog_charts.speaker_bars(_clips_of_speakers(rows, store.splits)),
            "lengths.svg": catalog_charts.length_lines({split: lengths[of] for split, of in spoken.items()}),
            "loudness.svg": catalog_charts.loudness_lines(
                {split: levels[of] for split, of in spoken.items()}, levels[rows["word"] == SILENCE_CLASS]
            ),
            "statistics.svg": catalog_charts.coefficient_lines(statistics, view),
            "examples.png": pictures.example_grid(examples, view),
        }
    return {name: content for name, content in drawn.items() if content is not None}


def _columns(table: pa.Table) -> dict[str, npt.NDArray[Any]]:
    return {name: table[name].to_numpy() for name in table.column_names}


def _spoken(rows: Rows, split: str) -> npt.NDArray[np.bool_]:
    """Which rows are clips of spoken words of a split."""
    return np.asarray((rows["split"] == split) & (rows["word"] != SILENCE_CLASS))


def _lengths_ms(rows: Rows) -> npt.NDArray[np.float64]:
    return np.asarray(rows["length"] * (1000 / SAMPLE_RATE_HZ))


def _word_counts(rows: Rows) -> dict[str, dict[str, int]]:
    """Split of the archive → word → clips, the same words under each split."""
    counts = Counter(zip((split or _NO_SPLIT for split in rows["split"]), rows["word"], strict=True))
    words = sorted({word for _, word in counts})
    order = [split for split in (*SPLITS, _NO_SPLIT) if any(of == split for of, _ in counts)]
    return {split: {word: counts[split, word] for word in words} for split in order}


def _class_counts(rows: Rows, store: Store) -> dict[str, dict[str, int]]:
    """Split → class → clips."""
    return {
        split: dict(
            zip(
                store.classes,
                np.bincount(rows["label"][rows["split"] == split], minlength=len(store.classes)).tolist(),
                strict=True,
            )
        )
        for split in store.splits
    }


def _clips_of_speakers(rows: Rows, splits: Sequence[str]) -> dict[str, list[int]]:
    """Split → clips of each of its speakers, in ascending order."""
    return {split: sorted(Counter(filter(None, rows["speaker"][_spoken(rows, split)])).values()) for split in splits}


def _speakers(rows: Rows, splits: Sequence[str]) -> list[Spread]:
    return [_spread(split, np.asarray(each)) for split, each in _clips_of_speakers(rows, splits).items()]


def _spreads(rows: Rows, splits: Sequence[str], values: npt.NDArray[np.float64]) -> list[Spread]:
    """How a number of each clip spreads over the spoken clips of each split."""
    return [_spread(split, values[_spoken(rows, split)]) for split in splits]


def _spread(split: str, values: npt.NDArray[Any]) -> Spread:
    quantiles = np.quantile(values, (0, 0.1, 0.5, 0.9, 1)).tolist() if len(values) else [float("nan")] * 5
    return Spread(split, len(values), *quantiles)


def _in_several_splits(rows: Rows, column: str) -> int:
    """How many values of a column stand in more than one split."""
    pairs = {(value, split) for value, split in zip(rows[column], rows["split"], strict=True) if value is not None}
    return sum(splits > 1 for splits in Counter(value for value, _ in pairs).values())


def _duplicates(rows: Rows) -> list[list[str]]:
    """The ids of clips that share their audio, group by group."""
    groups: dict[str, list[str]] = {}
    for clip_id, sha256 in zip(rows["id"], rows["audio_sha256"], strict=True):
        groups.setdefault(sha256, []).append(clip_id)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _rejects(table: pa.Table) -> list[tuple[str, int, str]]:
    """(reason, files, first path) by reason, the most frequent first."""
    paths: dict[str, list[str]] = {}
    for row in table.select(["reason", "path"]).to_pylist():
        paths.setdefault(row["reason"], []).append(row["path"])
    rows = [(reason, len(of_reason), min(of_reason)) for reason, of_reason in paths.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def _example_numbers(rows: Rows, store: Store) -> list[int]:
    """Of each class the row of its train clip of median loudness: neither its best nor its worst."""
    chosen = []
    for label in range(len(store.classes)):
        candidates = np.flatnonzero((rows["label"] == label) & (rows["split"] == store.splits[0]))
        order = sorted(candidates.tolist(), key=lambda row: (rows["rms"][row], rows["id"][row]))
        chosen += order[(len(order) - 1) // 2 :][:1]
    return chosen


def _example_rows(rows: Rows, store: Store) -> list[tuple[str, str]]:
    """(class, id) of the examples."""
    return [(store.classes[rows["label"][row]], rows["id"][row]) for row in _example_numbers(rows, store)]


def _example(store: Store, rows: Rows, row: int) -> Example:
    record: dict[str, Any] = store.record_at(rows["split"][row], int(rows["shard"][row]), int(rows["position"][row]))
    return Example(store.classes[record["label"]], record[store.tensor], record["length"])

"""The results page as one self-contained HTML file, and its table as Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jinja2

from base.files import write_text
from reports.comparison.charts import Point, accuracy_by_cost
from reports.comparison.paired import Paired, mcnemar, p_text
from reports.comparison.published import Published, original
from reports.comparison.runs import Row, Run, Table
from reports.pictures import style
from results.cost import Cost, Latency

PAGE_FILE: Final = "results.html"
MARKDOWN_FILE: Final = "results.md"
CSV_FILE: Final = "results.csv"
_TEMPLATES: Final = Path(__file__).parent
_PAGE_TEMPLATE: Final = "page.html.j2"
_MARKDOWN_TEMPLATE: Final = "table.md.j2"
_CHANCE: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table as texts; "–" stands for what is not known.

    Attributes:
        published: accuracy and task that the original reported.
        source: address of that, or None.
        difference: why ours differs.
    """

    name: str
    network: str
    view: str
    accuracy: str
    interval: str
    seeds: str
    clips: str
    macro_f1: str
    top3: str
    macro_top3: str
    parameters: str
    multiply_adds: str
    size: str
    epochs: str
    training: str
    latency: str
    latency_with_front_end: str
    published: str
    source: str | None
    difference: str


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A cell of the matrix of tests: its text, what it says in words, and whether chance explains it badly."""

    text: str
    title: str
    unlikely: bool


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of the page, with its pictures and the tests between its models."""

    task: str
    classes: int
    clips: int
    train_clips: int
    corpus: str
    lines: Sequence[Line]
    by_multiply_adds: str
    by_seconds: str | None
    names: Sequence[str]
    pairs: Sequence[Sequence[Pair | None]]
    number_of_pairs: int
    seeds: bool


def write_page(
    folder: Path, tables: Sequence[Table], costs: Mapping[Path, Cost], published: tuple[Published, ...]
) -> None:
    """Write results.html, results.md and results.csv.

    Args:
        folder: where to write; it is made where it is missing.
        tables: the models.
        costs: of each model, by its folder.
        published: the literature.
    """
    with style():
        sections = [_section(table, costs, published) for table in tables]
    processors = sorted(
        {f"{run.log.processor}, {run.log.cores} cores" for table in tables for run in _runs(table) if run.log}
    )
    shown = {"sections": sections, "processors": processors}
    for name, template in ((PAGE_FILE, _PAGE_TEMPLATE), (MARKDOWN_FILE, _MARKDOWN_TEMPLATE)):
        write_text(str(folder / name), _render(template, shown))
    write_text(str(folder / CSV_FILE), csv_of(tables, costs, published))


def _render(template: str, shown: Mapping[str, object]) -> str:
    """A template with the content; in HTML all text is escaped, charts are not."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(shown)


def _runs(table: Table) -> list[Run]:
    return [run for row in table.rows for run in row.runs]


def _section(table: Table, costs: Mapping[Path, Cost], published: tuple[Published, ...]) -> Section:
    rows, model = table.rows, table.rows[0].first.model
    beside = [
        Point(name=each.name, cost=each.multiply_adds, accuracy=each.accuracy, interval=None, published=True)
        for each in published
        if each.multiply_adds and table.task in each.beside
    ]
    ours = [_point(row, costs[row.first.folder].multiply_adds) for row in rows]
    trained = [_point(row, row.training[0]) for row in rows if row.training and row.training[0] > 0]
    return Section(
        task=table.task,
        classes=len(table.classes),
        clips=table.clips,
        train_clips=sum(model.task.counts.get("train", {}).values()),
        corpus=", ".join(archive.file for archive in model.archives) or "of unknown name",
        lines=[_line(row, costs[row.first.folder], original(row.first.model, published)) for row in rows],
        by_multiply_adds=accuracy_by_cost([*ours, *beside], "multiply-adds per clip"),
        by_seconds=accuracy_by_cost(trained, "seconds of training") if trained else None,
        names=[row.first.name for row in rows],
        pairs=[[None if one is other else _pair(one, other) for other in rows] for one in rows],
        number_of_pairs=len(rows) * (len(rows) - 1) // 2,
        seeds=any(len(row.runs) > 1 for row in rows),
    )


def _point(row: Row, cost: float) -> Point:
    return Point(name=row.first.name, cost=cost, accuracy=row.accuracy, interval=row.interval, published=False)


def _pair(one: Row, other: Row) -> Pair:
    """The test of two rows' first runs."""
    found: Paired = mcnemar(one.first.right, other.first.right)
    return Pair(
        text=p_text(found.p_value).removeprefix("p = ").removeprefix("p "),
        title=f"right with {one.first.name} alone: {found.only_first} clips, {other.first.name}: {found.only_second}",
        unlikely=found.p_value < _CHANCE,
    )


def _line(row: Row, cost: Cost, published: Published | None) -> Line:
    run, spread, training = row.first, row.spread, row.training
    low, high = row.interval
    return Line(
        name=run.name,
        network=run.model.network,
        view=run.model.view,
        accuracy=_percent(row.accuracy),
        interval=f"{100 * low:.1f} to {_percent(high)}",
        seeds="1 seed" if spread is None else f"± {_percent(spread)} of {len(row.runs)} seeds",
        clips=f"{run.figures.clips:,}",
        macro_f1=_percent(row.macro_f1),
        top3=_percent(row.top3),
        macro_top3=_percent(row.macro_top3),
        parameters=f"{run.model.trainable_parameters:,}",
        multiply_adds=_millions(cost.multiply_adds),
        size=f"{run.size_bytes / 1e3:,.0f} kB",
        epochs=" / ".join(str(each.model.epochs) for each in row.runs),
        training="–" if training is None else f"{training[0]:,.0f} s ({training[1]:,.0f} s)",
        latency=_milliseconds(cost.network),
        latency_with_front_end=_milliseconds(cost.with_front_end),
        published="–" if published is None else f"{_percent(published.accuracy)}, {published.task}",
        source=published.source if published else None,
        difference=published.difference if published else "",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _millions(count: int) -> str:
    """A count in millions, with two or three digits that count."""
    millions = count / 1e6
    return f"{millions:,.0f} M" if millions >= 100 else f"{millions:.1f} M" if millions >= 1 else f"{millions:.2f} M"


def _milliseconds(latency: Latency) -> str:
    return f"{latency.median_ms:.2f} ms ({latency.p99_ms:.2f} ms)"


_COLUMNS: Final = (
    "evaluation", "model", "network", "view", "task", "classes", "test_clips", "seed", "accuracy", "low", "high",
    "macro_f1", "top3", "macro_top3", "trainable_parameters", "multiply_adds", "model_keras_bytes", "epochs",
    "training_seconds", "training_cpu_seconds", "latency_median_ms", "latency_p99_ms", "with_front_end_median_ms",
    "with_front_end_p99_ms", "latency_runs", "published", "published_accuracy", "published_source",
)  # fmt: skip


def csv_of(tables: Sequence[Table], costs: Mapping[Path, Cost], published: tuple[Published, ...]) -> str:
    """Every run in a row of its own, in full precision; what is not known is empty.

    Args:
        tables: the models.
        costs: of each model, by its folder.
        published: the literature.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for table in tables:
        for run in _runs(table):
            writer.writerow(_values(run, table, costs[run.folder], original(run.model, published)))
    return text.getvalue()


def _values(run: Run, table: Table, cost: Cost, published: Published | None) -> tuple[object, ...]:
    found, log = run.figures, run.log
    return (
        run.name, run.model.name, run.model.network, run.model.view, table.task, len(table.classes), found.clips,
        run.seed, found.accuracy, found.low, found.high, found.macro_f1, found.top3, run.macro_top3,
        run.model.trainable_parameters, cost.multiply_adds, run.size_bytes, run.model.epochs,
        *((log.seconds, log.cpu_seconds) if log else (None, None)),
        cost.network.median_ms, cost.network.p99_ms, cost.with_front_end.median_ms, cost.with_front_end.p99_ms,
        cost.network.runs, *((published.name, published.accuracy, published.source) if published else (None,) * 3),
    )  # fmt: skip

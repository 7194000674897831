"""The dataset card (README.md) of an export: front matter that the library `datasets` reads, and a page for people."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import jinja2

from registry.export.summary import ExportSummary

_TEMPLATE: Final = "dataset_card.md.j2"


def render(summary: ExportSummary) -> str:
    """Content of README.md; texts in the front matter are quoted, since YAML reads `yes` and `off` as truth values."""
    plan, store = summary.plan, summary.plan.store
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            about=summary,
            plan=plan,
            store=store,
            title=f"Keyword spotting: {store.name} {store.version}",
            view=store.view,
            task=store.manifest.task,
            download_bytes=sum(file.bytes for file in summary.files),
            dataset_bytes=sum(file.uncompressed_bytes for file in summary.files),
            split_bytes={
                split: sum(file.uncompressed_bytes for file in summary.files if file.split == split)
                for split in plan.splits
            },
            size_category=_size_category(sum(plan.clips.values())),
        )
    )


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )


def _size_category(clips: int) -> str:
    """The class of size that Hugging Face's tags know."""
    bounds = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for bound, name in bounds if clips < bound), "1M<n<10M")

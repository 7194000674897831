"""Stores of every kind on the small corpus, and exports of them, for the tests of `export`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_tools import exit_code

from readers.store import Store, open_store
from registry.export.plan import FormatName, make_plan
from registry.export.run import export

OPTIONS: dict[FormatName, tuple[str, dict[str, Any]]] = {
    "lhotse": ("waveform_8khz", {}),
    "micro-wake-word": ("micro", {"words": ("yes",)}),
}
"""A store and the options that a format asks for; all others take the MFCCs."""
VIEWS = ("mfcc", "spectrogram", "waveform_8khz", "micro")
Records = dict[str, dict[str, Any]]


@functools.cache
def make_stores(finished: Path) -> dict[str, Store]:
    """The stores of the finished folder, and two more views of its clips, made once in a process."""
    from pipelines.extract.extract import main as extract  # exports alone need no Beam

    folder = finished.parent / f"{finished.name}_views"
    folder.mkdir()
    (folder / "params.yaml").write_bytes((finished / "params.yaml").read_bytes())
    inputs = (finished / "clips", finished / "selection.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TF_USE_LEGACY_KERAS", "0")
        for view in VIEWS[1:]:
            assert exit_code(extract, *inputs, view, "--direct_num_workers=1") == 0
    more = {view: open_store(folder / view) for view in VIEWS[1:]}
    return {"mfcc": open_store(finished / "features" / "mfcc"), **more, "clips": open_store(finished / "clips")}


def ignore(_: int) -> None:
    """Where no progress is shown."""


def export_to(folder: Path, store: Store, format_name: FormatName, *splits: str, **options: Any) -> Path:
    export(make_plan(store, format_name, splits, **options), folder, ignore)
    return folder


def export_somehow(folder: Path, stores: dict[str, Store], format_name: FormatName) -> Path:
    """An export in a format, with what it asks for."""
    name, options = OPTIONS.get(format_name, ("mfcc", {}))
    return export_to(folder, stores[name], format_name, **options)


def known(store: Store, split: str) -> Records:
    """id → record of a split, with the word and the speaker from the catalog."""
    catalog = {row["id"]: row for row in store.catalog(("id", "word", "speaker")).to_pylist()}
    found = {}
    for record in store.records(split):
        row = catalog[record["id"]]
        found[str(record["id"])] = {**record, "word": row["word"], "speaker": row["speaker"] or ""}
    return found


def same(found: Any, expected: Any) -> bool:
    """Equal in type of number, shape and every value."""
    return found.dtype == expected.dtype and np.array_equal(found, expected)

"""Stores of every kind on the small corpus, and exports of them, for the tests of `export`."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import command
from features.export.plan import FormatName, plan
from features.export.run import export
from features.store import Store
from features.store import open as open_store

VIEWS = ("mfcc", "spectrogram", "waveform_8khz")
Records = dict[str, dict[str, Any]]


@functools.cache
def make_stores(finished: Path) -> dict[str, Store]:
    """The stores of the finished folder, and two more views of its clips, made once in a process."""
    folder = finished.parent / f"{finished.name}_views"
    folder.mkdir()
    (folder / "params.yaml").write_bytes((finished / "params.yaml").read_bytes())
    inputs = (finished / "clips", finished / "selection.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TF_USE_LEGACY_KERAS", "0")
        for view in VIEWS[1:]:
            assert run_main(patch, "pipelines.extract", *inputs, view, "--direct_num_workers=1") == 0
    more = {view: open_store(folder / view) for view in VIEWS[1:]}
    return {"mfcc": open_store(finished / "features" / "mfcc"), **more, "clips": open_store(finished / "clips")}


def run_main(patch: pytest.MonkeyPatch, module: str, *arguments: object) -> int:
    """Run a module's command line in this process; its exit code."""
    main = importlib.import_module(module).main
    patch.setattr(sys, "argv", [module, *map(str, arguments)])
    try:
        command.run(main)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def ignore(_: int) -> None:
    """Where no progress is shown."""


def export_to(folder: Path, store: Store, format_name: FormatName, *splits: str, **options: Any) -> Path:
    export(plan(store, format_name, splits, **options), folder, ignore)
    return folder


def known(store: Store, split: str) -> Records:
    """id → record of a split, with the word and the speaker from the catalogue."""
    catalog = {row["id"]: row for row in store.catalog(("id", "word", "speaker")).to_pylist()}
    found = {}
    for record in store.records(split):
        row = catalog[record["id"]]
        found[str(record["id"])] = {**record, "word": row["word"], "speaker": row["speaker"] or ""}
    return found


def same(found: Any, expected: Any) -> bool:
    """Equal in type of number, shape and every value."""
    return found.dtype == expected.dtype and np.array_equal(found, expected)

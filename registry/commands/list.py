"""`python -m registry list`: the stores below a folder."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from base import files
from base.errors import DataError
from registry.commands.output import json_option, show_json, show_table
from registry.inventory import StoreEntry, age, find_stores


@click.command()
@click.argument("root")
@json_option
def main(root: str, as_json: bool) -> None:
    """List the stores in the folder ROOT and below it, unfinished and damaged ones too.

    The age is that of the manifest, the last file of a store to be written: outputs hold no dates, so a copy made
    without its times counts as new. "valid" says that the manifest can be read and that every file it names is there,
    shards with their size; `python -m registry verify` checks the rest.
    """
    if files.is_remote(root):
        raise DataError(f"{root} is remote, and this looks through local folders: ask `describe` of a store there")
    entries = find_stores(Path(root))
    if as_json:
        show_json([_content(entry) for entry in entries])
        return
    if not entries:
        click.echo(f"no store below {root}")
        return
    now_s = time.time()
    headers = ("store", "kind", "version", "task", "records", "MB", "age", "valid")
    show_table([_row(entry, now_s) for entry in entries], headers)
    click.echo("\nrecords: train+validation+test; clips are not divided")
    for entry in entries:
        if entry.problem:
            click.echo(f"{entry.path}: {entry.problem}")


def _content(entry: StoreEntry) -> dict[str, Any]:
    """An entry for programs."""
    modified = None if entry.modified_s is None else datetime.fromtimestamp(entry.modified_s, UTC)
    return {
        **asdict(entry),
        "modified": modified and modified.isoformat(timespec="seconds"),
        "valid": entry.problem is None,
    }


def _row(entry: StoreEntry, now_s: float) -> tuple[Any, ...]:
    home = Path(entry.folder).parent.name if Path(entry.folder).name == entry.version else Path(entry.folder).name
    path = entry.path if entry.name in (None, home) else f"{entry.path} ({entry.name})"
    records = "+".join(f"{count:,}" for count in entry.records.values())
    made = "" if entry.modified_s is None else age(now_s - entry.modified_s)
    size = f"{entry.bytes / 1e6:,.1f}" if entry.bytes else ""
    return path, entry.kind, entry.version, entry.task, records, size, made, "no" if entry.problem else "yes"

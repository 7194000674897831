"""The command `export`: writes a store in a form that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import command
from features import store as stores
from features.commands.output import json_option, show_json, show_table
from features.export.folder import begin
from features.export.plan import AUDIO_NAMES, FORMAT_NAMES, AudioName, FormatName, Plan, plan
from features.export.run import Written, export


@click.command()
@click.argument("store")
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--format", "format_name", type=click.Choice(FORMAT_NAMES), required=True, help="Form of the files.")
@click.option("--split", "splits", multiple=True, help="Split to export, may be repeated; all by default.")
@click.option(
    "--audio", type=click.Choice(AUDIO_NAMES), help="How parquet and webdataset hold samples; wav by default."
)
@click.option("--published", type=click.DateTime(["%Y-%m-%d"]), help="Date of publication, for parquet's descriptions.")
@json_option
def main(
    store: str,
    output: Path,
    format_name: FormatName,
    splits: tuple[str, ...],
    audio: AudioName | None,
    published: Any,
    as_json: bool,
) -> None:
    """Export STORE, a folder of features or clips, into the folder OUT.

    \b
    parquet     tables for datasets, pandas and DuckDB, a dataset card and a Croissant description
    webdataset  tar archives for webdataset
    numpy       one array a split, to be memory-mapped
    csv         one table a clip
    png         one grey picture a clip, of spectrograms and MFCCs

    An interrupted export goes on from its finished files when the same command is run again.
    """
    date = published.date().isoformat() if published else None
    made = plan(stores.open(store), format_name, splits, audio, date)
    begin(output, made.identity())  # refuses another folder before any progress shows
    with command.progress_bar(sum(made.clips.values()), "clip", f"export {made.store.name}") as bar:
        written = export(made, output, bar.update)
    if as_json:
        show_json({"folder": str(output), **made.identity(), **written.to_dict()})
    else:
        _show(made, output, written)


def _show(made: Plan, output: Path, written: Written) -> None:
    show_table([[split, clips] for split, clips in written.clips.items()], ["split", "clips"])
    clips = sum(written.clips.values())
    click.echo(f"{output}: {made.format}, {written.files:,} files, {clips:,} clips, {written.bytes:,} bytes")

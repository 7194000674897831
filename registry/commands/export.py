"""`python -m registry export`: writes a store in a form that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from base import command
from readers.store import open_store
from registry.commands.output import json_option, show_json, show_table
from registry.export.folder import begin_export
from registry.export.plan import AUDIO_NAMES, FORMAT_NAMES, OTHER_NAMES, AudioName, ExportPlan, FormatName, make_plan
from registry.export.run import Written, export


@click.command()
@click.argument("store")
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "format_name",
    type=click.Choice((*FORMAT_NAMES, *OTHER_NAMES)),
    callback=lambda _, __, name: OTHER_NAMES.get(name, name),
    required=True,
    help="Form of the files.",
)
@click.option("--split", "splits", multiple=True, help="Split to export, may be repeated; all by default.")
@click.option(
    "--audio", type=click.Choice(AUDIO_NAMES), help="How parquet and webdataset hold samples; wav by default."
)
@click.option("--published", type=click.DateTime(["%Y-%m-%d"]), help="Date of publication, for parquet's descriptions.")
@click.option("--word", "words", multiple=True, help="Word to hear, for micro-wake-word; may be repeated.")
@json_option
def main(
    store: str,
    output: Path,
    format_name: FormatName,
    splits: tuple[str, ...],
    audio: AudioName | None,
    published: Any,
    words: tuple[str, ...],
    as_json: bool,
) -> None:
    """Export STORE, a folder of features or clips, into the folder OUT.

    \b
    parquet, hub     tables for datasets, pandas and DuckDB, a dataset card and a Croissant description
    webdataset       tar archives for webdataset
    array-record     records at any place, for Grain and tfds.data_source
    lhotse           WAV files with recordings, supervisions and cuts, of clips and waveforms
    micro-wake-word  ragged memory maps for microWakeWord, of features
    numpy            one array a split, to be memory-mapped
    csv              one table a clip
    png              one gray picture a clip, of spectrograms and MFCCs

    An interrupted export goes on from its finished files when the same command is run again.
    """
    date = published.date().isoformat() if published else None
    plan = make_plan(open_store(store), format_name, splits, audio, date, words)
    begin_export(output, plan.identity())  # refuses another folder before any progress shows
    with command.progress_bar(sum(plan.clips.values()), "clip", f"export {plan.store.name}") as bar:
        written = export(plan, output, bar.update)
    if as_json:
        show_json({"folder": str(output), **plan.identity(), **written.to_dict()})
    else:
        _show(plan, output, written)


def _show(plan: ExportPlan, output: Path, written: Written) -> None:
    show_table([[split, clips] for split, clips in written.clips.items()], ["split", "clips"])
    clips = sum(written.clips.values())
    click.echo(f"{output}: {plan.format}, {written.files:,} files, {clips:,} clips, {written.bytes:,} bytes")

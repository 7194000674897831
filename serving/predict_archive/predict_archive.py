"""The command: an archive or a folder of unlabeled clips to a CSV file of labels, and their probabilities as Parquet.

Archive → one intermediate file per shard → the probabilities of each shard → labels in order of name. A folder is not
copied: its shards are read where they are.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, get_args

import apache_beam as beam
import click

from base import command, files
from base.errors import DataError
from features.audio import Second
from features.labels import UNKNOWN_CLASS
from pipelines.engine import runner
from pipelines.engine.transforms import Commit, ShardMap
from pipelines.engine.work import Work, begin_file, finish, is_committed
from serving.description import EXPORT_FILE, Export, checked_file, read_export
from serving.predict_archive.classify import Classify
from serving.predict_archive.deal import Deal, share_dealt, to_each_shard
from serving.predict_archive.outputs import ENDING, Labels, MakeOutputs, count_rejects, probabilities_path, rejects_path
from serving.predict_archive.source import Source, find
from stores.tables import read_table

_DEALING_PERCENT = 10
"""Of the time, where the clips have to be read from an archive first."""


def predict_archive(
    folder: Path, archive: str, out: str, labels: Labels, second: Second, beam_options: tuple[str, ...]
) -> None:
    """Label all clips of an archive or a folder.

    Args:
        folder: of the export.
        archive: the archive or the folder.
        out: the CSV file to write; the other two are beside it.
        labels: of the clips.
        second: which second of a longer recording is taken.
        beam_options: Beam's own options.

    Raises:
        DataError: there are no clips, the archive is damaged, or none of its clips can be read.
    """
    engine = runner.prepare(beam_options)
    folder, archive, out = Path(engine.place(str(folder))), engine.place(archive), engine.place(out)
    export = read_export(folder)
    checked_file(folder, export, "litert_network")
    export_sha256 = files.sha256(str(folder / EXPORT_FILE))
    source = find(archive)
    work = begin_file(out, _plan(source, export_sha256, labels, second))
    classify = Classify(source, str(folder), export_sha256, second)
    dealing = _DEALING_PERCENT if source.clips is None else 0
    size = files.size(archive) or 0

    def progress() -> tuple[int, int]:
        dealt = share_dealt(work, size) if dealing else 0.0
        return round(dealing * dealt + (100 - dealing) * work.reports(Classify.name) / source.shards), 100

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            _shards(pipeline, source, work, classify)
            | "Spread over workers" >> beam.Reshuffle()
            | ShardMap(work, classify)
            | Commit(work, source.shards, MakeOutputs(labels, _metadata(export, source)))
        )

    if not is_committed(work):
        engine.run(build, progress, "%", "predict_archive", work)
    finish(work)


def _shards(pipeline: beam.Pipeline, source: Source, work: Work, classify: Classify) -> beam.pvalue.PCollection[int]:
    """The numbers of the shards, once their clips can be read."""
    shards: beam.pvalue.PCollection[int]
    if source.clips is not None:
        shards = pipeline | "Shards" >> beam.Create(range(source.shards))
    else:
        shards = (
            pipeline
            | "Archive" >> beam.Create([source])
            | ShardMap(work, Deal(source.shards, classify))
            | "To each shard" >> beam.FlatMap(partial(to_each_shard, shards=source.shards))
        )
    return shards


def _plan(source: Source, export_sha256: str, labels: Labels, second: Second) -> dict[str, Any]:
    """All that decides the bytes of the output."""
    return {
        "export": export_sha256,
        "source": source.identity,
        "shards": source.shards,
        "labels": [*labels.shown, labels.shown_unreadable],
        "second": second,
    }


def _metadata(export: Export, source: Source) -> dict[str, str]:
    """Where the probabilities come from."""
    found = {"model": export.model, "network_sha256": export.network_sha256}
    return found if source.clips is not None else {**found, "archive_sha256": source.identity}


def labels_of(classes: tuple[str, ...], unreadable: str | None, *, plain: bool) -> Labels:
    """The labels of a model's classes.

    Args:
        classes: its classes.
        unreadable: the label of clips that can't be read; None for `_unknown_` where that is a class, else none.
        plain: whether `_silence_` and `_unknown_` lose their underscores.

    Raises:
        DataError: a class has the name already that another would have without underscores.
    """
    default = UNKNOWN_CLASS if UNKNOWN_CLASS in classes else ""
    labels = Labels(classes, default if unreadable is None else unreadable, plain)
    if len(set(labels.shown)) < len(classes):
        raise DataError(
            f"--plain-labels: of the classes {', '.join(classes)} two would have the same name; leave it out"
        )
    return labels


def summary(out: str) -> str:
    """What a finished run made, in one line."""
    seconds = read_table(probabilities_path(out), ("seconds",))["seconds"]
    rejects = count_rejects(out)
    said = f"{out}: {len(seconds):,} clips"
    return f"{said}, {rejects:,} could not be read or are repeated: see {rejects_path(out)}" if rejects else said


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("archive")
@click.argument("out")
@click.option(
    "--second",
    type=click.Choice(get_args(Second)),
    default="start",
    show_default=True,
    help="Which second of a longer recording is taken.",
)
@click.option("--unreadable", help="Label of clips that can't be read.  [default: _unknown_ where that is a class]")
@click.option("--plain-labels", "plain", is_flag=True, help="Write silence and unknown without underscores.")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
def main(
    folder: Path,
    archive: str,
    out: str,
    second: Second,
    unreadable: str | None,
    *,
    plain: bool,
    beam_options: tuple[str, ...],
) -> None:
    """Label all clips of ARCHIVE with the export in FOLDER: fname and label into OUT, a CSV file, in order of name.

    ARCHIVE is a .tar.gz, .tar or .zip, or a folder; all audio in it is taken. The probabilities go to a Parquet file
    next to OUT, clips that can't be read to a CSV file with the reasons. Further options are Beam's own. An
    interrupted run goes on where it was.
    """
    if not out.endswith(ENDING):
        raise DataError(f"{out}: expected a name that ends in {ENDING}, next to which the other files go")
    labels = labels_of(read_export(folder).classes, unreadable, plain=plain)
    predict_archive(folder, archive, out, labels, second, beam_options)
    command.say(summary(out))

"""The stage `extract`: computes one view of the selected clips and writes it as a store of feature shards.

Clip shards → features of each shard, divided into splits → statistics, metadata and manifest.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

import apache_beam as beam
import click
from pydantic.dataclasses import dataclass as checked_dataclass

from base import command, files, params
from base.errors import DataError
from base.types import STRICT, Name
from features.mel import mel_filters
from features.splits import SPLITS
from features.statistics import Totals, merge, statistics_json
from features.statistics import finish as finish_statistics
from features.views import MelView, View, definition, version
from pipelines.engine import runner
from pipelines.engine.work import Commit, ShardMap, Work, begin_store, finish, is_committed
from pipelines.extract.featurize import Featurize, FeaturizedShard, Inputs, part_path
from stores import tables, writing
from stores.catalog import VIEW_CATALOG_SCHEMA
from stores.lineage import Task
from stores.manifest import CATALOG_FILE, STATISTICS_FILE, VERSION, WORK_FOLDER, Manifest, read_manifest
from stores.selection import read_task


@checked_dataclass(frozen=True, config=STRICT, kw_only=True)
class Extract:
    """The section `extract` of params.yaml: the views that can be made."""

    views: dict[Name, View]


def extract(clips: str, selection: str, output: str, view: View, beam_options: tuple[str, ...]) -> None:
    """Make the feature store of a view.

    Args:
        clips: the finished clip store.
        selection: the table of (id, label, split).
        output: folder of the view, which names the store; the store goes into a folder of its version below.
        view: the definition of the features.
        beam_options: Beam's own options.

    Raises:
        DataError: an input is missing, damaged, or the selection was made from other clips.
    """
    engine = runner.prepare(beam_options)
    if isinstance(view, MelView):
        mel_filters(view)  # refuses an empty band here, not in a worker
    clip_manifest, task = read_manifest(clips), read_task(selection)
    if task.clips_manifest_sha256 != clip_manifest.sha256:
        raise DataError(f"{selection} was made from other clips than {clips}: run `python -m pipelines.select` again")
    name = posixpath.basename(output.rstrip("/"))
    manifest = _manifest(name, view, task, clip_manifest)
    store = files.join(output, manifest.version)
    work = begin_store(store, {"manifest": manifest.to_json()})
    inputs = Inputs(
        clip_shards=tuple(files.join(clips, shard.file) for shard in clip_manifest.shards),
        catalog=files.join(clips, CATALOG_FILE),
        selection=selection,
        store=name,
    )
    shards = len(inputs.clip_shards)

    def progress() -> tuple[int, int]:
        return work.reports(Featurize.name), shards

    def build(pipeline: beam.Pipeline) -> None:
        _ = (
            pipeline
            | "Clip shards" >> beam.Create(range(shards))
            | "Spread over workers" >> beam.Reshuffle()
            | ShardMap(work, Featurize(inputs, view))
            | Commit(work, shards, MakeStore(manifest, view))
        )

    if not is_committed(work):
        engine.run(build, progress, "shard", f"extract {name}")
    finish(work)
    for other in files.names(output):
        if VERSION.fullmatch(other) and other != manifest.version:
            clear_version(files.join(output, other))


def clear_version(folder: str) -> None:
    """Delete the store of another version, finished or not, and its folder unless it holds files of the user's."""
    writing.clear(folder)
    files.remove(files.join(folder, WORK_FOLDER))
    if not files.names(folder):
        files.remove(folder)


@dataclass(frozen=True)
class MakeStore:
    """Reports on all clip shards → the finished store; `manifest` is still without shards."""

    manifest: Manifest
    view: View

    def __call__(self, reports: list[FeaturizedShard], work: Work) -> None:
        """Write catalog, statistics and metadata next to the shards, the manifest last."""
        catalogs = [part_path(work, report.index) for report in reports]
        tables.concatenate_tables(files.join(work.staged, CATALOG_FILE), catalogs, VIEW_CATALOG_SCHEMA)
        totals = {split: [Totals.from_dict(report.totals[split]) for report in reports] for split in SPLITS}
        statistics = {str(split): finish_statistics(merge(parts, self.view)) for split, parts in totals.items()}
        files.write_text(files.join(work.staged, STATISTICS_FILE), statistics_json(statistics))
        shards = [shard for split in SPLITS for report in reports for shard in report.shards if shard.split == split]
        writing.commit(work.staged, self.manifest.with_shards(tuple(shards)), (CATALOG_FILE, STATISTICS_FILE))


def _manifest(name: str, view: View, task: Task, clips: Manifest) -> Manifest:
    return Manifest(
        name=name,
        version=version(view),
        definition=definition(view),
        archives=clips.archives,
        clip_parameters=clips.clip_parameters,
        task=task,
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("clips")
@click.argument("selection")
@click.argument("features")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
def main(clips: str, selection: str, features: str, beam_options: tuple[str, ...]) -> None:
    """Compute the view that the folder FEATURES is named after, of the clips of CLIPS that SELECTION names.

    The views are declared in params.yaml under extract.views. Further options are Beam's own.
    """
    views = params.load("extract", Extract).views
    name = posixpath.basename(features.rstrip("/"))
    if name not in views:
        raise DataError(f"{features}: no view {name!r} in params.yaml; extract.views declares {', '.join(views)}")
    view = views[name]
    extract(clips, selection, features, view, beam_options)
    folder = files.join(features, version(view))
    manifest = read_manifest(folder)
    clips_of = {split: sum(each.records for each in manifest.shards if each.split == split) for split in SPLITS}
    counts = ", ".join(f"{split} {number}" for split, number in clips_of.items())
    command.say(f"{folder}: {manifest.tensor} {view.shape} {view.dtype}, clips: {counts}")

"""The stage `extract`: computes views of the selected clips and writes each as a store of feature shards.

Clip shards → features of each shard in all views, divided into splits → statistics, metadata and manifest of each view.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from operator import itemgetter

import apache_beam as beam
import click
from pydantic.dataclasses import dataclass as checked_dataclass

from base import command, files, params
from base.claim import claimed, work_of_folder
from base.errors import DataError
from base.types import STRICT, Name
from features.mel import mel_filters
from features.splits import SPLITS
from features.statistics import Totals, merge, statistics_json
from features.statistics import finish as finish_statistics
from features.views import MelView, View, definition, version
from pipelines.engine import runner
from pipelines.engine.transforms import Commit, JointMap
from pipelines.engine.work import Work, begin_store, clear, is_committed, publish
from pipelines.extract.featurize import Featurize, FeaturizedShard, Inputs, Target, part_path
from stores import tables, writing
from stores.catalog import VIEW_CATALOG_SCHEMA
from stores.lineage import Task
from stores.manifest import CATALOG_FILE, STATISTICS_FILE, VERSION, Manifest, read_manifest
from stores.selection import read_task
from stores.writing import foreign_file


@checked_dataclass(frozen=True, config=STRICT, kw_only=True)
class Extract:
    """The section `extract` of params.yaml: the views that can be made."""

    views: dict[Name, View]


@dataclass(frozen=True)
class _Store:
    """A store to make: its name, folder, view, manifest that is still without shards, and unfinished work."""

    name: str
    folder: str
    view: View
    manifest: Manifest
    work: Work


def extract(clips: str, selection: str, outputs: Mapping[str, View], beam_options: tuple[str, ...]) -> None:
    """Make the feature stores of some views.

    Args:
        clips: the finished clip store.
        selection: the table of (id, label, split).
        outputs: folder of a view, which names its store, and definition of its features; the store goes into a folder
            of its version below.
        beam_options: Beam's own options.

    Raises:
        DataError: an input is missing, damaged, or the selection was made from other clips.
    """
    engine = runner.prepare(beam_options)
    clips, selection = engine.place(clips), engine.place(selection)
    outputs = {engine.place(output): view for output, view in outputs.items()}
    for view in outputs.values():
        if isinstance(view, MelView):
            mel_filters(view)  # refuses an empty band here, not in a worker
    clip_manifest, task = read_manifest(clips), read_task(selection)
    if task.clips_manifest_sha256 != clip_manifest.sha256:
        raise DataError(f"{selection} was made from other clips than {clips}: run `python -m pipelines.select` again")
    with ExitStack() as stack:
        for output, view in outputs.items():
            folder = files.join(output, version(view))
            stack.enter_context(claimed(output, work_of_folder(output), partial(foreign_file, folder, "features")))
        stores = [_begin(output, view, task, clip_manifest) for output, view in outputs.items()]
        if unfinished := [store for store in stores if not is_committed(store.work)]:
            clip_shards = tuple(files.join(clips, shard.file) for shard in clip_manifest.shards)
            inputs = Inputs(clip_shards, catalog=files.join(clips, CATALOG_FILE), selection=selection)
            _run(engine, inputs, unfinished)
        for store in stores:
            _publish(store)


def _run(engine: runner.Engine, inputs: Inputs, stores: Sequence[_Store]) -> None:
    """Make what is to be put in the places of some stores."""
    shards = len(inputs.clip_shards)

    def progress() -> tuple[int, int]:
        return sum(store.work.reports(Featurize.name) for store in stores), shards * len(stores)

    def build(pipeline: beam.Pipeline) -> None:
        step = Featurize(inputs, {store.folder: Target(store.name, store.view) for store in stores})
        featurized = (
            pipeline
            | "Clip shards" >> beam.Create(range(shards))
            | "Spread over workers" >> beam.Reshuffle()
            | JointMap([store.work for store in stores], step)
        )
        for place, store in enumerate(stores):
            _ = (
                featurized
                | f"of {store.folder}" >> beam.Map(itemgetter(place))
                | f"commit {store.folder}" >> Commit(store.work, shards, MakeStore(store.manifest, store.view))
            )

    names = ", ".join(store.name for store in stores)
    engine.run(build, progress, "shard", f"extract {names}", stores[0].work)


def _publish(store: _Store) -> None:
    """Put a store in its place, which no other version of its view has then."""
    publish(store.work)
    above = posixpath.dirname(store.folder)
    for other in files.names(above):
        if VERSION.fullmatch(other) and other != store.manifest.version:
            clear_version(files.join(above, other))
    clear(store.work)


def _begin(output: str, view: View, task: Task, clips: Manifest) -> _Store:
    name = posixpath.basename(output)
    manifest = Manifest(
        name=name,
        version=version(view),
        definition=definition(view),
        archives=clips.archives,
        clip_parameters=clips.clip_parameters,
        task=task,
    )
    folder = files.join(output, manifest.version)
    return _Store(name, folder, view, manifest, begin_store(folder, {"manifest": manifest.to_json()}))


def clear_version(folder: str) -> None:
    """Delete the store of another version, finished or not, and its folder unless it holds files of the user's."""
    if foreign_file(folder, "features") is None:
        writing.clear(folder)


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


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("clips")
@click.argument("selection")
@click.argument("features", nargs=-1, required=True, type=click.UNPROCESSED, metavar="FEATURES... [BEAM_OPTIONS]...")
def main(clips: str, selection: str, features: tuple[str, ...]) -> None:
    """Compute the views that the folders FEATURES are named after, of the clips of CLIPS that SELECTION names.

    The views are declared in params.yaml under extract.views. Further options are Beam's own.
    """
    outputs = tuple(takewhile(lambda argument: not argument.startswith("-"), features))
    views = params.load("extract", Extract).views
    named = {output.rstrip("/"): posixpath.basename(output.rstrip("/")) for output in outputs}
    if not named:
        raise DataError(f"got no folder of a view before {features[0]}, expected one such as data/features/mfcc")
    if unknown := [output for output, name in named.items() if name not in views]:
        raise DataError(f"{', '.join(unknown)}: no such view in params.yaml; extract.views declares {', '.join(views)}")
    extract(clips, selection, {output: views[name] for output, name in named.items()}, features[len(outputs) :])
    for output, name in named.items():
        view = views[name]
        folder = files.join(output, version(view))
        manifest = read_manifest(folder)
        clips_of = {split: sum(each.records for each in manifest.shards if each.split == split) for split in SPLITS}
        counts = ", ".join(f"{split} {number}" for split, number in clips_of.items())
        command.say(f"{folder}: {manifest.tensor} {view.shape} {view.dtype}, clips: {counts}")

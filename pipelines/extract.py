"""The stage `extract`: computes one view of the selected clips and writes it as a store of feature shards.

Clip shards → features of each shard, divided into splits → statistics, metadata and manifest.
"""

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import click

import command
import params
from features import __version__
from features.catalog import VIEW_CATALOG_SCHEMA
from features.errors import DataError
from features.manifest import CATALOG_FILE, MANIFEST_FILE, STATISTICS_FILE, Manifest, metadata_files
from features.mel import mel_filters
from features.statistics import Statistics, finish, merge, statistics_json
from features.store import Store
from features.store import open as open_store
from features.views import LogMel, View, definition, definition_hash, version
from pipelines import files, runner
from pipelines.featurise import REPORT_PATTERN, FeatureShards, Inputs, featurise, part_path
from pipelines.select import read_description
from pipelines.splits import SPLITS


class Featurise(beam.DoFn):
    """Number of a clip shard → report of its feature shards; the output `failed` has the message of a damaged shard."""

    def __init__(self, inputs: Inputs, view: View) -> None:
        self._inputs, self._view = inputs, view

    def setup(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # TensorFlow's import then leaves Keras out: 3 s and 90 MB
        import tensorflow as tf

        from features.frontend import array_front_end

        try:  # workers share the machine's cores among them already
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # TensorFlow runs in this process already, with the threads that it has
        self._front_end = array_front_end(self._view)

    def process(self, index: int) -> Iterator[Any]:
        try:
            yield featurise(index, self._inputs, self._view, self._front_end)
        except DataError as error:
            yield beam.pvalue.TaggedOutput("failed", str(error))


class Publish(beam.DoFn):
    """Reports of all shards → the finished store, or the record of why there is none."""

    def __init__(self, output: str, manifest: Manifest, view: View) -> None:
        self._output, self._manifest, self._view = output, manifest, view

    def process(self, _: None, reports: list[FeatureShards], failures: list[str]) -> None:
        if failures:
            files.fail(files.join(self._output, files.WORK_FOLDER), sorted(failures)[0])
            return
        publish(self._output, reports, self._manifest, self._view)


def publish(output: str, reports: list[FeatureShards], manifest: Manifest, view: View) -> None:
    """Write catalogue, statistics and metadata, the manifest last.

    Args:
        output: folder of the store.
        reports: the report of every clip shard, in any order.
        manifest: the manifest, still without shards.
        view: the definition of the features.
    """
    reports = sorted(reports, key=lambda report: report.index)
    shards = [shard for report in reports for shard in report.shards]
    order: dict[str, int] = {split: place for place, split in enumerate(SPLITS)}
    shards.sort(key=lambda shard: (order[shard.split], shard.file))
    parts = [part_path(files.join(output, files.WORK_FOLDER), report.index) for report in reports]
    files.concatenate_tables(files.join(output, CATALOG_FILE), parts, VIEW_CATALOG_SCHEMA)
    statistics: dict[str, Statistics] = {
        split: finish(merge((report.totals[split] for report in reports), view)) for split in SPLITS
    }
    files.write_text(files.join(output, STATISTICS_FILE), statistics_json(statistics))
    tables = {name: files.sha256(files.join(output, name)) for name in (CATALOG_FILE, STATISTICS_FILE)}
    complete = dataclasses.replace(manifest, shards=tuple(shards), tables=tables)
    for name, text in metadata_files(complete).items():
        files.write_text(files.join(output, name), text)


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
    runner.check_options(beam_options)
    if isinstance(view, LogMel):
        mel_filters(view)  # refuses an empty band here, not in a worker
    clip_store, task = open_store(clips), read_description(selection)
    clips_sha256 = files.manifest_sha256(clips)
    if task["clips_manifest_sha256"] != clips_sha256:
        raise DataError(f"{selection} was made from other clips than {clips}: run `python -m pipelines.select` again")
    name = posixpath.basename(output.rstrip("/"))
    manifest = _manifest(name, view, task, clip_store)
    for stale in set(files.version_folders(output)) - {manifest.version}:
        files.clear(files.join(output, stale))
    output = files.join(output, manifest.version)
    work = files.begin(output, {"manifest": manifest.to_json()})
    inputs = Inputs(
        clip_shards=tuple(files.join(clips, shard.file) for shard in clip_store.manifest.shards),
        catalog=files.join(clips, CATALOG_FILE),
        selection=selection,
        output=output,
        store=name,
    )

    def progress() -> tuple[int, int]:
        return len(files.file_names(work, REPORT_PATTERN)), len(inputs.clip_shards)

    def build(pipeline: beam.Pipeline) -> None:
        reports = (
            pipeline
            | "Shards" >> beam.Create(range(len(inputs.clip_shards)))
            | "Spread over workers" >> beam.Reshuffle()
            | "Featurise" >> beam.ParDo(Featurise(inputs, view)).with_outputs("failed", main="reports")
        )
        finished = Publish(output, manifest, view)
        sides = beam.pvalue.AsList(reports.reports), beam.pvalue.AsList(reports.failed)
        _ = pipeline | "Once" >> beam.Create([None]) | "Publish" >> beam.ParDo(finished, *sides)

    runner.run(beam_options, build, progress, "shard", f"extract {name}")
    files.finish(files.join(output, MANIFEST_FILE), work)


def _manifest(name: str, view: View, task: dict[str, Any], clip_store: Store) -> Manifest:
    return Manifest(
        name=name,
        version=version(view),
        definition=definition(view),
        classes=tuple(task["classes"]),
        task=task,
        source=clip_store.manifest.source,
        parameters={"definition_sha256": definition_hash(view), "clips": clip_store.manifest.parameters},
        code_version=__version__,
        tables={},
        shards=(),
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
    views = params.load().extract.views
    name = posixpath.basename(features.rstrip("/"))
    if name not in views:
        raise DataError(f"{features}: no view {name!r} in params.yaml; extract.views declares {', '.join(views)}")
    extract(clips, selection, features, views[name], beam_options)
    store = open_store(features)
    counts = ", ".join(f"{split} {count}" for split, count in store.counts.items())
    command.say(f"{store.path}: {store.tensor} {views[name].shape} {views[name].dtype}, clips: {counts}")


if __name__ == "__main__":
    from pipelines.extract import main as importable_main  # workers import transforms by this module's real name

    command.run(importable_main)

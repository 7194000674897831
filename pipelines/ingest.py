"""The stage `ingest`: streams the raw archives into a store of one-second clips, with a catalogue and the rejects.

Archives → scatter to one intermediate file per shard → group by shard → seal each shard → publish the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import apache_beam as beam
import click

import command
import params
from features import __version__
from features.catalog import CATALOG_SCHEMA, REJECTS_SCHEMA
from features.errors import DataError
from features.manifest import CATALOG_FILE, MANIFEST_FILE, REJECTS_FILE, Manifest, metadata_files
from features.schema import CLIPS_VERSION
from params import Ingest
from pipelines import files, runner
from pipelines.layouts import CORPUS_FILE
from pipelines.scatter import Archive, Spill, scatter, scattered_bytes
from pipelines.seal import CLIPS_STORE, SealedShard, part_path, read_report, seal, share_of_rejects

_ARCHIVE_KEYS = {"file", "sha256", "bytes", "license"}


class Scatter(beam.DoFn):
    """Archive → (shard, spill) for each shard; the output `failed` has the message of an archive that can't be read."""

    def __init__(self, raw: str, output: str, config: Ingest) -> None:
        self._raw, self._output, self._config = raw, output, config

    def process(self, archive: Archive) -> Iterator[Any]:
        work = files.join(self._output, files.WORK_FOLDER)
        try:
            spills = scatter(self._raw, archive, self._config, work, self._is_finished)
        except DataError as error:
            yield beam.pvalue.TaggedOutput("failed", str(error))
            return
        yield from enumerate(spills)

    def _is_finished(self, shard: int) -> bool:
        return read_report(self._output, shard) is not None


class Seal(beam.DoFn):
    """(shard, its spills) → report of the finished shard; the output `failed` has the message of a damaged spill.

    A shard that lacks the spill of an archive is not sealed: that archive has failed, and a later run must not take the
    shard for finished.
    """

    def __init__(self, output: str, config: Ingest, archives: int) -> None:
        self._output, self._shards, self._archives = output, config.shards, archives

    def process(self, element: tuple[int, Iterable[Spill]]) -> Iterator[Any]:
        index, spills = element[0], sorted(element[1], key=lambda each: each.number)
        if len(spills) < self._archives:
            return
        try:
            yield seal(index, spills, self._output, self._shards)
        except DataError as error:
            yield beam.pvalue.TaggedOutput("failed", str(error))


class Publish(beam.DoFn):
    """Reports of all shards → the finished store, or the record of why there is none."""

    def __init__(self, output: str, archives: list[dict[str, Any]], config: Ingest) -> None:
        self._output, self._archives, self._config = output, archives, config

    def process(self, _: None, sealed: list[SealedShard], unread: list[str], unsealed: list[str]) -> None:
        work = files.join(self._output, files.WORK_FOLDER)
        failures = sorted(unread) or sorted(unsealed)
        message = failures[0] if failures else publish(self._output, sealed, self._archives, self._config)
        if message:
            files.fail(work, message)


def publish(output: str, sealed: list[SealedShard], archives: list[dict[str, Any]], config: Ingest) -> str | None:
    """Write the catalogue, the rejects and the metadata, the manifest last.

    Args:
        output: folder of the store.
        sealed: the report of every shard, in any order.
        archives: the archives as corpus.json describes them.
        config: the stage's parameters.

    Returns:
        None, or why the store must not be finished: more unusable files than allowed.
    """
    work = files.join(output, files.WORK_FOLDER)
    sealed = sorted(sealed, key=lambda each: each.index)
    for name, table, schema in (
        (CATALOG_FILE, "catalog", CATALOG_SCHEMA),
        (REJECTS_FILE, "rejects", REJECTS_SCHEMA),
    ):
        parts = [part_path(work, table, each.index) for each in sealed]
        files.concatenate_tables(files.join(output, name), parts, schema)
    rejected, total = share_of_rejects(sealed)
    if rejected > config.max_reject_fraction * total:
        example = next(each.reject_example for each in sealed if each.reject_example)
        return (
            f"{rejected} of {total} files can't be used, more than max_reject_fraction {config.max_reject_fraction}: "
            f"see {files.join(output, REJECTS_FILE)}; the first is {example}"
        )
    tables = {name: files.sha256(files.join(output, name)) for name in (CATALOG_FILE, REJECTS_FILE)}
    for name, text in metadata_files(_manifest(sealed, archives, config, tables)).items():
        files.write_text(files.join(output, name), text)
    return None


def _manifest(
    sealed: list[SealedShard], archives: list[dict[str, Any]], config: Ingest, tables: dict[str, str]
) -> Manifest:
    return Manifest(
        name=CLIPS_STORE,
        version=CLIPS_VERSION,
        definition=None,
        classes=(),
        task={},
        source={"archives": archives},
        parameters=_parameters(config),
        code_version=__version__,
        tables=tables,
        shards=tuple(each.shard for each in sealed),
    )


def _parameters(config: Ingest) -> dict[str, Any]:
    return {"shards": config.shards, "silence": asdict(config.silence), "seed": config.seed}


def read_corpus(raw: str) -> list[dict[str, Any]]:
    """The archives of a raw folder, as the stage `corpus` left them.

    Raises:
        DataError: there is no corpus.json, it does not describe archives, or one of them is missing.
    """
    place = files.join(raw, CORPUS_FILE)
    if not files.exists(place):
        raise DataError(f"{place} is missing: run `python -m pipelines.corpus {raw}` first")
    again = f"run `python -m pipelines.corpus {raw}` again"
    content = files.read_json(place)
    archives: list[dict[str, Any]] = content.get("archives", []) if isinstance(content, dict) else []
    if not archives or not all(archive.keys() >= _ARCHIVE_KEYS for archive in archives):
        raise DataError(f"{place} describes no archives by {', '.join(sorted(_ARCHIVE_KEYS))}: {again}")
    for archive in archives:
        if not files.exists(files.join(raw, archive["file"])):
            raise DataError(f"{files.join(raw, archive['file'])} is missing: {again}")
    return archives


def ingest(raw: str, output: str, config: Ingest, beam_options: tuple[str, ...]) -> None:
    """Make the clip store.

    Args:
        raw: folder with corpus.json and the archives.
        output: folder of the clip store.
        config: the stage's parameters.
        beam_options: Beam's own options.

    Raises:
        DataError: an archive is missing, damaged or empty, or too many of its files can't be used.
    """
    runner.check_options(beam_options)
    described = read_corpus(raw)
    archives = [Archive(each["file"], number, each["sha256"], each["bytes"]) for number, each in enumerate(described)]
    work = files.begin(output, {"archives": described, "parameters": _parameters(config), "code": __version__})
    total_bytes = sum(archive.bytes for archive in archives)

    def progress() -> tuple[int, int]:
        sealed = len(files.file_names(work, "sealed-*.json"))
        scattered = sum(scattered_bytes(work, archive) for archive in archives)
        return scattered + total_bytes * sealed // config.shards, 2 * total_bytes

    def build(pipeline: beam.Pipeline) -> None:
        scattered = (
            pipeline
            | "Archives" >> beam.Create(archives)
            | "Scatter" >> beam.ParDo(Scatter(raw, output, config)).with_outputs("failed", main="spills")
        )
        sealed = (
            scattered.spills
            | "Group by shard" >> beam.GroupByKey()
            | "Seal" >> beam.ParDo(Seal(output, config, len(archives))).with_outputs("failed", main="sealed")
        )
        sides = (beam.pvalue.AsList(each) for each in (sealed.sealed, scattered.failed, sealed.failed))
        _ = (
            pipeline
            | "Once" >> beam.Create([None])
            | "Publish" >> beam.ParDo(Publish(output, described, config), *sides)
        )

    runner.run(beam_options, build, progress, "B", "ingest")
    files.finish(files.join(output, MANIFEST_FILE), work)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("raw")
@click.argument("clips")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
def main(raw: str, clips: str, beam_options: tuple[str, ...]) -> None:
    """Stream the archives in the folder RAW into the clip store CLIPS. Further options are Beam's own."""
    ingest(raw, clips, params.load().ingest, beam_options)
    manifest = files.read_json(files.join(clips, MANIFEST_FILE))
    count = sum(shard["records"] for shard in manifest["shards"])
    command.say(f"{clips}: {count} clips in {len(manifest['shards'])} shards")


if __name__ == "__main__":
    from pipelines.ingest import main as importable_main  # workers import transforms by this module's real name

    command.run(importable_main)

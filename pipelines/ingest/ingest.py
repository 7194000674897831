"""The stage `ingest`: streams the raw archives into a store of one-second clips, with a catalog and the rejects.

Parts of archives → scatter to one intermediate file per shard → group by shard → seal each shard → the finished store.
Where several archives have clips of their own, equal audio of two of them is looked for between grouping and sealing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import click

from base import command, files, params
from base.claim import claimed, work_of_folder
from base.errors import DataError
from pipelines import layouts
from pipelines.archives import read_corpus
from pipelines.engine import runner
from pipelines.engine.transforms import Commit, ShardMap
from pipelines.engine.work import Work, begin_store, finish, is_committed
from pipelines.ingest.config import Ingest
from pipelines.ingest.parts import divide
from pipelines.ingest.same_audio import FindSameAudio
from pipelines.ingest.scatter import Scatter, scattered_bytes, to_each_shard
from pipelines.ingest.seal import CLIPS_STORE, Seal, Sealed, part_path
from stores import tables
from stores.catalog import CATALOG_SCHEMA, REJECTS_SCHEMA
from stores.lineage import Archive
from stores.manifest import CATALOG_FILE, REJECTS_FILE, Manifest, read_manifest
from stores.records import CLIPS_VERSION
from stores.writing import commit, foreign_file


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
    engine = runner.prepare(beam_options)
    raw, output = engine.place(raw), engine.place(output)
    archives = read_corpus(raw)
    for archive in archives:
        layouts.of(archive)
    manifest = _manifest(archives, config)
    with claimed(output, work_of_folder(output), lambda: foreign_file(output, "clips")):
        parts = divide(archives, raw)
        total_bytes = sum(part.bytes for part in parts)
        plan = {"manifest": manifest.to_json(), "parts": [part.start for part in parts]}
        work = begin_store(output, plan, None if engine.name else total_bytes)

        def progress() -> tuple[int, int]:
            scattered = scattered_bytes(work, parts)
            return scattered + total_bytes * work.reports(Seal.name) // config.shards, 2 * total_bytes

        seal = Seal(config, archives, len(parts))

        def build(pipeline: beam.Pipeline) -> None:
            scattered = pipeline | "Parts" >> beam.Create(parts) | ShardMap(work, Scatter(raw, config, seal))
            if sum(archive.role == "main" for archive in archives) > 1:
                scattered = scattered | FindSameAudio(work, config, archives, len(parts))
            _ = (
                scattered
                | "To each shard" >> beam.FlatMap(to_each_shard, config.shards)
                | "Group by shard" >> beam.GroupByKey()
                | ShardMap(work, seal)
                | Commit(work, config.shards, MakeStore(manifest, config.max_reject_fraction))
            )

        if not is_committed(work):
            engine.run(build, progress, "B", "ingest", work)
        finish(work)


@dataclass(frozen=True)
class MakeStore:
    """Reports on all shards → the finished store.

    Attributes:
        manifest: the manifest, still without shards.
        max_reject_fraction: the share of unusable files above which there must be no store.
    """

    manifest: Manifest
    max_reject_fraction: float

    def __call__(self, sealed: list[Sealed], work: Work) -> None:
        """Write the catalog, the rejects and the metadata next to the shards, the manifest last.

        Raises:
            DataError: more files than allowed can't be used.
        """
        catalogs = [part_path(work, "catalog", each.index) for each in sealed]
        rejects = [part_path(work, "rejects", each.index) if each.rejects else None for each in sealed]
        tables.concatenate_tables(files.join(work.staged, CATALOG_FILE), catalogs, CATALOG_SCHEMA)
        tables.concatenate_tables(files.join(work.staged, REJECTS_FILE), rejects, REJECTS_SCHEMA)
        check_rejects(sealed, self.max_reject_fraction, files.join(work.staged, REJECTS_FILE))
        shards = tuple(each.shard for each in sealed)
        commit(work.staged, self.manifest.with_shards(shards), (CATALOG_FILE, REJECTS_FILE))
        if absent := sum(each.absent for each in sealed):
            example = min(each.absent_example for each in sealed if each.absent_example)
            command.say(f"warning: no archive has {absent} of the clips that lists name, such as {example}")


def check_rejects(sealed: list[Sealed], max_fraction: float, table: str) -> None:
    """Make sure that no more files than allowed can't be used; silence that is cut here does not count.

    Raises:
        DataError: more can't be used.
    """
    rejected = sum(each.rejected for each in sealed)
    total = rejected + sum(each.used for each in sealed)
    if rejected > max_fraction * total:
        example = next(each.reject_example for each in sealed if each.reject_example)
        raise DataError(
            f"{rejected} of {total} files can't be used, more than max_reject_fraction {max_fraction}: "
            f"see {table}; the first is {example}"
        )


def _manifest(archives: tuple[Archive, ...], config: Ingest) -> Manifest:
    parameters: dict[str, Any] = {
        "second": config.second,
        "shards": config.shards,
        "silence": {"hop_ms": config.silence.hop_ms, "gain_db": list(config.silence.gain_db)},
        "seed": config.seed,
    }
    return Manifest(
        name=CLIPS_STORE,
        version=CLIPS_VERSION,
        definition=None,
        archives=archives,
        clip_parameters=parameters,
        task=None,
    )


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("raw")
@click.argument("clips")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
def main(raw: str, clips: str, beam_options: tuple[str, ...]) -> None:
    """Stream the archives in the folder RAW into the clip store CLIPS. Further options are Beam's own."""
    ingest(raw, clips, params.load("ingest", Ingest), beam_options)
    shards = read_manifest(clips).shards
    command.say(f"{clips}: {sum(shard.records for shard in shards)} clips in {len(shards)} shards")

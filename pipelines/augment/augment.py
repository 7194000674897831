"""The stage `augment`: copies of the train clips next to the originals, in a store of clips and a selection of its own.

Clip shards → the same shards with copies → the finished store → the selection that names it.
"""

from __future__ import annotations

import dataclasses
import posixpath
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
import click

from base import command, files, params
from base.claim import claimed, work_of_folder
from base.errors import DataError
from pipelines.augment.config import Augment, Kind, Noise, Room
from pipelines.augment.materials import impulse_response_files, write_noise
from pipelines.augment.multiply import Inputs, Multiplied, Multiply, part_path
from pipelines.engine import runner
from pipelines.engine.transforms import Commit, ShardMap
from pipelines.engine.work import Work, begin_store, finish, is_committed
from stores import tables, writing
from stores.catalog import CATALOG_SCHEMA
from stores.lineage import Task
from stores.manifest import AUGMENTATION, CATALOG_FILE, REJECTS_FILE, Manifest, read_manifest
from stores.selection import foreign_file as foreign_selection
from stores.selection import read_task, schema_of

CLIPS_FOLDER: Final = "clips"
SELECTION_FILE: Final = "selection.parquet"


def augment(
    clips: str, selection: str, output: str, kinds: tuple[Kind, ...], seed: int, beam_options: tuple[str, ...]
) -> None:
    """Make the store and the selection that hold the copies, too.

    Args:
        clips: the finished store of clips.
        selection: the table of (id, label, split).
        output: folder to write, `clips` and `selection.parquet` in it; its name is that of the recipe.
        kinds: the recipe's kinds of copies.
        seed: of the draws.
        beam_options: Beam's own options.

    Raises:
        DataError: an input is missing or damaged, the selection was made from other clips, the clips hold copies
            already, or what the copies are made with is missing.
    """
    engine = runner.prepare(beam_options)
    clips, selection, output = engine.place(clips), engine.place(selection), engine.place(output)
    source, task = read_manifest(clips), read_task(selection)
    if source.holds_copies:
        raise DataError(f"{clips} holds copies already: name the store of clips that `ingest` made")
    if task.clips_manifest_sha256 != source.sha256:
        raise DataError(f"{selection} was made from other clips than {clips}: run `python -m pipelines.select` again")
    manifest = _manifest(source, posixpath.basename(output), kinds, seed, files.sha256(selection))
    new_selection = files.join(output, SELECTION_FILE)
    store = files.join(output, CLIPS_FOLDER)

    def foreign() -> str | None:
        return writing.foreign_file(store, "copies") or foreign_selection(new_selection)

    with claimed(output, work_of_folder(output), foreign):
        work = begin_store(store, {"manifest": manifest.to_json(), "selection": new_selection})
        shards, catalog = len(source.shards), files.join(clips, CATALOG_FILE)
        placed = tuple(_placed(kind, engine) for kind in kinds)
        inputs = Inputs(clips, source.shards, catalog, selection, len(task.classes))
        make_output = MakeOutput(manifest, task, files.join(clips, REJECTS_FILE), new_selection)

        def progress() -> tuple[int, int]:
            return work.reports(Multiply.name), shards

        def build(pipeline: beam.Pipeline) -> None:
            _ = (
                pipeline
                | "Clip shards" >> beam.Create(range(shards))
                | "Spread over workers" >> beam.Reshuffle()
                | ShardMap(work, Multiply(inputs, placed, seed))
                | Commit(work, shards, make_output)
            )

        if not is_committed(work):
            if any(isinstance(kind, Noise) for kind in kinds):
                write_noise(clips, source, task, seed, work)
            engine.run(build, progress, "shard", "augment", work)
        finish(work)


def _placed(kind: Kind, engine: runner.Engine) -> Kind:
    """A kind of copies whose files all workers find."""
    if not isinstance(kind, Room) or kind.impulse_responses is None:
        return kind
    return dataclasses.replace(kind, impulse_responses=engine.place(kind.impulse_responses))


def _manifest(source: Manifest, recipe: str, kinds: tuple[Kind, ...], seed: int, selection_sha256: str) -> Manifest:
    """The manifest, still without shards: that of the clips, and all that decides the copies."""
    made: dict[str, Any] = {"recipe": recipe, **{kind.kind: params.to_plain(kind) for kind in kinds}, "seed": seed}
    for kind in kinds:
        if isinstance(kind, Room) and kind.impulse_responses is not None:
            made["impulse_responses"] = impulse_response_files(kind.impulse_responses)
    inputs = {"clips_manifest_sha256": source.sha256, "selection_sha256": selection_sha256}
    parameters = {**source.clip_parameters, AUGMENTATION: {**made, **inputs}}
    return dataclasses.replace(source, clip_parameters=parameters, shards=(), tables={})


@dataclass(frozen=True)
class MakeOutput:
    """Reports on all shards → the finished store, and the selection in its place.

    Attributes:
        manifest: of the store, still without shards.
        task: as the clips without copies were chosen.
        rejects: the table of files that became no clips.
        selection: the file to write.
    """

    manifest: Manifest
    task: Task
    rejects: str
    selection: str

    def __call__(self, multiplied: list[Multiplied], work: Work) -> None:
        """Write tables and metadata next to the shards, the manifest last, then the selection, which names it.

        A run that is interrupted between the two leaves a selection that no stage takes, since its clips are not in
        their place yet; the same command completes both.
        """
        parts = {
            table: [part_path(work, table, each.index) for each in multiplied] for table in ("catalog", "selection")
        }
        tables.concatenate_tables(files.join(work.staged, CATALOG_FILE), parts["catalog"], CATALOG_SCHEMA)
        with files.published(files.join(work.staged, REJECTS_FILE), concurrent=True) as file:
            file.write(files.read_bytes(self.rejects))
        shards = tuple(each.shard for each in multiplied)
        manifest = writing.commit(work.staged, self.manifest.with_shards(shards), (CATALOG_FILE, REJECTS_FILE))
        counts = dict(self.task.counts)
        counts["train"] = {
            name: counts["train"][name] + sum(each.copies[label] for each in multiplied)
            for label, name in enumerate(self.task.classes)
        }
        task = dataclasses.replace(self.task, counts=counts, clips_manifest_sha256=manifest.sha256)
        tables.concatenate_tables(self.selection, parts["selection"], schema_of(task))
        files.sync([self.selection, posixpath.dirname(self.selection)])


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("clips")
@click.argument("selection")
@click.argument("output")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
def main(clips: str, selection: str, output: str, beam_options: tuple[str, ...]) -> None:
    """Copy the train clips of CLIPS that SELECTION names, by the recipe that the folder OUTPUT is named after.

    OUTPUT gets the store `clips` and `selection.parquet`, which hold originals and copies; the stage `extract` reads
    them like those without copies. Recipes are declared in params.yaml under augment.recipes. Further options are
    Beam's own.
    """
    output, config = output.rstrip("/"), params.load("augment", Augment)
    name = posixpath.basename(output)
    if name not in config.recipes:
        raise DataError(
            f"{output}: no such recipe in params.yaml; augment.recipes declares {', '.join(config.recipes)}"
        )
    before = sum(read_task(selection).counts["train"].values())
    augment(clips, selection, output, config.recipes[name], config.seed, beam_options)
    after = sum(read_task(files.join(output, SELECTION_FILE)).counts["train"].values())
    command.say(f"{output}: {after} train clips, {after - before} of them copies")

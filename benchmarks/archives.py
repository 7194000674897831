"""Measures predict_archive on an archive of any number of clips, and a loop of librosa and Keras in the same run."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Final

import click

from base import command
from base.files import to_json, write_text
from benchmarks.enlarge import count_clips
from benchmarks.keras_loop import LABELS_FILE
from benchmarks.measure import machine
from benchmarks.pipelines import PROJECT, Checkout, Stage, enlarged, run_stage
from benchmarks.report import render

PIPELINE: Final = "predict_archive"
LOOP: Final = "tar → librosa → Keras on batches → CSV"


def stages(archive: Path, export: Path, model: Path, sample: int, workers: int | None) -> list[Stage]:
    """The two commands.

    Args:
        archive: of clips.
        export: folder of the model's export.
        model: folder of the trained model.
        sample: first clips of the archive that the loop takes.
        workers: processes of the pipeline, or None for its default.
    """
    options = () if workers is None else (f"--direct_num_workers={workers}",)
    arguments = ("serving.predict_archive", str(export), str(archive), f"pipeline/{LABELS_FILE}", *options)
    loop = ("benchmarks.keras_loop", str(archive), str(model), "loop", f"--clips={sample}")
    return [Stage(PIPELINE, arguments, "pipeline", _count_rows), Stage(LOOP, loop, "loop", _count_rows)]


def _count_rows(folder: Path) -> int:
    return len(_labels(folder))


def _labels(folder: Path) -> dict[str, str]:
    with (folder / LABELS_FILE).open(newline="") as file:
        return {row["fname"]: row["label"] for row in csv.DictReader(file)}


@click.command()
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path))
@click.argument("export", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.argument("model", type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path))
@click.option("--clips", type=click.IntRange(min=1), help="Enlarge the archive to this number of clips first.")
@click.option("--sample", type=click.IntRange(min=1), default=20_000, show_default=True, help="Clips of the loop.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default="benchmarks/results",
    show_default=True,
    help="Folder for the enlarged archive, which is kept, and for what the commands write, which is not.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes of the pipeline.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to this JSON file.")
def main(
    archive: Path,
    export: Path,
    model: Path,
    clips: int | None,
    sample: int,
    work: Path,
    workers: int | None,
    output: Path | None,
) -> None:
    """Label ARCHIVE, a .tar.gz of clips in the official layout, with EXPORT, and its first clips with MODEL itself."""
    work.mkdir(parents=True, exist_ok=True)
    facts = machine()
    if clips is not None:
        archive = enlarged(archive, clips, work)
    number, folder = clips or count_clips(archive), work / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    here = Checkout("", PROJECT, together=True)
    rows = [run_stage(each, folder, here) for each in stages(archive, export, model, min(sample, number), workers)]
    ours, theirs = _labels(folder / "pipeline"), _labels(folder / "loop")
    equal = sum(ours[name] == label for name, label in theirs.items())
    shutil.rmtree(folder)
    result = {"archive": archive.name, "clips": number, "workers": workers, "machine": facts}
    click.echo(render(rows, [], result))
    click.echo(f"Equal labels: {equal:,} of {len(theirs):,}. Start-up counts in both rows.")
    if output:
        write_text(str(output), to_json({**result, "equal": equal, "rows": [row.to_dict() for row in rows]}))


if __name__ == "__main__":
    command.run(main)

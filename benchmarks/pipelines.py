"""Measures the stages from archive to views on an archive of any number of clips, next to what users do today."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import pyarrow.parquet as pq
import yaml

from base import command, params
from base.errors import DataError
from base.files import sha256, to_json, write_text
from benchmarks.enlarge import RECIPE, count_clips, enlarge
from benchmarks.measure import WORK_SECONDS_FILE, machine, measure
from benchmarks.report import Row, render, total
from pipelines.archives import write_corpus
from pipelines.extract.extract import Extract
from readers.store import open_store
from stores.lineage import Archive

PROJECT: Final = Path(__file__).resolve().parents[1]
CLIPS_PER_SHARD: Final = 1_500
FEWEST_SHARDS, MOST_SHARDS = 16, 4_096
ALL_COMMANDS: Final = "archive → clips → views, all commands"
_TASK: Final = "every_clip"


@dataclass(frozen=True)
class Stage:
    """A command to measure: its output is counted and weighed.

    Attributes:
        name: as the table calls it.
        arguments: of `python -m`; paths are relative to the work folder.
        output: file or folder that it writes.
        count: the clips in that output.
    """

    name: str
    arguments: tuple[str, ...]
    output: str
    count: Callable[[Path], int]


def stages(views: tuple[str, ...], workers: int | None) -> list[Stage]:
    """The project's own commands, as a user runs them.

    Args:
        views: views to extract.
        workers: worker processes of `ingest` and `extract`, or None for their default.
    """
    options = () if workers is None else (f"--direct_num_workers={workers}",)
    extracts = [
        Stage(
            f"extract {view}",
            ("pipelines.extract", "clips", "selection.parquet", f"features/{view}", *options),
            f"features/{view}",
            _count_store,
        )
        for view in views
    ]
    return [
        Stage("ingest", ("pipelines.ingest", "raw", "clips", *options), "clips", _count_store),
        Stage("select", ("pipelines.select", "clips", "selection.parquet"), "selection.parquet", _count_rows),
        *extracts,
    ]


def baselines(archive: str, views: tuple[str, ...], clips: int) -> list[Stage]:
    """What users do today, on the first clips of the same archive."""

    def baseline(name: str, method: str) -> Stage:
        options = (f"--clips={clips}", f"--views={','.join(views)}")
        return Stage(name, ("benchmarks.baselines", method, archive, method, *options), method, lambda _: clips)

    return [
        baseline("librosa loop → one .npz a clip", "loop"),
        baseline("Beam elements → librosa → WriteToTFRecord", "beam"),
    ]


def _count_store(path: Path) -> int:
    return sum(shard.records for shard in open_store(str(path)).manifest.shards)


def _count_rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder and below."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def run_stage(stage: Stage, folder: Path) -> Row:
    """Run and measure one command in a folder; the rate of a baseline leaves its start-up out, in its favor."""
    command.say(f"{stage.name}: python -m {' '.join(stage.arguments)}")
    took = measure([sys.executable, "-m", *stage.arguments], folder, {"PYTHONPATH": str(PROJECT)})
    output = folder / stage.output
    work_seconds = output / WORK_SECONDS_FILE
    start_up_seconds = took.seconds - float(work_seconds.read_text()) if work_seconds.exists() else 0.0
    return Row(stage.name, stage.count(output), took, size_of(output), start_up_seconds)


def parameters(content: dict[str, Any], clips: int) -> dict[str, Any]:
    """The project's parameters, changed so that every clip reaches every view.

    Args:
        content: params.yaml.
        clips: clips of the archive; they decide the number of shards.
    """
    shards = min(max(FEWEST_SHARDS, round(clips / CLIPS_PER_SHARD)), MOST_SHARDS)
    tasks = {**content["select"]["tasks"], _TASK: {"words": "all", "silence": True, "unknown": False}}
    return {
        **content,
        "ingest": {**content["ingest"], "shards": shards},
        "select": {**content["select"], "task": _TASK, "tasks": tasks, "silence": 1.0},
    }


def prepare(folder: Path, archive: Path, clips: int) -> None:
    """Fill a new folder with what the stages read: parameters, and the archive as the stage `corpus` leaves it."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    content = parameters(params.read_yaml(PROJECT / params.PARAMS_FILE), clips)
    (folder / params.PARAMS_FILE).write_text(yaml.safe_dump(content))
    (raw / archive.name).symlink_to(archive)
    described = Archive(archive.name, "main", archive.stat().st_size, sha256(str(archive)), "local", None)
    write_corpus(str(raw), [described])


def enlarged(archive: Path, clips: int, work: Path) -> Path:
    """The archive of a number of clips in the work folder, made unless it is there."""
    origin = hashlib.sha256(f"{RECIPE} {sha256(str(archive))}".encode()).hexdigest()
    target = work / f"enlarged_{origin[:8]}_{clips}.tar.gz"
    if target.exists():
        command.say(f"{target}: taken from an earlier run")
        return target
    enlarge(archive, target, clips)
    command.say(f"{target}: {clips} clips, {target.stat().st_size} bytes")
    return target


def check_views(names: tuple[str, ...]) -> None:
    """Refuse views that params.yaml does not declare."""
    declared = params.load("extract", Extract, PROJECT / params.PARAMS_FILE).views
    unknown = [name for name in names if name not in declared]
    if unknown:
        raise DataError(f"no view {', '.join(unknown)} in params.yaml; extract.views declares {', '.join(declared)}")


@click.command()
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path))
@click.option("--clips", type=click.IntRange(min=1), help="Enlarge the archive to this number of clips first.")
@click.option("--views", default="mfcc,spectrogram", show_default=True, help="Views of params.yaml, divided by commas.")
@click.option(
    "--baselines/--no-baselines", "compare", default=True, show_default=True, help="Measure what users do today."
)
@click.option("--sample", type=click.IntRange(min=1), default=2_000, show_default=True, help="Clips of the baselines.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default="benchmarks/results",
    show_default=True,
    help="Folder for the enlarged archive, which is kept, and for what the stages write, which is not.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Worker processes of ingest and extract.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to this JSON file.")
def main(
    archive: Path,
    clips: int | None,
    views: str,
    compare: bool,
    sample: int,
    work: Path,
    workers: int | None,
    output: Path | None,
) -> None:
    """Measure the pipelines on ARCHIVE, a .tar.gz of clips in the official layout."""
    names = tuple(views.split(","))
    check_views(names)
    work.mkdir(parents=True, exist_ok=True)
    facts = machine()
    if clips is not None:
        archive = enlarged(archive, clips, work)
    word_clips = clips or count_clips(archive)
    folder = work / "run"
    shutil.rmtree(folder, ignore_errors=True)
    prepare(folder, archive, word_clips)
    rows = [run_stage(stage, folder) for stage in stages(names, workers)]
    rows.append(total(ALL_COMMANDS, rows, word_clips))
    if compare:
        rows += [run_stage(stage, folder) for stage in baselines(str(archive), names, min(sample, word_clips))]
    shutil.rmtree(folder)
    result = {"archive": archive.name, "word_clips": word_clips, "views": names, "workers": workers, "machine": facts}
    click.echo(render(rows, result))
    if output:
        write_text(str(output), to_json({**result, "rows": [row.to_dict() for row in rows]}))


if __name__ == "__main__":
    command.run(main)

"""Measures the stages from archive to views on an archive of any number of clips, next to what users do today."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
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
from benchmarks.report import ALL_COMMANDS, Limit, Row, render, total
from pipelines.extract.extract import Extract
from readers.store import open_store
from stores.manifest import MANIFEST_FILE

PROJECT: Final = Path(__file__).resolve().parents[1]
CLIPS_PER_SHARD: Final = 1_500
FEWEST_SHARDS, MOST_SHARDS = 16, 4_096
COMMAND_MODULES: Final = ("pipelines.ingest.ingest", "pipelines.select.select", "pipelines.extract.extract")
BASELINES: Final = {"loop": "librosa loop → one .npz a clip", "beam": "Beam elements → librosa → WriteToTFRecord"}
_TASK: Final = "every_clip"
_DESCRIBE: Final = """
import sys
from pipelines.archives import write_corpus
from stores.lineage import Archive
raw, file, size, sha256 = sys.argv[1:]
write_corpus(raw, [Archive(file, "main", int(size), sha256, "local", None)])
"""
"""Writes corpus.json as the code of the working folder does."""


@dataclass(frozen=True)
class Checkout:
    """A checkout of the project whose commands are measured.

    Attributes:
        label: what the names of its rows begin with.
        root: its folder.
        together: whether one command extracts all views, or one command each.
    """

    label: str
    root: Path
    together: bool

    @property
    def python(self) -> str:
        """The interpreter of its own environment where it has one, else the one that runs this."""
        own = self.root / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable


@dataclass(frozen=True)
class Workload:
    """What the commands work on.

    Attributes:
        archive: the archive.
        clips: its clips of words.
        views: views to extract.
        workers: worker processes of `ingest` and `extract`, or None for their default.
    """

    archive: Path
    clips: int
    views: tuple[str, ...]
    workers: int | None


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


def stages(checkout: Checkout, workload: Workload) -> list[Stage]:
    """The commands of a checkout, as a user runs them."""
    options = () if workload.workers is None else (f"--direct_num_workers={workload.workers}",)
    groups = [workload.views] if checkout.together else [(view,) for view in workload.views]
    extracts = [
        Stage(
            f"{checkout.label}extract {' + '.join(group)}",
            ("pipelines.extract", "clips", "selection.parquet", *(f"features/{view}" for view in group), *options),
            f"features/{group[0]}" if len(group) == 1 else "features",
            _count_store,
        )
        for group in groups
    ]
    return [
        Stage(f"{checkout.label}ingest", ("pipelines.ingest", "raw", "clips", *options), "clips", _count_store),
        Stage(
            f"{checkout.label}select",
            ("pipelines.select", "clips", "selection.parquet"),
            "selection.parquet",
            _count_rows,
        ),
        *extracts,
    ]


def baselines(names: tuple[str, ...], archive: str, views: tuple[str, ...], clips: int) -> list[Stage]:
    """What users do today, on the first clips of the same archive; names are those of BASELINES."""

    def baseline(name: str, method: str) -> Stage:
        options = (f"--clips={clips}", f"--views={','.join(views)}")
        return Stage(name, ("benchmarks.baselines", method, archive, method, *options), method, lambda _: clips)

    return [baseline(BASELINES[name], name) for name in names]


def _count_store(path: Path) -> int:
    """Clips in a store, in a view's one version, or in the first of several views."""
    while not (path / MANIFEST_FILE).exists():
        path = min(each for each in path.iterdir() if each.is_dir())
    return sum(shard.records for shard in open_store(str(path)).manifest.shards)


def _count_rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder and below."""
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def run_stage(stage: Stage, folder: Path, checkout: Checkout) -> Row:
    """Run and measure one command in a folder; the rate of a baseline leaves its start-up out, in its favor."""
    command.say(f"{stage.name}: python -m {' '.join(stage.arguments)}")
    took = measure([checkout.python, "-m", *stage.arguments], folder, {"PYTHONPATH": str(checkout.root)})
    output = folder / stage.output
    work_seconds = output / WORK_SECONDS_FILE
    start_up_seconds = took.seconds - float(work_seconds.read_text()) if work_seconds.exists() else 0.0
    return Row(stage.name, stage.count(output), took, size_of(output), start_up_seconds)


def run_all(checkout: Checkout, workload: Workload, folder: Path) -> list[Row]:
    """Run and measure all commands of a checkout in a new folder, which then holds what they wrote."""
    shutil.rmtree(folder, ignore_errors=True)
    prepare(folder, workload.archive, workload.clips, checkout.root)
    rows = [run_stage(stage, folder, checkout) for stage in stages(checkout, workload)]
    return [*rows, total(f"{checkout.label}{ALL_COMMANDS}", rows, workload.clips)]


def limits(workload: Workload, folder: Path, clips: int) -> list[Limit]:
    """What no pipeline can be faster than.

    Args:
        workload: what the commands worked on.
        folder: the folder in which they have run.
        clips: clips that were extracted, silence included.
    """
    written = size_of(folder / "clips") + size_of(folder / "features")
    parts = {
        "unpack the archive": ("unpack", str(workload.archive)),
        f"front end, {clips:,} clips": ("front-end", ",".join(workload.views), str(clips)),
        f"write {written:,} bytes": ("write", str(written)),
        **{f"import {module}": ("imports", module) for module in COMMAND_MODULES},
    }
    found = []
    for name, arguments in parts.items():
        output = folder / "limit"
        shutil.rmtree(output, ignore_errors=True)
        measure([sys.executable, "-m", "benchmarks.limits", *arguments, "limit"], folder, {"PYTHONPATH": str(PROJECT)})
        found.append(Limit(name, float((output / WORK_SECONDS_FILE).read_text())))
        shutil.rmtree(output)
    return found


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


def prepare(folder: Path, archive: Path, clips: int, root: Path = PROJECT) -> None:
    """Fill a new folder with what the stages read: a checkout's parameters, and the archive as `corpus` leaves it."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    content = parameters(params.read_yaml(root / params.PARAMS_FILE), clips)
    (folder / params.PARAMS_FILE).write_text(yaml.safe_dump(content))
    (raw / archive.name).symlink_to(archive)
    described = (archive.name, str(archive.stat().st_size), sha256(str(archive)))
    subprocess.run([sys.executable, "-c", _DESCRIBE, str(raw), *described], cwd=root, check=True)


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
    "--baselines",
    "compared",
    default="loop,beam",
    show_default=True,
    help="What users do today: loop, beam, both divided by a comma, or an empty text.",
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
@click.option(
    "--before",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Another checkout of the project, such as a git worktree, whose commands are measured in the same run.",
)
@click.option("--limits", "with_limits", is_flag=True, help="Measure parts of the work by themselves, too.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures to this JSON file.")
def main(
    archive: Path,
    clips: int | None,
    views: str,
    compared: str,
    sample: int,
    work: Path,
    workers: int | None,
    before: Path | None,
    with_limits: bool,
    output: Path | None,
) -> None:
    """Measure the pipelines on ARCHIVE, a .tar.gz of clips in the official layout."""
    names, methods = tuple(views.split(",")), tuple(filter(None, compared.split(",")))
    check_views(names)
    if unknown := set(methods) - set(BASELINES):
        raise DataError(f"--baselines: got {', '.join(sorted(unknown))}, expected some of {', '.join(BASELINES)}")
    work.mkdir(parents=True, exist_ok=True)
    facts = machine()
    if clips is not None:
        archive = enlarged(archive, clips, work)
    workload = Workload(archive, clips or count_clips(archive), names, workers)
    folder, now = work / "run", Checkout("", PROJECT, together=True)
    rows = [] if before is None else run_all(Checkout("before: ", before, together=False), workload, folder)
    rows += run_all(now, workload, folder)
    found = limits(workload, folder, rows[-2].clips) if with_limits else []
    for baseline in baselines(methods, str(archive), names, min(sample, workload.clips)):
        rows.append(run_stage(baseline, folder, now))
    shutil.rmtree(folder)
    result = {**asdict(workload), "archive": archive.name, "machine": facts}
    click.echo(render(rows, found, result))
    if output:
        figures = {"rows": [row.to_dict() for row in rows], "limits": [asdict(each) for each in found]}
        write_text(str(output), to_json({**result, **figures}))


if __name__ == "__main__":
    command.run(main)

"""The matrix of engines: the same stages on each that can be had here, with kills, and the same bytes or not."""

from __future__ import annotations

import fnmatch
import hashlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import psutil
from tabulate import tabulate

from base import command, files
from base.errors import DataError
from base.remote_folders import below
from benchmarks.engine_targets import TARGETS, Running, Target
from benchmarks.enlarge import count_clips
from benchmarks.installed import install
from benchmarks.measure import machine
from benchmarks.pipelines import prepare

_STAGE_SECONDS: Final = 1_500
_RSS_INTERVAL_S: Final = 0.5
_FIRST_REPORTS: Final = {"ingest": "clips/_work/*/seal-*.json", "extract": "features/*/_work/*/featurize-*.json"}
"""Stages that are killed → what is there once they are in the middle of their work."""


@dataclass(frozen=True)
class Row:
    """What was seen of an engine.

    Attributes:
        target: the engine.
        seconds: of ingest, select and extract.
        peak_bytes: largest sum of the resident memory of all processes of stages and engine at one moment.
        files: path → SHA-256 of all that the stages wrote.
        survived: kills after which the files were the same.
        kills: all of them.
        verified: whether `verify` found nothing.
    """

    target: Target
    seconds: dict[str, float]
    peak_bytes: int
    files: dict[str, str]
    survived: int
    kills: int
    verified: bool


class Bench:
    """A folder with an archive, the commands that run in it, and where these write."""

    def __init__(self, folder: Path, root: str, python: Path, archive: Path, views: Sequence[str]) -> None:
        """Prepare empty folders.

        Args:
            folder: of this machine, for the archive and the logs.
            root: folder of any storage, for all that the stages write.
            python: of the installed package.
            archive: to be read.
            views: to be made.
        """
        shutil.rmtree(folder, ignore_errors=True)
        files.remove(root)
        prepare(folder, archive, count_clips(archive))
        self.folder, self._root, self._python = folder, root, python
        clips, selection = f"{root}/clips", f"{root}/selection.parquet"
        stores = tuple(f"{root}/features/{view}" for view in views)
        self.stages = {
            "ingest": ("pipelines.ingest", "raw", clips),
            "select": ("pipelines.select", clips, selection),
            "extract": ("pipelines.extract", clips, selection, *stores),
        }

    def start(self, stage: str, options: Sequence[str]) -> subprocess.Popen[str]:
        """Start a stage by the installed package."""
        arguments = [str(self._python), "-m", *self.stages[stage], *options]
        with open(self.folder / f"{stage}.log", "a") as log:
            return subprocess.Popen(arguments, cwd=self.folder, stdout=log, stderr=log, text=True)

    def run(self, stage: str, options: Sequence[str]) -> float:
        """Run a stage to its end; its seconds.

        Raises:
            DataError: it failed, or did not end.
        """
        began = time.monotonic()
        self.end(self.start(stage, options), stage)
        return time.monotonic() - began

    def end(self, process: subprocess.Popen[str], stage: str) -> None:
        """Wait for the end of a stage.

        Raises:
            DataError: it failed, or did not end.
        """
        try:
            code = process.wait(_STAGE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise DataError(f"{stage} did not end within {_STAGE_SECONDS} s") from None
        if code:
            said = (self.folder / f"{stage}.log").read_text().strip().splitlines()
            raise DataError(f"{stage} ended with {code}: {said[-1] if said else ''}")

    def names(self) -> list[str]:
        """The paths of all that the stages wrote, hidden and unfinished files too, below the root."""
        if files.is_remote(self._root):
            written = below(self._root)
        else:
            written = [str(path) for path in Path(self._root).rglob("*") if path.is_file()]
        return sorted(path.removeprefix(f"{self._root}/") for path in written)

    def files(self) -> dict[str, str]:
        """All that the stages wrote: path → SHA-256."""
        return {name: hashlib.sha256(files.read_bytes(f"{self._root}/{name}")).hexdigest() for name in self.names()}

    def has_begun(self, stage: str) -> bool:
        """Whether a stage is in the middle of its work."""
        return bool(fnmatch.filter(self.names(), _FIRST_REPORTS[stage]))

    def verified(self) -> bool:
        """Whether `verify` finds nothing in any store."""
        stores = [name.removesuffix("manifest.json") for name in self.names() if name.endswith("/manifest.json")]
        done = [
            subprocess.run(
                [str(self._python), "-m", "registry", "verify", f"{self._root}/{store}"],
                capture_output=True,
                check=False,
            )
            for store in stores
        ]
        return bool(stores) and not any(each.returncode for each in done)

    def remove(self, stage: str) -> None:
        """Delete what a stage wrote."""
        output = {"ingest": "clips", "extract": "features"}[stage]
        files.remove(f"{self._root}/{output}")


@contextmanager
def memory_peak() -> Iterator[list[int]]:
    """The largest resident memory of all processes below this one in the block, in bytes, as the only entry."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(_RSS_INTERVAL_S):
            total = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    total += process.memory_info().rss
                except psutil.Error:
                    continue
            peak[0] = max(peak[0], total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def kill(bench: Bench, target: Target, running: Running, stage: str, victim: str) -> None:
    """Run a stage and kill something of its engine once the first of its items is finished.

    Raises:
        DataError: the stage failed where its engine goes on, or the command that resumes it did.
    """
    process = bench.start(stage, running.options)
    while not bench.has_begun(stage):
        if process.poll() is not None:
            bench.end(process, stage)
            raise DataError(f"{stage} had ended before the {victim} was killed: take a larger archive")
        time.sleep(0.01)
    if victim == "worker":
        running.workers()[0].kill()
    else:
        assert running.cluster is not None
        running.cluster.kill_task_manager()
        running.cluster.start_task_manager()
    if target.goes_on:
        bench.end(process, stage)
    elif process.wait(_STAGE_SECONDS):
        bench.run(stage, running.options)


def try_target(target: Target, bench: Bench, python: Path, expected: dict[str, str] | None, kills: bool) -> Row:
    """Run the stages on an engine, and again with kills.

    Args:
        target: the engine.
        bench: an empty folder.
        python: of the installed package.
        expected: the files of the engine before, or None.
        kills: whether to kill.

    Raises:
        DataError: it can't be had here, or a stage failed.
    """
    place = bench.folder.with_name(f"{bench.folder.name}-engine")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    survived = done = 0
    with memory_peak() as peak, target.start(place, python) as running:
        seconds = {stage: bench.run(stage, running.options) for stage in bench.stages}
        made, highest = bench.files(), peak[0]
        verified = bench.verified()
        for stage, victim in [(stage, victim) for stage in _FIRST_REPORTS for victim in target.victims if kills]:
            bench.remove(stage)
            done += 1
            try:
                kill(bench, target, running, stage, victim)
                same = bench.files() == (expected or made)
                survived += same and bench.verified()
                command.say(f"{target.name}: {victim} killed in {stage}: {'same bytes' if same else 'OTHER BYTES'}")
            except DataError as error:
                command.say(f"{target.name}: {victim} killed in {stage}: {error}")
                bench.remove(stage)
                bench.run(stage, ())
    return Row(target, seconds, highest, made, survived, done, verified)


def render(rows: Sequence[Row], skipped: dict[str, str], archive: Path) -> str:
    """The matrix as Markdown."""
    first, facts = rows[0], machine()
    table = [
        {
            "engine": row.target.name,
            "workers": row.target.starts,
            **{f"{stage}, s": f"{seconds:.0f}" for stage, seconds in row.seconds.items()},
            "peak, MB": f"{row.peak_bytes / 1e6:,.0f}",
            "files the same": f"{sum(first.files.get(p) == d for p, d in row.files.items())} of {len(first.files)}"
            + (
                "" if row.files.keys() <= first.files.keys() else f", {len(row.files.keys() - first.files.keys())} more"
            ),
            "kills survived": f"{row.survived} of {row.kills}" if row.kills else "",
            "verify": "ok" if row.verified else "FAILED",
        }
        for row in rows
    ]
    versions = "\n".join(f"- {row.target.name}: {row.target.versions}" for row in rows)
    absent = "\n".join(f"- {TARGETS[name].name}: {why}" for name, why in skipped.items())
    return (
        f"{tabulate(table, headers='keys', tablefmt='pipe', disable_numparse=True)}\n\n"
        f"{archive.name}, {facts['cores']} cores, load before {facts['load_before']:.1f}.\n\n{versions}\n"
        + (f"\nSkipped:\n\n{absent}\n" if absent else "")
    )


@click.command()
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path))
@click.option("--target", "names", multiple=True, type=click.Choice(list(TARGETS)), help="Only these; all by default.")
@click.option("--views", default="mfcc,spectrogram", show_default=True, help="Views of params.yaml, divided by commas.")
@click.option("--kills/--no-kills", default=True, show_default=True, help="Kill workers and task managers, too.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, resolve_path=True, path_type=Path),
    default="benchmarks/results/engines",
    show_default=True,
    help="Folder for what engines and stages write; it is cleared.",
)
@click.option("--storage", help="Folder on a disk or elsewhere, such as s3://BUCKET/FOLDER, for stores; it is cleared.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the table to this file, too.")
def main(
    archive: Path,
    names: tuple[str, ...],
    views: str,
    kills: bool,
    work: Path,
    storage: str | None,
    output: Path | None,
) -> None:
    """Run the stages on ARCHIVE, a .tar.gz in the official layout, on each engine that can be had here.

    The first engine makes the files that the others are compared with. What can't be had is named with the reason.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    python, rows, skipped = install(work / "environment"), list[Row](), dict[str, str]()
    for name in names or TARGETS:
        try:
            root = f"{storage or work / 'stores'}/{name}"
            bench = Bench(work / name, root, python, archive, views.split(","))
            row = try_target(TARGETS[name], bench, python, rows[0].files if rows else None, kills)
        except DataError as error:
            skipped[name] = str(error)
            command.say(f"SKIPPED {TARGETS[name].name}: {error}")
            continue
        rows.append(row)
        if output:
            files.write_text(str(output), render(rows, skipped, archive))
        shutil.rmtree(work / name)
        files.remove(root)
        command.say(f"{row.target.name}: {sum(row.seconds.values()):.0f} s, {len(row.files)} files")
    if not rows:
        raise DataError("no engine could be had here: the lines above say why")
    text = render(rows, skipped, archive)
    click.echo(text)
    if output:
        files.write_text(str(output), text)
    if any(row.files != rows[0].files or row.survived < row.kills or not row.verified for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    command.run(main)

"""What no pipeline can be faster than on this machine: unpacking, front end, writing, and imports, each by itself."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click
import numpy as np
from isal import igzip_threaded

from base import command, files, params
from benchmarks.measure import WORK_SECONDS_FILE
from features import frontend
from features.views import CLIP_SAMPLES, View

_CHUNK_BYTES: Final = 1 << 20
_FILE_BYTES: Final = 50_000_000
_DIFFERENT_CLIPS: Final = 256


def unpack(archive: Path) -> None:
    """Read an archive to its end, as ingest unpacks it, and drop what comes."""
    with igzip_threaded.open(archive, "rb", threads=1) as unpacked:  # type: ignore[no-untyped-call]
        while unpacked.read(_CHUNK_BYTES):
            pass


def write(folder: Path, count: int) -> None:
    """Write a number of bytes into files as large as shards."""
    chunk = bytes(_CHUNK_BYTES)
    for start in range(0, count, _FILE_BYTES):
        left = min(_FILE_BYTES, count - start)
        with open(folder / f"{start}", "wb", buffering=0) as file:
            while left > 0:
                left -= file.write(chunk[:left])


def compute(views: dict[str, View], clips: int) -> None:
    """Compute views of a number of clips in one process; noise, for the time does not depend on what is heard."""
    generator = np.random.Generator(np.random.PCG64(0))
    some = generator.integers(-3_000, 3_001, (_DIFFERENT_CLIPS, CLIP_SAMPLES)).astype(np.int16)
    for start in range(0, clips, frontend.CLIPS_AT_ONCE):
        places = np.arange(start, min(start + frontend.CLIPS_AT_ONCE, clips)) % _DIFFERENT_CLIPS
        for view in views.values():
            frontend.compute(view, some[places])


@click.group()
def main() -> None:
    """Do one part of the work by itself; each command leaves its seconds in the folder OUTPUT."""


def _timed(output: Path, started: float) -> None:
    seconds = time.perf_counter() - started
    output.mkdir(parents=True, exist_ok=True)
    files.write_text(str(output / WORK_SECONDS_FILE), f"{seconds}\n")


@main.command("unpack")
@click.argument("archive", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def unpack_command(archive: Path, output: Path) -> None:
    """Unpack ARCHIVE and drop what comes."""
    started = time.perf_counter()
    unpack(archive)
    _timed(output, started)


@main.command("write")
@click.argument("count", type=click.IntRange(min=1), metavar="BYTES")
@click.argument("output", type=click.Path(path_type=Path))
def write_command(count: int, output: Path) -> None:
    """Write BYTES bytes."""
    output.mkdir(parents=True)
    started = time.perf_counter()
    write(output, count)
    _timed(output, started)


@main.command("front-end")
@click.argument("views")
@click.argument("clips", type=click.IntRange(min=1))
@click.argument("output", type=click.Path(path_type=Path))
def front_end_command(views: str, clips: int, output: Path) -> None:
    """Compute VIEWS of params.yaml, divided by commas, of a number of CLIPS."""
    declared: dict[str, View] = params.load("extract.views", dict[str, View])
    chosen = {name: declared[name] for name in views.split(",")}
    compute(chosen, 1)
    started = time.perf_counter()
    compute(chosen, clips)
    _timed(output, started)


@main.command("imports")
@click.argument("module")
@click.argument("output", type=click.Path(path_type=Path))
def imports_command(module: str, output: Path) -> None:
    """Import MODULE and all that it needs in a process that has nothing yet, from its start on."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    _timed(output, started)


if __name__ == "__main__":
    command.run(main)

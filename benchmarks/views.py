"""Compares each view with its source on the clips of an archive, and measures the speed of both; prints a table.

python -m benchmarks.views ARCHIVE.tar.gz [--clips 200]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from base import params
from base.errors import DataError
from benchmarks.oracles import ORACLES
from features.audio import pad_or_trim
from features.audio_file import decode
from features.frontend import compute
from features.views import View
from pipelines.ingest.archive import read_members

Clips = npt.NDArray[np.int16]
Features = npt.NDArray[Any]


def spread_clips(archive: Path, count: int) -> Clips:
    """Clips of words from all over an archive, every n-th in its order; int16, (count, 16000).

    Raises:
        DataError: the archive has fewer.
    """
    with archive.open("rb") as file:
        members = read_members(file, archive.name)
        wavs = [
            each.data for each in members if each.data and each.name.endswith(".wav") and "_noise_" not in each.name
        ]
    if len(wavs) < count:
        raise DataError(f"{archive} has {len(wavs)} clips, expected at least {count}: ask for fewer")
    chosen = islice(wavs, 0, None, len(wavs) // count)
    return np.stack([pad_or_trim(decode(wav).samples)[0] for wav in islice(chosen, count)])


def largest_difference(found: Features, expected: Features) -> float:
    """The largest difference of two arrays, as a part of the largest expected value."""
    wide = expected.astype(np.float64)
    return float(np.max(np.abs(found - wide)) / np.max(np.abs(wide)))


def clips_a_second(function: Callable[[], object], clips: int) -> float:
    """Speed of a second run; the first compiles and fills tables."""
    function()
    begin = time.perf_counter()
    function()
    return clips / (time.perf_counter() - begin)


def row(name: str, view: View, clips: Clips) -> str:
    """The line of a view: its source, how far apart they are, cells that are equal, and the speed of both."""
    oracle = ORACLES[name]
    expected = np.stack([oracle.compute(clip) for clip in clips])
    found = compute(view, clips)
    equal = np.count_nonzero(found == expected) / found.size
    own = clips_a_second(lambda: compute(view, clips), len(clips))
    other = clips_a_second(lambda: [oracle.compute(clip) for clip in clips], len(clips))
    difference = largest_difference(found, expected)
    return f"| `{name}` | {oracle.source} | {len(clips)} | {difference:.1e} | {equal:.1%} | {own:,.0f} | {other:,.0f} |"


@click.command(help=__doc__)
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--clips", "count", type=click.IntRange(1), default=200, show_default=True)
def main(archive: Path, count: int) -> None:
    views = params.load("extract.views", dict[str, View])
    clips = spread_clips(archive, count)
    click.echo("| view | equal to | clips | largest difference | equal cells | clips/s | its source, clips/s |")
    click.echo("|---|---|---:|---:|---:|---:|---:|")
    for name in ORACLES:
        click.echo(row(name, views[name], clips))


if __name__ == "__main__":
    sys.exit(main())

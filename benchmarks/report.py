"""The table of a benchmark: a row for each command, with rates, peaks of memory and bytes for each clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tabulate import tabulate

from benchmarks.measure import PSS_INTERVAL_S, RSS_INTERVAL_S, Measurement

ALL_COMMANDS: Final = "archive → clips → views, all commands"
"""The row that is the sum of others."""

_MB: Final = 1e6
HEADERS: Final = ("stage", "clips", "seconds", "CPU s", "clips/s", "peak MB (RSS)", "peak MB (PSS)", "bytes/clip")
LIMIT_HEADERS: Final = ("by itself, in one process, without its start", "seconds")
_COLUMNS: Final = ("left", *("right",) * (len(HEADERS) - 1))


@dataclass(frozen=True)
class Row:
    """What one command took.

    Attributes:
        stage: its name.
        clips: clips in its output.
        measurement: time and memory.
        bytes: bytes in its output.
        start_up_seconds: seconds that its rate leaves out.
    """

    stage: str
    clips: int
    measurement: Measurement
    bytes: int
    start_up_seconds: float = 0.0

    @property
    def clips_per_second(self) -> float:
        """Clips divided by the seconds after the start-up."""
        return self.clips / (self.measurement.seconds - self.start_up_seconds)

    def to_dict(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {
            "stage": self.stage,
            "clips": self.clips,
            **asdict(self.measurement),
            "start_up_seconds": self.start_up_seconds,
            "clips_per_second": self.clips_per_second,
            "bytes_per_clip": self.bytes / self.clips,
        }


@dataclass(frozen=True)
class Limit:
    """A part of the work by itself, without the start of its process.

    Attributes:
        name: what was done.
        seconds: what it took.
    """

    name: str
    seconds: float


def total(name: str, rows: Sequence[Row], clips: int) -> Row:
    """Commands run one after the other as one row: sums of times and bytes, the largest of the peaks.

    Args:
        name: of the row.
        rows: of the commands.
        clips: what went through all of them.
    """
    each = [row.measurement for row in rows]
    pss = [one.peak_pss_bytes for one in each if one.peak_pss_bytes is not None]
    sums = Measurement(
        sum(one.seconds for one in each),
        sum(one.cpu_seconds for one in each),
        max(one.peak_rss_bytes for one in each),
        max(pss, default=None),
    )
    return Row(name, clips, sums, sum(row.bytes for row in rows))


def render(rows: Sequence[Row], limits: Sequence[Limit], facts: Mapping[str, Any]) -> str:
    """The tables with the facts that they depend on.

    Args:
        rows: one for each line.
        limits: what no pipeline can be faster than, if that was measured.
        facts: "archive", "clips" and "machine" (`measure.machine()`).
    """
    table = tabulate([_cells(row) for row in rows], HEADERS, colalign=_COLUMNS, disable_numparse=True)
    return "\n".join([*_heading(facts), "", table, "", *_limits(limits), *_notes(rows)])


def _limits(limits: Sequence[Limit]) -> list[str]:
    if not limits:
        return []
    cells = [(each.name, f"{each.seconds:,.1f}") for each in limits]
    table = tabulate(cells, LIMIT_HEADERS, colalign=("left", "right"), disable_numparse=True)
    return [table, ""]


def _cells(row: Row) -> tuple[str, ...]:
    took = row.measurement
    return (
        row.stage,
        f"{row.clips:,}",
        f"{took.seconds:,.1f}",
        f"{took.cpu_seconds:,.1f}",
        f"{row.clips_per_second:,.0f}",
        f"{took.peak_rss_bytes / _MB:,.0f}",
        "" if took.peak_pss_bytes is None else f"{took.peak_pss_bytes / _MB:,.0f}",
        f"{row.bytes / row.clips:,.0f}",
    )


def _heading(facts: Mapping[str, Any]) -> list[str]:
    machine = facts["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return [
        f"{facts['archive']}: {facts['clips']:,} clips of words",
        f"{machine['cores']} cores, {machine['cpu']}, {machine['memory_bytes'] / 2**30:.0f} GiB, "
        f"load {machine['load_before']:.1f} before the start",
        f"{machine['system']}, Python {machine['python']}, {packages}",
    ]


def _notes(rows: Sequence[Row]) -> list[str]:
    sums = any(ALL_COMMANDS in row.stage for row in rows)
    notes = [
        "Each row is a command of its own, measured from outside, from start to end."
        + (
            " The row of all commands counts the archive's clips only, not the silence that ingest cuts."
            if sums
            else ""
        ),
        f"Peaks are sums over all processes of a command at one moment. RSS (every {RSS_INTERVAL_S:g} s) counts pages "
        f"that processes share once for each, PSS (every {PSS_INTERVAL_S:g} s) once in all.",
    ]
    favored = [f"{row.stage}: {row.start_up_seconds:.1f} s" for row in rows if row.start_up_seconds]
    if favored:
        notes.append(
            "The last rows take the archive's first clips; "
            f"their clips/s leave their start-up out ({'; '.join(favored)})."
        )
    return notes

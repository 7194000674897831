"""The command that compares the evaluated models: a page, its table as Markdown and CSV, tests of two."""

from __future__ import annotations

from pathlib import Path

import click

from base import command
from reports.comparison import paired, runs
from reports.comparison.page import PAGE_FILE, write_page
from reports.comparison.published import read_published
from training import cost


@click.command()
@click.argument("projects", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--folder", default="comparison", show_default=True, type=click.Path(path_type=Path), help="The result's."
)
@click.option(
    "--runs",
    "timed",
    type=click.IntRange(min=1),
    default=cost.RUNS,
    show_default=True,
    help="Clips to time for each latency.",
)
@click.option(
    "--test",
    "tested",
    nargs=2,
    metavar="A B",
    help="Write nothing; print McNemar's test between two evaluations.",
)
def main(projects: tuple[Path, ...], folder: Path, timed: int, tested: tuple[str, str] | None) -> None:
    """Compare the evaluated models of PROJECTS, by default of this one; write results.html, .md and .csv.

    A project is a folder in which the chain ran, such as those of the systems below build/systems. Models that
    classified the same test clips into the same classes share a table; those that differ in `fit.seed` alone share a
    row, with mean and spread.
    """
    found, left_out = runs.read_runs(projects or (Path(),))
    if tested:
        first, second = (runs.find(found, name) for name in tested)
        click.echo(paired.sentence(first, second))
        return
    for reason in left_out:
        command.say(reason)
    places = sorted({run.folder for run in found})
    write_page(folder, runs.tables(found), cost.measured(places, timed), read_published())
    command.say(f"{folder / PAGE_FILE}: {len(found):,} evaluations of {len(places):,} models")


if __name__ == "__main__":
    command.run(main)

"""`python -m registry verify`: checks every byte, count, record and split of a store."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import asdict
from typing import Any, Final

import click

from base import command
from readers.store import open_store
from registry.commands.output import json_option, show_json, show_table
from registry.verify.checks import verify
from registry.verify.findings import CheckResult, Report

_PROBLEMS_SHOWN: Final = 10
_WIDTH: Final = 110
_INDENT: Final = " " * 4


@click.command()
@click.argument("store")
@json_option
def main(store: str, as_json: bool) -> None:
    """Check the whole of STORE: checksums, hashes, counts, records, catalog, leaks between splits, statistics.

    Prints what each check looked at and every kind of problem with its place. The exit code is 1 if there is a problem.
    """
    opened = open_store(store)
    with command.progress_bar(sum(opened.counts.values()), "record", f"verify {opened.name}") as bar:
        report = verify(opened, bar.update)
    if as_json:
        show_json(_content(report))
    else:
        _show(report)
    if report.problems:
        sys.exit(1)


def _content(report: Report) -> dict[str, Any]:
    """The report for programs."""
    checks = [{**asdict(check), "ok": not check.problems} for check in report.checks]
    return {**asdict(report), "ok": not report.problems, "checks": checks}


def _show(report: Report) -> None:
    rows = [(check.name, check.holds, check.looked_at, check.unit, _outcome(check)) for check in report.checks]
    click.echo(f"{report.store}: {report.name} {report.version}")
    show_table(rows, ("check", "what holds", "looked at", "", "outcome"))
    for check in report.checks:
        for remark in check.remarks:
            click.echo(f"{check.name}: {remark}")
    for check in report.checks:
        _show_problems(check)
    found = f"{len(report.problems):,} problems" if len(report.problems) > 1 else "1 problem"
    shards = f"{report.records:,} records in {report.shards:,} shards"
    click.echo(f"\n{shards}: {found if report.problems else 'everything holds'}")


def _outcome(check: CheckResult) -> str:
    if check.problems:
        return f"{len(check.problems):,} problem{'s' * (len(check.problems) > 1)}"
    return "ok" if check.looked_at else "not checked"


def _show_problems(check: CheckResult) -> None:
    if check.problems:
        click.echo(f"\n{check.name}")
    for problem in check.problems[:_PROBLEMS_SHOWN]:
        click.echo(f"  {problem.place}")
        click.echo(textwrap.fill(problem.message, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT))
    if (more := len(check.problems) - _PROBLEMS_SHOWN) > 0:
        click.echo(f"  and {more:,} more; --json has them all")

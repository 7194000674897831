"""How every command shows its result: readable tables on stdout, or JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from tabulate import tabulate

from base.files import to_json

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs instead of tables.")


def show_json(content: object) -> None:
    """Print a result for programs."""
    click.echo(to_json(content), nl=False)


def show_table(rows: Sequence[Sequence[Any]], headers: Sequence[str], title: str | None = None) -> None:
    """Print a table for people: numbers to the right, whole ones grouped by thousands.

    Args:
        rows: the cells of each row; a float is shown with four significant digits, None as an empty cell.
        headers: names of the columns.
        title: a line above, or None.
    """
    if title:
        click.echo(f"\n{title}")
    numbers = {place for row in rows for place, cell in enumerate(row) if isinstance(cell, int | float)}
    align = ["right" if place in numbers else "left" for place in range(len(headers))]
    cells = [[_text(cell) for cell in row] for row in rows]
    click.echo(tabulate(cells, headers, colalign=align if rows else None, disable_numparse=True))


def _text(cell: Any) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.4g}"
    return str(cell)

"""What every command line of the project shares: one-line errors, exit codes and progress."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn, TypeVar

import click
from tqdm import tqdm

from base.errors import DataError

T = TypeVar("T")

PLAIN_PROGRESS_INTERVAL_S = 10.0

_FREE = "free some space, then run the same command again to resume"
_ALLOW = "get the permission or name another place, then run the same command again"
_MENDS = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EROFS: _ALLOW,
}
"""What to do about what the system refuses."""


def run(command: click.Command, arguments: Sequence[str] | None = None) -> None:
    """Run a click command so that a user's mistake ends in one line on stderr and exit code 1.

    Args:
        command: the command.
        arguments: its arguments, those of the process by default.
    """
    try:
        command.main(arguments, standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted; run the same command again to resume", exit_code=130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (DataError, OSError, MemoryError) as error:
        _fail(sentence(error))


def sentence(error: BaseException) -> str:
    """What an error is to the person who reads it; what the system says comes with what to do."""
    if isinstance(error, MemoryError):
        return "out of memory: free some, or use fewer workers, then run the same command again to resume"
    if not isinstance(error, OSError):
        return str(error)
    said = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    return f"{said}; {_MENDS[error.errno]}" if error.errno in _MENDS else said


def _fail(message: str, exit_code: int = 1) -> None:
    click.echo(f"error: {printable(message)}", err=True)
    sys.exit(exit_code)


def printable(message: str) -> str:
    """A message in one line, with what a terminal would take for a command spelled out, such as escapes in names."""
    characters = " ".join(message.split())
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in characters)


def say(message: str) -> None:
    """Print one line of a stage's account of its work on stderr."""
    click.echo(printable(message), err=True)


class _PlainLines:
    """Stands in for a terminal: each state of a progress bar becomes a line of its own."""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line:
            sys.stderr.write(f"{line}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress_bar(total: int | None, unit: str, description: str) -> tqdm[NoReturn]:
    """A bar on a terminal, a plain line every ten seconds elsewhere.

    Args:
        total: number of units expected, or None if unknown.
        unit: name of one unit, such as "clip"; "B" is shown in binary multiples.
        description: what is being done.
    """
    on_terminal = sys.stderr.isatty()
    interval_s = 0.1 if on_terminal else PLAIN_PROGRESS_INTERVAL_S
    return tqdm(
        total=total,
        unit=unit,
        unit_scale=unit == "B",
        unit_divisor=1024 if unit == "B" else 1000,
        desc=description,
        file=sys.stderr if on_terminal else _PlainLines(),
        mininterval=interval_s,
        maxinterval=PLAIN_PROGRESS_INTERVAL_S,
        bar_format=None if on_terminal else "{desc}: {n_fmt} of {total_fmt} {unit}, {elapsed} elapsed",
        dynamic_ncols=on_terminal,
    )


def with_progress(items: Iterable[T], total: int | None, unit: str, description: str) -> Iterator[T]:
    """Yield the items while showing how many have passed.

    Args:
        items: what to iterate over.
        total, unit, description: as for `progress_bar`.
    """
    with progress_bar(total, unit, description) as bar:
        for item in items:
            yield item
            bar.update()

"""Runs the commands and programs in Markdown pages and writes what they print into the pages.

A block ```console is run line by line: each line that begins with `$ ` is a command, what follows is its output.
A block ```python with a block ```text right after it is a program and its output. Nothing else changes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from base import command
from base.errors import DataError

ROOT: Final = Path(__file__).parent.parent
_BODY: Final = r"(?:(?!^```).)*"
_BLOCK: Final = re.compile(
    rf"^```console\n(?P<session>{_BODY})^```$|^```python\n(?P<program>{_BODY})^```\n\n```text\n{_BODY}^```$",
    re.DOTALL | re.MULTILINE,
)


def refreshed(page: str) -> str:
    """A page with the output of each of its commands and programs, run in their order.

    Args:
        page: Markdown.

    Raises:
        DataError: a program ended with an error.
    """
    return _BLOCK.sub(_with_output, page)


def _with_output(block: re.Match[str]) -> str:
    program = block["program"]
    if program is None:
        return f"```console\n{_session(block['session'])}```"
    return f"```python\n{program}```\n\n```text\n{_program(program)}```"


def _session(text: str) -> str:
    commands = [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]
    return "".join(f"$ {each}\n{_output(['bash', '-c', each])[1]}" for each in commands)


def _program(code: str) -> str:
    exit_code, output = _output([sys.executable, "-c", code])
    if exit_code:
        raise DataError(f"a program ended with exit code {exit_code}; it began {code.splitlines()[0]!r}: {output}")
    return output


def _output(arguments: list[str]) -> tuple[int, str]:
    """Exit code and standard output in the project's root; what a command says of its progress is left out."""
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    output = "".join(f"{line.rstrip()}\n" for line in [*done.stdout.splitlines(), *errors])
    return done.returncode, output if output or not done.returncode else done.stderr


@click.command()
@click.argument("pages", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(pages: tuple[Path, ...]) -> None:
    """Run what the Markdown PAGES show, in the project's root, and write the output into them."""
    for page in pages:
        text = page.read_text(encoding="utf-8")
        page.write_text(refreshed(text), encoding="utf-8")
        command.say(f"{page}: refreshed")


if __name__ == "__main__":
    command.run(main)

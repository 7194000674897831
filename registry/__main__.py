"""`python -m registry`: lists, describes, checks, compares, shows and exports stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import click

from base import command


def _list() -> click.Command:
    from registry.commands.list import main

    return main


def _describe() -> click.Command:
    from registry.commands.describe import main

    return main


def _verify() -> click.Command:
    from registry.commands.verify import main

    return main


def _diff() -> click.Command:
    from registry.commands.diff import main

    return main


def _validate() -> click.Command:
    from registry.commands.validate import main

    return main


def _card() -> click.Command:
    from registry.commands.card import main

    return main


def _sample() -> click.Command:
    from registry.commands.sample import main

    return main


def _export() -> click.Command:
    from registry.commands.export import main

    return main


def _manifest() -> click.Command:
    from registry.commands.manifest import main

    return main


_COMMANDS: Final[dict[str, Callable[[], click.Command]]] = {
    "list": _list,
    "describe": _describe,
    "verify": _verify,
    "diff": _diff,
    "validate": _validate,
    "card": _card,
    "sample": _sample,
    "export": _export,
    "manifest": _manifest,
}
"""Each command by its name, imported when it is called or listed, so that none waits for the libraries of another."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _COMMANDS[cmd_name]() if cmd_name in _COMMANDS else None


@click.command(cls=_Commands)
def main() -> None:
    """Ask finished stores: find, describe, check, compare, sample and export them."""


if __name__ == "__main__":
    command.run(main)

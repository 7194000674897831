"""`python -m features`: lists, describes, checks, compares, shows and exports feature stores."""

from __future__ import annotations

import importlib
from typing import Final

import click

import command

_COMMANDS: Final = ("list", "describe", "verify", "diff", "validate", "card", "sample", "export")


class _Commands(click.Group):
    """Imports a command when it is called or listed, so that none waits for the libraries of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"features.commands.{cmd_name}").main
        return found


@click.command(cls=_Commands)
def main() -> None:
    """Feature stores: find, describe, check, compare and export them."""


if __name__ == "__main__":
    command.run(main)

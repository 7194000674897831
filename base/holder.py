"""Who holds an output: what a lock says of the run that has it, and the sentences about it."""

from __future__ import annotations

import datetime
import json
import os
import socket
from typing import Any

from base import command
from base.errors import DataError


def this_run() -> dict[str, Any]:
    """What a lock says of this process: its number, its machine and the time."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": now}


def read(data: str | bytes) -> dict[str, Any]:
    """What a lock says, or nothing where it is damaged or half written."""
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) and content.keys() >= {"pid", "host", "since"} else {}


def name(holder: dict[str, Any]) -> str:
    """A holder, for people."""
    if not holder:
        return "another process"
    return f"process {holder['pid']} on {holder['host']} since {holder['since']}"


def taken(output: str, holder: dict[str, Any]) -> DataError:
    """The error of a second run on an output."""
    return DataError(
        f"{output} is being written by {name(holder)}: wait until it has ended, then run this command again"
    )


def warn_without_locks(output: str) -> None:
    """Say that nothing keeps a second run away."""
    command.say(f"warning: {output} is on a file system without locks: start no second run that writes it")

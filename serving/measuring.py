"""Measures in a process of its own, which holds nothing but what is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from base.errors import DataError

T = TypeVar("T")


def on_one_core() -> None:
    """Keep this process to one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def peak_bytes() -> int:
    """Largest resident memory of this process so far; `getrusage` would count its parent's before the program began."""
    [line] = [each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def measured_alone(kind: type[T], module: str, *arguments: str) -> T:
    """What a module measures in a process of its own.

    Args:
        kind: what it prints as JSON.
        module: that `python -m` runs.
        arguments: of its command line.

    Raises:
        DataError: it failed, and has said why; or it printed something else.
    """
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if done.returncode:
        raise DataError(f"{module} {' '.join(arguments)} ended with exit code {done.returncode}: see above")
    try:
        found: T = TypeAdapter(kind).validate_json(done.stdout)
    except ValidationError as error:
        raise DataError(f"what {module} printed can't be read: {error}") from error
    return found

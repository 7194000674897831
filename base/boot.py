"""Tells one start of the machine from another."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """A name of the time since the machine's start; "" where the system gives none."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.is_file() else ""

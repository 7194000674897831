"""The name of this machine's processor, for logs and figures of speed."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

_INFORMATION: Final = Path("/proc/cpuinfo")


def processor() -> str:
    """The processor's model where Linux tells it, else its architecture."""
    lines = _INFORMATION.read_text().splitlines() if _INFORMATION.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

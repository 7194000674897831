"""Where work on remote storage that is all done on this machine keeps what one step leaves for the next."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from typing import Final

from base import files
from base.boot import boot_id

_ROOM: Final = 2
"""The disk must have this many times what is left for the next step."""
_DIGITS: Final = 16


def folder(home: str, plan: str, passing_bytes: int | None) -> str | None:
    """An own folder of this user's and this plan's among the temporary files; those of the work's older plans go.

    A restart of the machine may take a part of what a killed run has left there; after it the folder is another one.

    Args:
        home: folder of the unfinished work.
        plan: the name of its plan.
        passing_bytes: about how much will be there; None where the work is not all done on this machine.

    Returns:
        The folder, which is there; None where the work is local, or not all done here, or there is no room for it.
    """
    if passing_bytes is None or not files.is_remote(home):
        return None
    mine = os.path.join(tempfile.gettempdir(), f"keyword-spotting-{os.getuid()}")
    os.makedirs(mine, mode=0o700, exist_ok=True)
    facts = os.lstat(mine)
    if facts.st_uid != os.getuid() or not stat.S_ISDIR(facts.st_mode):
        return None  # another user has put something there
    work = _digest(home)
    own = f"{work}-{_digest(plan + boot_id())}"
    for name in files.names(mine):
        if name.startswith(work) and name != own:
            files.remove(os.path.join(mine, name))
    found = os.path.join(mine, own)
    if not os.path.isdir(found) and shutil.disk_usage(mine).free < _ROOM * passing_bytes:
        return None
    os.makedirs(found, exist_ok=True)
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

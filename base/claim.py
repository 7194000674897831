"""One run at a time for one output: a lock that the system gives back when its holder ends, however it ends.

The lock is a file in the work folder of the output. A finished run removes it. One that was killed leaves it, which
says to the next run that what lies unfinished in the output may be replaced. On object storage it is a lease.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import posixpath
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

from base import files, holder, lease
from base.errors import DataError

WORK_FOLDER: Final = "_work"
"""Where a stage keeps what it has not finished, in the folder of its output."""
LOCK_FILE: Final = "lock"

_WITHOUT_LOCKS: Final = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""What file systems say that have no locks."""
_HOLDER_SECONDS: Final = 1.0
"""Long enough for a holder to write its name."""


def work_of_folder(folder: str) -> str:
    """Where the unfinished work on a folder is.

    Raises:
        DataError: the folder is a file.
    """
    if files.is_file(folder):
        raise DataError(f"{folder} is a file, expected the name of a folder to write")
    return files.join(folder, WORK_FOLDER)


def work_of_file(path: str) -> str:
    """Where the unfinished work on a file is.

    Raises:
        DataError: the file is a folder.
    """
    if path.endswith("/") or files.is_folder(path):
        raise DataError(f"{path} is a folder, expected the name of the file to write")
    folder, name = posixpath.split(path)
    return files.join(folder, WORK_FOLDER, name)


@contextmanager
def claimed(output: str, work: str, foreign: Callable[[], str | None]) -> Iterator[None]:
    """Have an output for this process alone, in the block.

    Args:
        output: the folder or file to write.
        work: `work_of_folder` or `work_of_file` of it.
        foreign: a file that the run would replace or delete and that no run of its kind has made, or None.

    Raises:
        DataError: another process writes the output, or it holds what this command has not made; nothing is touched.
    """
    lock = files.join(work, LOCK_FILE)
    if not files.is_file(lock) and (path := foreign()):
        raise DataError(f"{path} was not made by this command: move it away, or name another output")
    if files.is_remote(output):
        with lease.held(lock, output) as end_renewal:
            try:
                yield
            finally:
                end_renewal()
                if foreign() is None:  # else the lock says whose the unfinished files are
                    files.remove_files(work, [LOCK_FILE])
                    remove_empty(work)
        return
    home = work[: work.rindex(WORK_FOLDER)] or "."
    is_new = not os.path.isdir(home)
    with _locked(lock, output):
        try:
            yield
        finally:
            if foreign() is None:  # else the lock says whose the unfinished files are
                os.unlink(lock)
                remove_empty(work)
                if is_new:
                    with contextlib.suppress(OSError):  # the output is there
                        os.rmdir(home)


def remove_empty(work: str) -> None:
    """Remove a folder of unfinished work where nothing is left in it, and likewise that of all files next to it."""
    above = posixpath.dirname(work)
    for folder in (work, above) if posixpath.basename(above) == WORK_FOLDER else (work,):
        with contextlib.suppress(OSError):  # another run has just begun in it
            files.remove_empty(folder)


@contextmanager
def _locked(lock: str, output: str) -> Iterator[None]:
    with _acquired(lock, output) as file:
        file.truncate(0)
        file.write(json.dumps(holder.this_run()))
        file.flush()
        yield


def _acquired(lock: str, output: str) -> TextIO:
    """The lock's file, open and locked.

    Raises:
        DataError: another process has locked it.
    """
    while True:
        try:
            os.makedirs(posixpath.dirname(lock), exist_ok=True)
            file = open(lock, "a+")  # noqa: SIM115
        except FileNotFoundError:  # a run that has just finished removed the folder
            continue
        except FileExistsError:  # likewise, between two looks at it
            if os.path.isfile(posixpath.dirname(lock)):
                raise
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = _holder(file)
            file.close()
            raise holder.taken(output, found) from None
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                file.close()
                raise
            holder.warn_without_locks(output)
            return file
        if _is_at(file, lock):
            return file
        file.close()


def _holder(file: TextIO) -> dict[str, Any]:
    """What the holder of a lock has written into it."""
    give_up = time.monotonic() + _HOLDER_SECONDS
    while time.monotonic() < give_up:
        file.seek(0)
        if found := holder.read(file.read()):
            return found
        time.sleep(0.01)
    return {}


def _is_at(file: TextIO, path: str) -> bool:
    """Whether an open file is the one that has a name now, not one that was removed."""
    try:
        named = os.stat(path)
    except FileNotFoundError:
        return False
    opened = os.fstat(file.fileno())
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

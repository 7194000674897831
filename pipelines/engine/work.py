"""Work that can be interrupted: what is there of it is kept, and the output takes its place when it is whole.

A stage writes into a work folder that is named after its plan, the sum of what decides its bytes; `steps` says what is
done there. The output takes its place only when it is finished, so a failed or interrupted run leaves the output of the
run before as it was.

What is unfinished is not waited for until the disk has it: after a restart of the machine it is made again. What takes
its place is on the disk before.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import time
from dataclasses import dataclass
from typing import Any, Final

from base import __version__, files
from base.boot import boot_id
from base.claim import remove_empty, work_of_file, work_of_folder
from base.command import sentence
from base.errors import DataError
from pipelines.engine import scratch
from stores import writing
from stores.manifest import PLAN_FILE

_FAILED: Final = "failed-"
_COMMITTED_FILE: Final = "committed.json"
_PLAN_DIGITS: Final = 16
_PLAN_NAME: Final = re.compile(rf"[0-9a-f]{{{_PLAN_DIGITS}}}")
_BOOT_FILE: Final = "boot"

_REMOVALS: Final = 5
_SECONDS_BETWEEN_REMOVALS: Final = 0.2

_unwritten: dict[str, str] = {}
"""Work folder → why it failed, where the disk was too full to say so."""

_LOOK_SECONDS: Final = 10.0
"""How often progress lists a remote folder."""

_seen: dict[str, tuple[float, list[str]]] = {}
"""Remote work folder → when it was listed, and the names in it."""


def _recent_names(folder: str) -> list[str]:
    when, names = _seen.get(folder, (time.monotonic(), []))
    if folder not in _seen or time.monotonic() - when > _LOOK_SECONDS:
        names = files.names(folder) if folder in _seen else []
        _seen[folder] = time.monotonic(), names
    return names


@dataclass(frozen=True)
class Work:
    """The unfinished work of a stage.

    Attributes:
        output: where the output belongs: the folder of a store, or a file.
        home: folder of the unfinished work on that output.
        folder: folder in it of this plan alone.
        passing: folder of what one step leaves for the next: the same, or one of this machine for work on remote
            storage that is all done here.
    """

    output: str
    home: str
    folder: str
    passing: str

    @property
    def staged(self) -> str:
        """Where the output is made, before it takes its place."""
        return files.join(self.folder, "output")

    def path(self, name: str) -> str:
        """Path of a file of the unfinished work."""
        return files.join(self.folder, name)

    def passing_path(self, name: str) -> str:
        """Path of a file that one step leaves for the next."""
        return files.join(self.passing, name)

    def report_path(self, step: str, index: int) -> str:
        """Path of the report on an item of a step."""
        return self.path(f"{step}-{index:05d}.json")

    @property
    def started(self) -> str:
        """Path of the mark of the first worker that began, where other engines have workers of their own."""
        return self.path("started")

    @property
    def is_over(self) -> bool:
        """Whether this work has ended, for an attempt at it that is late; what is remote is not asked for each item."""
        return not files.is_remote(self.folder) and not files.is_file(self.path(PLAN_FILE))

    def failed(self) -> list[str]:
        """Names of the files that say why items can't be finished."""
        return [name for name in files.names(self.folder) if name.startswith(_FAILED)]

    def reports(self, step: str) -> int:
        """Items of a step that are finished; of remote work as they were some seconds ago."""
        names = _recent_names(self.folder) if files.is_remote(self.folder) else files.names(self.folder)
        return sum(name.startswith(f"{step}-") and name.endswith(".json") for name in names)

    def fail(self, step: str, index: int, error: BaseException) -> None:
        """Keep why an item can't be finished, for `finish` to report; runners wrap exceptions beyond recognition."""
        message = sentence(error)
        if self.is_over:
            return
        try:
            text = files.to_json({"message": message})
            files.write_text(self.path(f"{_FAILED}{step}-{index:05d}.json"), text, concurrent=True)
        except OSError:
            _unwritten.setdefault(self.folder, message)


def begin_store(folder: str, plan: dict[str, Any], passing_bytes: int | None = None) -> Work:
    """Begin or resume the work on a store.

    Args:
        folder: folder of the store.
        plan: all that decides the bytes of the output.
        passing_bytes: about how much the steps leave for each other, where they all run on this machine.
    """
    return _begin(folder, work_of_folder(folder), plan, passing_bytes)


def begin_file(path: str, plan: dict[str, Any]) -> Work:
    """Begin or resume the work on a single file.

    Args:
        path: the file.
        plan: all that decides its bytes.
    """
    return _begin(path, work_of_file(path), plan)


def _begin(output: str, home: str, plan: dict[str, Any], passing_bytes: int | None = None) -> Work:
    text = files.to_json({**plan, "code_version": __version__})
    key = hashlib.sha256(text.encode()).hexdigest()[:_PLAN_DIGITS]
    folder = files.join(home, key)
    work = Work(output, home, folder, scratch.folder(home, key, passing_bytes) or folder)
    _unwritten.pop(work.folder, None)
    for name in files.names(home):
        if name != key and (_PLAN_NAME.fullmatch(name) or name.startswith(".")):
            files.remove(files.join(home, name))
    if not is_committed(work) and not _is_of_this_boot(work):
        files.remove(work.folder)
    _remove_left(work)
    if not files.is_file(work.path(PLAN_FILE)):
        if not files.is_remote(work.folder):  # no restart of the machine takes a part of what is remote
            files.write_text(work.path(_BOOT_FILE), boot_id())
        files.write_text(work.path(PLAN_FILE), text)
    return work


def _remove_left(work: Work) -> None:
    """Remove what says of an earlier run why it failed, and its half-written files."""
    for folder in (work.folder, work.staged):
        files.remove_files(folder, [name for name in files.names(folder) if name.startswith((_FAILED, "."))])


def _is_of_this_boot(work: Work) -> bool:
    """Whether no restart of the machine can have taken a part of the unfinished work; none takes what is remote."""
    marked = work.path(_BOOT_FILE)
    return files.is_remote(marked) or not files.is_file(marked) or files.read_text(marked) == boot_id()


def is_committed(work: Work) -> bool:
    """Whether all of the output was made before, and an interrupted run has only to put it in place."""
    return files.is_file(work.path(_COMMITTED_FILE))


def finish(work: Work) -> None:
    """After the pipeline: see that the output is in its place, and clear the work.

    Raises:
        DataError: an item or the output failed, or the pipeline ended before its end.
    """
    publish(work)
    clear(work)


def publish(work: Work) -> None:
    """After the pipeline: see that the output is in its place.

    Raises:
        DataError: an item or the output failed, or the pipeline ended before its end.
    """
    if failures := work.failed():
        raise DataError(files.read_json(work.path(failures[0]))["message"])
    if work.folder in _unwritten:
        raise DataError(_unwritten.pop(work.folder))
    if not is_committed(work):
        raise DataError(f"the pipeline ended without {work.output}: run the same command again to resume")
    put_in_place(work)


def clear(work: Work) -> None:
    """Remove what is left of the work on an output that is in its place; last what says so to a run after a kill.

    The plan goes first: what an engine believes dead and still runs then begins nothing more.
    """
    files.remove(work.path(PLAN_FILE))
    if files.is_remote(work.folder):
        files.remove_all_but(work.folder, _COMMITTED_FILE)
        files.remove(work.folder)
    else:
        for name in files.names(work.folder):
            if name != _COMMITTED_FILE:
                _remove(work.path(name))
        _remove(work.folder)
    remove_empty(work.home)
    if work.passing != work.folder:
        _remove(work.passing)


def _remove(path: str) -> None:
    """Delete a folder into which a late attempt may still write, or a file."""
    for attempt in range(1, _REMOVALS + 1):
        try:
            files.remove(path)
            return
        except OSError:
            if attempt == _REMOVALS:
                raise
            time.sleep(_SECONDS_BETWEEN_REMOVALS)


def commit(work: Work) -> None:
    """Mark the output at `Work.staged` as whole once the disk has it."""
    if not files.is_remote(work.staged):
        files.sync([*(files.join(work.staged, name) for name in files.names(work.staged)), work.staged])
    text = files.to_json({"output": work.output})
    files.write_text(work.path(_COMMITTED_FILE), text, concurrent=True, lasting=True)


def put_in_place(work: Work) -> None:
    """Put the output at `Work.staged`, which is whole, in its place; what was interrupted is completed."""
    if writing.is_finished(work.staged):
        writing.replace(work.output, work.staged)
    elif files.is_file(work.staged):
        files.move(work.staged, work.output)
        files.sync([posixpath.dirname(work.output) or "."])

"""A lock on storage that has none: an object that its holder writes again and again, and loses when it no longer does.

It is made by a request that fails where there is one, and on Amazon's storage renewed and taken over by one that fails
where another has written it since (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html).
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from base import command, conditional, holder
from base.boot import boot_id
from base.errors import DataError

RENEWED_SECONDS: Final = 10.0
LOST_SECONDS: Final = 45.0
"""After this time without a renewal a holder on another machine counts as dead."""
_LOOK_SECONDS: Final = 5.0

_PROCESS_SPACE: Final = Path("/proc/self/ns/pid")


@contextlib.contextmanager
def held(lock: str, output: str) -> Iterator[Callable[[], None]]:
    """Have a lock in the block; whoever finds that another has it meanwhile ends this process at once.

    Args:
        lock: path of the lock.
        output: what it stands for, for the sentences.

    Yields:
        What ends the renewal. After it nothing writes the lock, which may then be removed.

    Raises:
        DataError: another process has it.
    """
    lease = _Lease(lock, output)
    if not lease.take():
        holder.warn_without_locks(output)
        yield lambda: None
        return
    ended = threading.Event()
    renewing = threading.Thread(target=lease.renew_until, args=(ended,), name="lease", daemon=True)
    renewing.start()

    def end() -> None:
        ended.set()
        renewing.join()

    try:
        yield end
    finally:
        end()


class _Lease:
    def __init__(self, lock: str, output: str) -> None:
        self._lock, self._output = lock, output
        self._content: dict[str, Any] = {
            **holder.this_run(),
            "machine": _machine(),
            "started": _started(os.getpid()),
            "holder": uuid.uuid4().hex,
            "renewals": 0,
        }

    def take(self) -> bool:
        """Take the lock, from a dead holder too; False where the storage has no such request.

        Raises:
            DataError: another process has it.
        """
        while True:
            try:
                if conditional.create(self._lock, self._text()) or self._is_mine():
                    return True
            except NotImplementedError:
                return False
            found = conditional.read_marked(self._lock)
            if found is None:  # given back just now
                continue
            data, mark = found
            if not self._is_dead(data):
                raise holder.taken(self._output, holder.read(data))
            try:
                conditional.replace(self._lock, self._text(), mark)
            except FileExistsError:
                if not self._is_mine():
                    continue
            return True

    def renew_until(self, ended: threading.Event) -> None:
        """Write the lock again from time to time, and end the process where it is no longer its own."""
        mark = ""  # where there are marks, one request tells that nobody has written it since
        while not ended.wait(RENEWED_SECONDS):
            try:
                if not mark:
                    found = conditional.read_marked(self._lock)
                    if found is None or holder.read(found[0]).get("holder") != self._content["holder"]:
                        if not ended.is_set():
                            self._end(None if found is None else found[0])
                        return
                    mark = found[1]
                self._content["renewals"] += 1
                mark = conditional.replace(self._lock, self._text(), mark)
            except FileExistsError:
                mark = ""  # looked at again
            except (OSError, DataError):
                continue  # the storage can't be reached: what the run itself does there ends it, if it must

    def _text(self) -> bytes:
        return json.dumps(self._content).encode()

    def _is_mine(self) -> bool:
        """Whether the holder is this run after all, whose request was made again after its answer was lost."""
        found = conditional.read_marked(self._lock)
        return found is not None and holder.read(found[0]).get("holder") == self._content["holder"]

    def _is_dead(self, data: bytes) -> bool:
        found = holder.read(data)
        if found.get("machine") and found.get("machine") == self._content["machine"]:
            return _started(found.get("pid")) != found.get("started")
        other = holder.name(found)
        command.say(f"{self._output} was being written by {other}: waiting up to {LOST_SECONDS:.0f} s for a sign of it")
        give_up = time.monotonic() + LOST_SECONDS
        while time.monotonic() < give_up:
            time.sleep(_LOOK_SECONDS)
            now = conditional.read_marked(self._lock)
            if now is None or now[0] != data:
                return False
        return True

    def _end(self, data: bytes | None) -> None:
        other = "another run" if data is None else holder.name(holder.read(data))
        sys.stderr.write(f"error: {self._output} was taken over by {other}, which found no sign of this run; it ends\n")
        sys.stderr.flush()
        os._exit(1)


def _machine() -> str | None:
    """A name of the running system and of its numbering of processes, or None where it does not give both."""
    try:
        space = os.readlink(_PROCESS_SPACE)
    except OSError:
        return None
    return f"{boot} {space}" if (boot := boot_id()) else None


def _started(pid: Any) -> str | None:
    """When a process of this machine was started, in ticks since the machine was; None where there is none."""
    try:
        return Path(f"/proc/{int(pid)}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, ValueError, TypeError, IndexError):
        return None

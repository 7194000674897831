"""Runs `python -m serving.teach` beside the server, one at a time, and says how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from base import command
from base.errors import DataError
from serving.taught import EXPORT_FOLDER, read_taught
from serving.web.limits import Refused

State = Literal["idle", "running", "done", "failed"]
_STEP: Final = re.compile(r"step (\d+) of (\d+): (\w+)")
_LABELS: Final = {
    "corpus": "Packing the takes",
    "ingest": "Reading all clips",
    "select": "Choosing clips",
    "augment": "Making noisy, slow and quiet copies",
    "extract": "Computing features",
    "finetune": "Training",
    "evaluate": "Testing",
    "compare": "Comparing with the old model",
    "export": "Writing the new model",
}


@dataclass(frozen=True)
class Sources:
    """What a model is taught with.

    Attributes:
        model: folder of the trained model.
        raw: folder of the archives that it was trained on.
        takes: folder of the takes.
        work: folder for all that is made.
    """

    model: Path
    raw: Path
    takes: Path
    work: Path


class Teaching:
    """The run of now, or the last one."""

    def __init__(self, sources: Sources, use: Callable[[Path], Awaitable[None]]) -> None:
        """Begin without a run.

        Args:
            sources: what the model is taught with.
            use: called with the folder of the new export.
        """
        self._sources, self._use = sources, use
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._state: State = "idle"
        self._progress: dict[str, Any] = {}
        self._begun = self._ended = 0.0

    def start(self) -> None:
        """Begin.

        Raises:
            Refused: it runs already.
        """
        if self._state == "running":
            raise Refused(409, "The model is learning already: wait until it is done.")
        self._state, self._progress = "running", {}
        self._begun = time.monotonic()
        self._task = asyncio.create_task(self._run())

    def progress(self) -> dict[str, Any]:
        """How far it is, for people."""
        end = time.monotonic() if self._state == "running" else self._ended
        return {"state": self._state, "seconds": round(end - self._begun, 1), **self._progress}

    async def stop(self) -> None:
        """End what runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            await self._process.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            last = await self._taught()
            if last:
                self._state, self._progress = "failed", {"error": last}
                return
            taught = await asyncio.to_thread(read_taught, self._sources.work)
            await self._use(self._sources.work / EXPORT_FOLDER)
            self._state, self._progress = "done", {"taught": asdict(taught)}
        except (DataError, OSError) as error:
            command.say(f"error: {error}")
            self._state, self._progress = "failed", {"error": "The new model can't be used; the server's log says why."}
        finally:
            self._ended = time.monotonic()

    async def _taught(self) -> str | None:
        """Run the command; what it said last if it failed."""
        sources = self._sources
        await asyncio.to_thread(shutil.rmtree, sources.work, ignore_errors=True)
        places = (str(place) for place in (sources.model, sources.raw, sources.takes, sources.work))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "serving.teach",
            *places,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # so that all that it starts ends with it
        )
        assert self._process.stderr is not None
        last = ""
        async for line in self._process.stderr:
            last = line.decode(errors="replace").strip()
            if step := _STEP.fullmatch(last):
                label = _LABELS.get(step[3], step[3])
                self._progress = {"step": int(step[1]), "steps": int(step[2]), "label": label}
        if await self._process.wait() == 0:
            return None
        command.say(last)
        return self._sentence(last)

    def _sentence(self, line: str) -> str:
        """What a command said, without the places of this machine."""
        said = line.removeprefix("error: ")
        for place in (self._sources.takes, self._sources.work, self._sources.raw, self._sources.model):
            said = said.replace(str(place.resolve()), place.name).replace(str(place), place.name)
        return f"{said[0].upper()}{said[1:]}." if said else "The command broke off."

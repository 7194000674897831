"""The processes that decode files: so many of them, a bounded queue before them, and a time limit for each file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from base import command
from base.errors import DataError
from serving.recognizer import Listening
from serving.web.decoder import LENGTH, packed
from serving.web.limits import Limits, Refused

_START_S: Final = 120.0
"""A machine under load takes long to import NumPy and Numba."""
Answer = tuple[int, dict[str, Any]]
"""A status of HTTP and the content for the client."""


class Decoders:
    """Decodes files in other processes; a file that takes too long or breaks its process takes down nothing else."""

    def __init__(self, folder: Path, thresholds: Mapping[str, float], listening: Listening, limits: Limits) -> None:
        """Prepare them; `start` starts them.

        Args:
            folder: of the export.
            thresholds: of each word.
            listening: the times by which longer files are listened to.
            limits: the bounds.
        """
        described = (asdict(listening), asdict(limits), dict(thresholds))
        self._arguments = (str(folder), *map(json.dumps, described))
        self._limits = limits
        self._idle: asyncio.Queue[_Decoder] = asyncio.Queue()
        self._all: set[_Decoder] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.waiting = 0
        self._waiting_bytes = 0
        self.lost = 0

    async def start(self) -> None:
        """Start the processes and wait until all of them can decode.

        Raises:
            DataError: one does not come up.
        """
        started = await asyncio.gather(*(_Decoder.started(self._arguments) for _ in range(self._limits.decoders)))
        for each in started:
            self._all.add(each)
            self._idle.put_nowait(each)

    async def stop(self) -> None:
        """End the processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(each.stop() for each in self._all))

    @property
    def ready(self) -> bool:
        """Whether any process is there."""
        return bool(self._all)

    async def answer(self, data: bytes) -> Answer:
        """Decode a file.

        Raises:
            Refused: too many files wait, or this one took too long.
        """
        busy = Refused(503, "The server has too many files to decode now: try again in a few seconds.")
        is_full = self.waiting >= self._limits.waiting or self._waiting_bytes + len(data) > self._limits.waiting_bytes
        if is_full and self._idle.empty():
            raise busy
        self.waiting += 1
        self._waiting_bytes += len(data)
        try:
            async with asyncio.timeout(self._limits.wait_s):
                decoder = await self._idle.get()
        except TimeoutError:
            raise busy from None
        finally:
            self.waiting -= 1
            self._waiting_bytes -= len(data)
        try:
            async with asyncio.timeout(self._limits.decode_s):
                found = await decoder.answer(data)
        except (TimeoutError, EOFError, ConnectionError) as error:
            self._replace(decoder)
            if isinstance(error, TimeoutError):
                raise Refused(422, f"The audio takes more than {self._limits.decode_s:g} s to decode.") from error
            raise Refused(422, "The audio can't be decoded: its decoder broke off.") from error
        except asyncio.CancelledError:
            self._replace(decoder)  # its answer would be taken for that of the next file
            raise
        self._idle.put_nowait(decoder)
        return found

    def _replace(self, decoder: _Decoder) -> None:
        self.lost += 1
        task = asyncio.create_task(self._replaced(decoder))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replaced(self, decoder: _Decoder) -> None:
        await decoder.stop()
        self._all.discard(decoder)
        try:
            fresh = await _Decoder.started(self._arguments)
        except DataError as error:
            command.say(f"error: {error}")
            return
        self._all.add(fresh)
        self._idle.put_nowait(fresh)


class _Decoder:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, arguments: tuple[str, ...]) -> _Decoder:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "serving.web.decoder",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # libraries complain of each damaged file there
        )
        decoder = cls(process)
        try:
            async with asyncio.timeout(_START_S):
                await decoder._read()
        except (TimeoutError, EOFError) as error:
            await decoder.stop()
            raise DataError(
                "a process that decodes files did not start; `python -m serving.predict` says why"
            ) from error
        return decoder

    async def answer(self, data: bytes) -> Answer:
        assert self._process.stdin is not None
        self._process.stdin.write(packed(data))
        await self._process.stdin.drain()
        found = json.loads(await self._read())
        return found["status"], found["content"]

    async def _read(self) -> bytes:
        assert self._process.stdout is not None
        (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
        return await self._process.stdout.readexactly(length)

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

"""`python -m benchmarks.web_load`: many clients of the server at once, a tenth of them hostile, and damaged files."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import numpy as np
import psutil
from tabulate import tabulate

from base import command
from base.errors import DataError
from benchmarks import hostile
from readers.audio import audio_of
from readers.store import open_store

_START_S: Final = 180.0
_STREAMS: Final = 4
"""Good clients that listen instead of sending files."""
_CLIPS: Final = 32
_BLOCK: Final = 640
_PARALLEL: Final = 8
_SAMPLE_S: Final = 1.0
_MEGABYTE: Final = 1e6


@dataclass
class Tally:
    """What was seen.

    Attributes:
        seconds: of each good file, from its first byte to the last of its answer.
        delays: of each window of a good stream, from its last sample to its answer, in seconds.
        left_out_s: sound of good streams that was left out, since the server was behind.
        errors: of good clients, each a sentence.
        hostile: how hostile ones ended, by behavior and status.
        fuzzed: statuses of damaged files.
        memory: of the server and its decoders together, bytes, once a second.
    """

    seconds: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    left_out_s: float = 0.0
    errors: list[str] = field(default_factory=list)
    hostile: Counter[str] = field(default_factory=Counter)
    fuzzed: Counter[int] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)


@click.command()
@click.argument("export", type=click.Path(path_type=Path))
@click.argument("clips")
@click.option("--seconds", default=600, show_default=True, type=click.IntRange(1), help="How long the clients ask.")
@click.option("--clients", default=50, show_default=True, type=click.IntRange(10), help="A tenth of them hostile.")
@click.option("--bodies", default=100_000, show_default=True, type=click.IntRange(0), help="Damaged files.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def main(export: Path, clips: str, seconds: int, clients: int, bodies: int, *, as_json: bool) -> None:
    """Serve EXPORT on this machine, ask it for the clips in the store CLIPS, and print what came of it.

    Good clients send a file each second, a few of them stream in real time. Any of their answers that is late, missing
    or different from the first one for the same clip is an error, and so is an answer to a damaged file that is none of
    the expected refusals. Each client has an address of its own in 127.0.0.0/8.
    """
    samples = speech(clips)
    tally = Tally()
    with served(export, "requests_per_s=100000", "requests_at_once=100000") as (port, process):
        asyncio.run(fuzz(port, hostile.files(samples[0]), bodies, tally))
        lost = decoders_lost(port)
    with served(export) as (port, process):
        asyncio.run(load(port, process, samples, clients, seconds, tally))
    found = summary(tally, lost)
    click.echo(json.dumps(found) if as_json else for_people(found))
    if tally.errors:
        raise DataError(f"{len(tally.errors)} errors, the first: {tally.errors[0]}")


def speech(clips: str) -> list[hostile.Samples]:
    """The first spoken clips of a store, int16, (16000,) each."""
    store = open_store(clips)
    ids = [row["id"] for row in store.catalog(("id", "word")).to_pylist() if row["word"]]
    return list(audio_of(store, sorted(ids)[:_CLIPS]))


@contextmanager
def served(export: Path, *limits: str) -> Iterator[tuple[int, psutil.Process]]:
    """A server of its own: its port and its process.

    Raises:
        DataError: it does not start.
    """
    changed = [argument for limit in limits for argument in ("--limit", limit)]
    arguments = [sys.executable, "-m", "serving.web", str(export), "--port", "0", *changed]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            if not (found := re.search(r":(\d+) \(", line)):
                raise DataError(f"the server did not start: {line}")
            yield int(found[1]), psutil.Process(process.pid)
        finally:
            process.terminate()


def decoders_lost(port: int) -> int:
    """Decoders that were ended or broke off."""
    import requests

    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
    found = re.search(r"^keyword_spotting_decoders_lost (\S+)$", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


async def fuzz(port: int, originals: list[bytes], bodies: int, tally: Tally) -> None:
    """Send damaged files, a few at a time."""
    numbers = iter(command.with_progress(range(bodies), bodies, "file", "damaged"))

    async def send(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = hostile.damaged(originals, number)
            headers = {"Content-Type": "application/octet-stream"}
            async with session.post(f"http://127.0.0.1:{port}/v1/predict", data=body, headers=headers) as response:
                content = await response.json()
                tally.fuzzed[response.status] += 1
                if response.status not in hostile.ALLOWED or (response.status > 200) != ("error" in content):
                    tally.errors.append(f"damaged file {number}: {response.status} {content}")

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_START_S)) as session:
        await asyncio.gather(*(send(session) for _ in range(_PARALLEL)))


async def load(
    port: int, process: psutil.Process, clips: list[hostile.Samples], clients: int, seconds: int, tally: Tally
) -> None:
    """Let all clients ask until the time is over."""
    files = [hostile.files(clip)[0] for clip in clips]
    expected = [await predicted(port, file, "127.0.0.1") for file in files]
    end = time.monotonic() + seconds
    tasks = [watch(process, end, tally)]
    for number in range(clients):
        address, random = f"127.0.{1 + number // 200}.{1 + number % 200}", np.random.default_rng(number)
        if number % 10 == 9:
            tasks.append(attack(port, address, random, end, tally))
        elif number < _STREAMS:
            tasks.append(stream(port, address, np.concatenate(clips), end, tally))
        else:
            tasks.append(ask(port, address, random, files, expected, end, tally))
    await asyncio.gather(*tasks)


async def predicted(port: int, file: bytes, address: str) -> dict[str, Any]:
    """What the server says of a file, or its status where it refuses it."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    timeout = aiohttp.ClientTimeout(_START_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        url, headers = f"http://127.0.0.1:{port}/v1/predict", {"Content-Type": "audio/wav"}
        async with session.post(url, data=file, headers=headers) as response:
            content: dict[str, Any] = await response.json()
            return content if response.status == 200 else {"status": response.status, **content}


async def ask(
    port: int,
    address: str,
    random: np.random.Generator,
    files: list[bytes],
    expected: list[dict[str, Any]],
    end: float,
    tally: Tally,
) -> None:
    """A good client: a clip about each second, from an address of its own."""
    while time.monotonic() < end:
        place = int(random.integers(len(files)))
        begun = time.monotonic()
        try:
            found = await predicted(port, files[place], address)
        except (aiohttp.ClientError, TimeoutError) as error:
            tally.errors.append(f"no answer: {error!r}")
        else:
            tally.seconds.append(time.monotonic() - begun)
            if found != expected[place]:
                tally.errors.append(f"clip {place}: {found}")
        await asyncio.sleep(float(random.uniform(0.5, 1.5)))


async def stream(port: int, address: str, samples: hostile.Samples, end: float, tally: Tally) -> None:
    """A good listener: blocks of 40 ms in real time, each with a window's answer once a second has passed."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(f"http://127.0.0.1:{port}/v1/listen") as socket,
        ):
            sent: list[float] = []
            reading = asyncio.create_task(_answers(socket, sent, tally))
            begun, place = time.monotonic(), 0
            while (now := time.monotonic()) < end:
                await asyncio.sleep(begun + len(sent) * _BLOCK / 16_000 - now)
                sent.append(time.monotonic())
                await socket.send_bytes(samples[place : place + _BLOCK].astype("<i2").tobytes())
                place = (place + _BLOCK) % (len(samples) - _BLOCK)
            reading.cancel()
    except (aiohttp.ClientError, ConnectionError) as error:
        tally.errors.append(f"a stream broke off: {error!r}")


async def _answers(socket: aiohttp.ClientWebSocketResponse, sent: list[float], tally: Tally) -> None:
    left_out_s = 0.0
    async for message in socket:
        if message.type == aiohttp.WSMsgType.TEXT:
            content = json.loads(message.data)
            if content["type"] == "step":
                last = round((content["time_s"] + left_out_s) * 16_000 / _BLOCK) - 1
                tally.delays.append(time.monotonic() - sent[last])
            elif content["type"] == "late":
                left_out_s += content["left_out_s"]
                tally.left_out_s += content["left_out_s"]
            elif content["type"] == "refused":
                tally.errors.append(f"a stream was refused: {content['error']}")


async def attack(port: int, address: str, random: np.random.Generator, end: float, tally: Tally) -> None:
    """A hostile client: one behavior after another."""
    while time.monotonic() < end:
        behavior = hostile.BEHAVIORS[int(random.integers(len(hostile.BEHAVIORS)))]
        try:
            outcome = await behavior(port, address, random)
        except (OSError, TimeoutError) as error:
            outcome = type(error).__name__
        tally.hostile[f"{behavior.__name__} {outcome}"] += 1


async def watch(process: psutil.Process, end: float, tally: Tally) -> None:
    """Look at the memory of the server and its decoders."""
    while time.monotonic() < end:
        found = 0
        for each in (process, *process.children(recursive=True)):
            try:
                found += each.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        tally.memory.append(found)
        await asyncio.sleep(_SAMPLE_S)


def summary(tally: Tally, lost: int) -> dict[str, Any]:
    """The figures: times in milliseconds as median, 99th percentile and maximum, memory in megabytes."""
    third = max(1, len(tally.memory) // 3)
    memory = (np.median(tally.memory[:third]), np.median(tally.memory[-third:]), np.max(tally.memory))
    return {
        "good files": len(tally.seconds),
        "windows of good streams": len(tally.delays),
        "sound of good streams left out, s": round(tally.left_out_s),
        "errors": len(tally.errors),
        "file, ms": quantiles(tally.seconds),
        "window, ms": quantiles(tally.delays),
        "memory in the first third, the last, and most, MB": [round(float(each) / _MEGABYTE) for each in memory],
        "hostile clients": dict(sorted(tally.hostile.items())),
        "damaged files": {str(status): count for status, count in sorted(tally.fuzzed.items())},
        "decoders lost to damaged files": lost,
    }


def quantiles(seconds: list[float]) -> list[int]:
    """Median, 99th percentile and maximum in milliseconds."""
    return [round(1000 * float(each)) for each in np.quantile(seconds, (0.5, 0.99, 1.0))] if seconds else []


def for_people(found: dict[str, Any]) -> str:
    """The figures as a table, a row for each number."""
    rows: list[tuple[str, str]] = []
    for name, value in found.items():
        if isinstance(value, dict):
            rows += [(f"{name}: {part}", f"{count:,}") for part, count in value.items()]
        else:
            numbers = value if isinstance(value, list) else [value]
            rows.append((name, ", ".join(f"{each:,}" for each in numbers) or "none"))
    return tabulate(rows, disable_numparse=True)


if __name__ == "__main__":
    command.run(main)

"""What a server on a network meets: damaged files, and clients that cut off, stall, flood and talk nonsense."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import numpy as np
import numpy.typing as npt
import soundfile

from features.views import SAMPLE_RATE_HZ

Samples = npt.NDArray[np.int16]
HEAD: Final = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\n"
ALLOWED: Final = frozenset({200, 413, 415, 422})
"""How a server may answer a damaged file."""
_CLOSED: Final = "closed"
_MOST_S: Final = 60.0


def files(clip: Samples) -> list[bytes]:
    """A clip in each form that is decoded: what damage begins with."""
    loud = np.tile(clip[:, None], (1, 2))
    kinds = (
        ("WAV", "PCM_16", clip, SAMPLE_RATE_HZ),
        ("WAV", "FLOAT", clip / 32768, 48_000),
        ("WAV", "ULAW", clip, 8000),
        ("WAVEX", "PCM_24", loud, 44_100),
        ("FLAC", "PCM_16", clip, SAMPLE_RATE_HZ),
        ("FLAC", "PCM_24", loud, 44_100),
        ("OGG", "VORBIS", clip, SAMPLE_RATE_HZ),
        ("OGG", "OPUS", clip, 48_000),
        ("MP3", "MPEG_LAYER_III", loud, 22_050),
    )
    found = []
    for form, subtype, samples, rate_hz in kinds:
        out = io.BytesIO()
        soundfile.write(out, samples, rate_hz, format=form, subtype=subtype)
        found.append(out.getvalue())
    return found


def damaged(originals: list[bytes], number: int) -> bytes:
    """The damaged file of a number, the same each time: bits turned, parts cut out, doubled, swapped, or made up."""
    random = np.random.default_rng(number)
    content = bytearray(originals[int(random.integers(len(originals)))])
    for _ in range(int(random.integers(1, 6))):
        match random.integers(7):
            case 0:  # anywhere
                for place in random.integers(len(content), size=int(random.integers(1, 64))) if content else ():
                    content[place] = int(random.integers(256))
            case 1:  # in the header
                for place in random.integers(min(len(content), 64), size=4) if content else ():
                    content[place] = int(random.integers(256))
            case 2:  # a number in the header, huge, zero or negative
                place = int(random.integers(max(1, min(len(content), 60))))
                content[place : place + 4] = random.choice([0, 1, 2**31, 2**32 - 1, 2**16]).tobytes()[:4]
            case 3:
                del content[int(random.integers(len(content) + 1)) :]
            case 4:
                first, last = sorted(random.integers(len(content) + 1, size=2))
                del content[first:last]
            case 5:
                first, last = sorted(random.integers(len(content) + 1, size=2))
                content[first:first] = content[first : min(last, first + 4096)]
            case _:
                content += random.bytes(int(random.integers(2000)))
    return bytes(content)


async def talk(port: int, address: str, pieces: list[tuple[bytes, float]]) -> str:
    """Send pieces on a plain socket, waiting after each; what the server made of it: a status or "closed"."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    try:
        async with asyncio.timeout(_MOST_S):
            for piece, wait_s in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(wait_s)
            writer.write_eof()
            line = await reader.readline()
    except (ConnectionError, RuntimeError):
        return _CLOSED
    finally:
        writer.close()
    return line.split()[1].decode() if line.startswith(b"HTTP/1") else _CLOSED


async def cut_body(port: int, address: str, random: np.random.Generator) -> str:
    """Half of a body, then nothing more."""
    return await talk(port, address, [(HEAD + b"Content-Length: 32044\r\n\r\n" + random.bytes(9000), 0.1)])


async def wrong_headers(port: int, address: str, random: np.random.Generator) -> str:
    """What is no HTTP, or barely."""
    lines = (
        b"\x16\x03\x01" + random.bytes(300) + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"Content-Length: -5\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/predict HTTP/1.1\r\nContent-Type: audio/wav\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    )
    return await talk(port, address, [(lines[int(random.integers(len(lines)))], 0.0)])


async def endless(port: int, address: str, random: np.random.Generator) -> str:
    """A body in chunks that does not end."""
    chunk = b"10000\r\n" + random.bytes(1 << 16) + b"\r\n"
    return await talk(port, address, [(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 0.0), *[(chunk, 0.0)] * 400])


async def slow(port: int, address: str, random: np.random.Generator) -> str:
    """A body, or headers, of a few bytes a second."""
    begin = HEAD + (b"Content-Length: 32044\r\n\r\n" if random.integers(2) else b"X-Slow: ")
    return await talk(port, address, [(begin, 0.0), *[(b"a", 1.0)] * 45])


async def hoard(port: int, address: str, random: np.random.Generator) -> str:
    """As many idle connections as are given."""
    found = await asyncio.gather(*(talk(port, address, [(b"", 3.0)]) for _ in range(48)), return_exceptions=True)
    return "503" if "503" in found else _CLOSED


async def noise_socket(port: int, address: str, random: np.random.Generator) -> str:
    """A WebSocket that floods, or sends what is no sound."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    messages = [random.bytes(31_999), b"", bytes(32_000), bytes(100_000)]
    try:
        async with (
            asyncio.timeout(_MOST_S),
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(f"http://127.0.0.1:{port}/v1/listen") as stream,
        ):
            message = messages[int(random.integers(len(messages)))]
            for _ in range(30):
                await stream.send_bytes(message)
            async for said in stream:
                if said.type == aiohttp.WSMsgType.TEXT and (found := json.loads(said.data))["type"] == "refused":
                    return str(found["status"])
    except (aiohttp.ClientError, ConnectionError):
        pass
    return _CLOSED


Behavior = Callable[[int, str, np.random.Generator], Awaitable[str]]
BEHAVIORS: Final[tuple[Behavior, ...]] = (cut_body, wrong_headers, endless, slow, hoard, noise_socket)

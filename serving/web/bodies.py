"""The audio file in a request's body, plain or as a form's file, read piece by piece within bounds of size and time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from serving.web.limits import Limits, Refused

_FORM: Final = "multipart/form-data"
_PLAIN: Final = ("application/octet-stream", "application/ogg", "video/ogg")
_PIECE_BYTES: Final = 1 << 16
_MOST_PARTS: Final = 8

Read = Callable[[], Awaitable[bytes]]


async def audio_file(request: web.Request, limits: Limits) -> bytes:
    """The file that a request brings; its name, if it has one, is not looked at.

    Raises:
        Refused: too large, too slow, not an audio file by its type, or a broken form.
    """
    check_headers(request, limits)
    async with _in_time(limits):
        if request.content_type == _FORM:
            return await _of_form(request, limits)
        return await _all(request.content.readany, limits.file_bytes)


async def read_body(request: web.Request, limits: Limits, most_bytes: int) -> bytes:
    """The body of a request as it is.

    Raises:
        Refused: too large or too slow.
    """
    async with _in_time(limits):
        return await _all(request.content.readany, most_bytes)


@contextlib.asynccontextmanager
async def _in_time(limits: Limits) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limits.body_s):
            yield
    except TimeoutError as error:
        raise Refused(408, f"The body did not come within {limits.body_s:g} seconds.") from error


def check_headers(request: web.Request, limits: Limits) -> None:
    """Make sure that a body is worth reading.

    Raises:
        Refused: its type or coding is none that is read, or it says that it is too large.
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refused(415, "The body is compressed: send the audio file as it is.")
    kind = request.content_type
    if kind != _FORM and kind not in _PLAIN and not kind.startswith("audio/"):
        raise Refused(415, "The body's type is none of an audio file: send audio/wav, another audio type, or a form.")
    if (request.content_length or 0) > limits.file_bytes + (_PIECE_BYTES if kind == _FORM else 0):
        raise _too_large(limits.file_bytes)


def _too_large(most_bytes: int) -> Refused:
    return Refused(413, f"The file is larger than {most_bytes / 1e6:g} MB.")


async def _of_form(request: web.Request, limits: Limits) -> bytes:
    try:
        parts = await request.multipart()
        for _ in range(_MOST_PARTS):
            part = await parts.next()
            if part is None:
                break
            if isinstance(part, BodyPartReader):
                content = await _all(partial(part.read_chunk, _PIECE_BYTES), limits.file_bytes)
                if part.name == "file" or part.filename is not None:
                    return content
    except (ValueError, AssertionError, RuntimeError, HttpProcessingError) as error:
        raise Refused(422, "The form can't be read: send one file in a field named file.") from error
    raise Refused(422, "The form has no file: send one in a field named file.")


async def _all(read: Read, most_bytes: int) -> bytes:
    pieces, size = [], 0
    while piece := await read():
        size += len(piece)
        if size > most_bytes:
            raise _too_large(most_bytes)
        pieces.append(piece)
    return b"".join(pieces)

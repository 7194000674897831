"""Bounds of sockets: how many are open, how many of one address, and for how long without a request."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from aiohttp import web

from serving.web.limits import Limits

_BODY: Final = json.dumps({"error": "The server has too many connections now: try again later."}).encode()
FULL: Final = b"\r\n".join(
    (
        b"HTTP/1.1 503 Service Unavailable",
        b"Content-Type: application/json; charset=utf-8",
        b"Content-Length: " + str(len(_BODY)).encode(),
        b"Retry-After: 5",
        b"Connection: close",
        b"",
        _BODY,
    )
)
"""The answer to a connection beyond the bounds, which is closed after it."""
_SWEEPS_PER_IDLE: Final = 5


class Connections:
    """Makes the protocol of each connection, and closes those on which no whole request arrives in time.

    A connection is busy from the moment its request's headers are whole until the request is answered; else it idles,
    whether it sends nothing, its headers byte by byte, or does not take its answer.
    """

    def __init__(self, protocols: Callable[[], asyncio.Protocol], limits: Limits) -> None:
        """Begin without connections.

        Args:
            protocols: makes the protocol that speaks HTTP.
            limits: the bounds.
        """
        self._protocols, self._limits = protocols, limits
        self._open: dict[asyncio.BaseProtocol, _Connection] = {}
        self._addresses: Counter[str] = Counter()
        self.refused = 0

    def __len__(self) -> int:
        return len(self._open)

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection, for `loop.create_server`."""
        return _Connection(self._protocols(), self)

    @contextlib.contextmanager
    def busy(self, protocol: asyncio.BaseProtocol) -> Iterator[None]:
        """While a request is being answered.

        Args:
            protocol: that speaks HTTP on its connection.
        """
        connection = self._open.get(protocol)
        if connection is None:  # it has gone
            yield
            return
        connection.idle_since = None
        try:
            yield
        finally:
            connection.idle_since = asyncio.get_running_loop().time()

    async def sweep(self) -> None:
        """Close what idles too long, again and again."""
        while True:
            await asyncio.sleep(self._limits.idle_s / _SWEEPS_PER_IDLE)
            latest = asyncio.get_running_loop().time() - self._limits.idle_s
            for each in list(self._open.values()):
                if each.idle_since is not None and each.idle_since < latest:
                    each.transport.abort()

    def admits(self, connection: _Connection) -> bool:
        """Whether a new connection is within the bounds; it is counted if so."""
        address = connection.address
        of_address = self._addresses[address] >= self._limits.connections_per_address
        if of_address or len(self._open) >= self._limits.connections:
            self.refused += 1
            return False
        self._open[connection.inner] = connection
        self._addresses[address] += 1
        return True

    def forget(self, connection: _Connection) -> None:
        """Count a connection no longer."""
        if self._open.pop(connection.inner, None):
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]


class Speaker(web.RequestHandler):
    """Speaks HTTP; what is none is answered in a sentence that repeats nothing of it."""

    __slots__ = ()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer has gone out already")
        sentence = "The request is not HTTP as it should be." if status < 500 else "The server made a mistake."
        response = web.json_response({"error": sentence}, status=status)
        response.force_close()
        return response


class _Connection(asyncio.Protocol):
    """Hands what happens on a connection to the protocol that speaks HTTP, if it was admitted."""

    transport: asyncio.Transport

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self.inner = inner
        self.idle_since: float | None = asyncio.get_running_loop().time()
        self.address = ""
        self._connections = connections
        self._admitted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.address = (transport.get_extra_info("peername") or ("",))[0]
        self._admitted = self._connections.admits(self)
        if self._admitted:
            self.inner.connection_made(transport)
        else:
            transport.write(FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        if self._admitted:
            self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self.inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        if self._admitted:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        if self._admitted:
            self.inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        if self._admitted:
            self._connections.forget(self)
            self.inner.connection_lost(error)

"""The routes of the server, and what stands around each of them: headers, counting, and a sentence for each error."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

from aiohttp import web

from base import command
from serving.model import Model, open_model
from serving.recognizer import Listening
from serving.web import openapi
from serving.web.assets import Assets
from serving.web.bodies import audio_file
from serving.web.connections import Connections, Speaker
from serving.web.decoders import Decoders
from serving.web.facts import facts
from serving.web.hosts import is_own_host, is_own_origin
from serving.web.limits import Limits, Refused
from serving.web.live import Live
from serving.web.metrics import CONTENT_TYPE, Metrics
from serving.web.quota import Quotas
from serving.web.takes import Takes
from serving.web.teaching import Sources, Teaching
from serving.web.words import Words

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


QUIET: Final = logging.Logger("serving.web", logging.CRITICAL)
"""Instead of what the HTTP library logs of clients that do wrong."""


@dataclass(frozen=True)
class Access:
    """Who may reach the server.

    Attributes:
        host, port: where it listens; port 0 takes a free one.
        names: names that it answers to besides those of this machine.
    """

    host: str
    port: int
    names: tuple[str, ...] = ()

    @property
    def any_address(self) -> bool:
        """Whether it listens on all addresses of this machine."""
        return self.host in ("0.0.0.0", "::", "")


class Site:
    """One model behind HTTP."""

    def __init__(
        self,
        folder: Path,
        model: Model,
        listening: Listening,
        limits: Limits,
        access: Access,
        sources: Sources | None = None,
    ) -> None:
        """Prepare; `run` opens the port.

        Args:
            folder: of the export.
            model: the same, opened.
            listening: the times by which streams and longer files are listened to.
            limits: the bounds.
            access: who may reach it.
            sources: what new words are recorded into and taught with, or None where nothing is recorded.
        """
        self._folder, self._model, self._limits, self._access = folder, model, limits, access
        self._listening = listening
        self.metrics = Metrics()
        self.decoders = Decoders(folder, model.thresholds, listening, limits)
        self.live = Live(model, listening, limits, self.metrics)
        self._quotas = Quotas(limits.requests_per_s, limits.requests_at_once)
        self._assets = Assets.read()
        self._connections: Connections | None = None
        self._document = openapi.document(limits, recording=sources is not None)
        self._words = None if sources is None else self._new_words(sources)

    def _new_words(self, sources: Sources) -> Words:
        takes = Takes(sources.takes, self._model.export.classes)
        return Words(takes, Teaching(sources, self.change), self._limits)

    async def change(self, folder: Path) -> None:
        """Serve another export from now on.

        Raises:
            DataError: it is unfinished or damaged, or no decoder starts with it.
        """
        model = await asyncio.to_thread(open_model, folder)
        decoders = Decoders(folder, model.thresholds, self._listening, self._limits)
        await decoders.start()
        before, self.decoders = self.decoders, decoders
        self._folder, self._model = folder, model
        await self.live.change(model)
        await before.stop()

    def routes(self) -> Sequence[web.RouteDef]:
        """Method, path and handler of everything that is answered."""
        words = [web.get("/words", self.words_page), *self._words.routes()] if self._words else []
        return [
            *words,
            web.get("/", self.page),
            web.get("/static/{name}", self.asset),
            web.post("/v1/predict", self.predict),
            web.get("/v1/model", self.model_facts),
            web.get("/v1/listen", self.listen),
            web.get("/healthz", self.health),
            web.get("/metrics", self.show_metrics),
            web.get("/openapi.json", self.show_document),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page."""
        return self._assets.response("page.html", request)

    async def words_page(self, request: web.Request) -> web.StreamResponse:
        """The page for words of one's own."""
        return self._assets.response("words.html", request)

    async def asset(self, request: web.Request) -> web.StreamResponse:
        """A script or style of the page."""
        return self._assets.response(request.match_info["name"], request)

    async def predict(self, request: web.Request) -> web.StreamResponse:
        """What an audio file says."""
        if not self._quotas.take(request.remote or ""):
            self.metrics.refused.labels("requests of an address").inc()
            raise Refused(429, "This address sends too many files: wait a few seconds.")
        data = await audio_file(request, self._limits)
        status, content = await self.decoders.answer(data)
        return web.json_response(content, status=status)

    async def model_facts(self, request: web.Request) -> web.StreamResponse:
        """What the model is."""
        return web.json_response(facts(self._folder, self._model, self._limits, self._words is not None))

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """A stream over a WebSocket."""
        if "websocket" not in request.headers.get("Upgrade", "").lower():
            raise Refused(426, "This address speaks WebSocket: connect with one.")
        return await self.live.listen(request)

    async def health(self, request: web.Request) -> web.StreamResponse:
        """Whether files can be decoded now."""
        if not self.decoders.ready:
            raise Refused(503, "No decoder is running now.")
        return web.json_response({"status": "ok"})

    async def show_metrics(self, request: web.Request) -> web.StreamResponse:
        """What was counted."""
        self.metrics.connections.set(len(self._connections or ()))
        self.metrics.waiting.set(self.decoders.waiting)
        self.metrics.decoders_lost.set(self.decoders.lost)
        return web.Response(body=self.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def show_document(self, request: web.Request) -> web.StreamResponse:
        """The interface, described."""
        return web.json_response(self._document)

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Mark the connection as busy, count, and give every answer its headers and every error one sentence."""
        begun = time.monotonic()
        with contextlib.ExitStack() as stack:
            if self._connections is not None and request.protocol is not None:
                stack.enter_context(self._connections.busy(request.protocol))
            response = await self._answered(request, handler)
        route = request.match_info.route.resource
        name = route.canonical if route else "none"
        self.metrics.requests.labels(name, response.status).inc()
        if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.metrics.seconds.labels(name).observe(time.monotonic() - begun)
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._check_sender(request)
            return await handler(request)
        except Refused as refused:
            return refusal(refused.status, refused.sentence)
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            return refusal(405, f"This address takes {allowed}.", {"Allow": allowed})
        except web.HTTPException as error:
            return refusal(error.status, "There is nothing here." if error.status == 404 else f"{error.reason}.")
        except ConnectionError:
            raise
        except Exception:
            command.say(traceback.format_exc())
            return refusal(500, "The server made a mistake; its log says more.")

    def _check_sender(self, request: web.Request) -> None:
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin")
        if not is_own_host(host, (self._access.host, *self._access.names), self._access.any_address):
            raise Refused(421, "The server does not answer to this name; --allow-host lets it.")
        changes = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
        if changes and not is_own_origin(origin, host):
            raise Refused(403, "Pages of other sites may not speak to this server.")

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[int]:
        """Open the port for as long as the context lasts; gives its number.

        Raises:
            DataError: a decoder does not start.
            OSError: the port can't be opened.
        """
        app = web.Application(middlewares=[self.around])
        app.on_response_prepare.append(with_headers)
        app.add_routes(self.routes())
        runner = web.AppRunner(app, shutdown_timeout=2.0)
        await runner.setup()
        assert runner.server is not None
        loop = asyncio.get_running_loop()
        speak = partial(
            Speaker,
            runner.server,
            loop=loop,
            access_log=QUIET,
            logger=QUIET,
            auto_decompress=False,
            lingering_time=1,
        )
        self._connections = Connections(speak, self._limits)
        server = await loop.create_server(self._connections, self._access.host, self._access.port, reuse_address=True)
        sweep = asyncio.create_task(self._connections.sweep())
        try:
            await self.decoders.start()
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            sweep.cancel()
            if self._words:
                await self._words.teaching.stop()
            await self.live.end(b"the server ends")
            await runner.cleanup()
            await self.decoders.stop()
            self.live.close()


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    """An answer that says why there is none."""
    more = {"Retry-After": "5"} if status in (429, 503) else {}
    response = web.json_response({"error": sentence}, status=status, headers={**more, **(headers or {})})
    if status in (408, 413):
        response.force_close()  # what is left of the body is not read
    return response


async def with_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Tell browsers what an answer may do."""
    for name, value in _HEADERS.items():
        response.headers[name] = value
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.popall("Server", None)

"""The second screen: takes of new words, and a button by which the model learns them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from serving.taught import FEWEST_TAKES
from serving.web.bodies import read_body
from serving.web.limits import Limits, Refused
from serving.web.takes import TAKE_BYTES, Takes
from serving.web.teaching import Teaching

ENOUGH_TAKES: Final = 20


class Words:
    """Its routes."""

    def __init__(self, takes: Takes, teaching: Teaching, limits: Limits) -> None:
        """Prepare the routes.

        Args:
            takes: where they are kept.
            teaching: what learns them.
            limits: the bounds.
        """
        self._takes, self._limits = takes, limits
        self.teaching = teaching

    def routes(self) -> Sequence[web.RouteDef]:
        """Method, path and handler of everything that is answered."""
        take = "/v1/words/{word}/takes/{number:[0-9]{1,4}}"
        return [
            web.get("/v1/words", self.words),
            web.post("/v1/words/{word}/takes", self.add),
            web.get(take, self.play),
            web.delete(take, self.delete),
            web.post("/v1/teach", self.teach),
        ]

    async def words(self, request: web.Request) -> web.StreamResponse:
        """All words with their takes, and how far teaching is."""
        return web.json_response(await self._content())

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Keep a take: samples of 16 bits, one second."""
        body = await read_body(request, self._limits, most_bytes=2 * TAKE_BYTES)
        number = await asyncio.to_thread(self._takes.add, request.match_info["word"], body)
        return web.json_response({"number": number, **await self._content()}, status=201)

    async def play(self, request: web.Request) -> web.StreamResponse:
        """A take as a file."""
        content = await asyncio.to_thread(self._takes.read, *self._named(request))
        return web.Response(body=content, content_type="audio/wav")

    async def delete(self, request: web.Request) -> web.StreamResponse:
        """Delete a take."""
        await asyncio.to_thread(self._takes.delete, *self._named(request))
        return web.json_response(await self._content())

    async def teach(self, request: web.Request) -> web.StreamResponse:
        """Let the model learn the words."""
        words = await asyncio.to_thread(self._takes.words)
        few = [word for word, numbers in words.items() if len(numbers) < FEWEST_TAKES]
        if not words or few:
            missing = f" of {', '.join(few)}" if few else ""
            raise Refused(422, f"The model needs at least {FEWEST_TAKES} takes{missing}: record more.")
        self.teaching.start()
        return web.json_response(await self._content(), status=202)

    def _named(self, request: web.Request) -> tuple[str, int]:
        return request.match_info["word"], int(request.match_info["number"])

    async def _content(self) -> dict[str, Any]:
        words = await asyncio.to_thread(self._takes.words)
        return {
            "words": [{"word": word, "takes": numbers} for word, numbers in words.items()],
            "fewest": FEWEST_TAKES,
            "enough": ENOUGH_TAKES,
            "teaching": self.teaching.progress(),
        }

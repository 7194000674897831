"""A stream over a WebSocket: samples in, and for each window the best words, what is heard, and its features.

The client sends binary messages: little-endian samples of one channel at 16 kHz. The server first sends a text message
"ready" that says what follows; then for each window a text message "step", and after it a binary one with the rows of
features that are new, little-endian float32. A text message "late" says how much sound was left out, where the server
is slower than the stream. A refusal is a text message "refused" with a sentence, before the end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from aiohttp import WSCloseCode, WSMsgType, web

from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ, View
from serving.model import Model
from serving.predict import guesses
from serving.recognizer import Listening, Recognizer, Step
from serving.web.backlog import Backlog
from serving.web.limits import Limits, Refused
from serving.web.metrics import Metrics
from serving.web.quota import Bucket

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]

MOST_BYTES: Final = 2 * SAMPLE_RATE_HZ
"""Of a message: a second."""
_FASTER_THAN_REAL: Final = 1.1


class Live:
    """Listens to a bounded number of streams, all in one thread, which has the network to itself."""

    def __init__(self, model: Model, listening: Listening, limits: Limits, metrics: Metrics) -> None:
        """Begin without streams.

        Args:
            model: what listens; nothing else may run its network at the same time.
            listening: the times.
            limits: the bounds.
            metrics: what is counted.
        """
        self._listening, self._limits, self._metrics = listening, limits, metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="listen")
        self._addresses: Counter[str] = Counter()
        self._open: set[web.WebSocketResponse] = set()
        self._model = model

    @property
    def model(self) -> Model:
        """What listens."""
        return self._model

    async def change(self, model: Model) -> None:
        """Let streams that begin from now on be listened to by another model, and end those that are open."""
        self._model = model
        await self.end(b"another model listens now")

    async def end(self, reason: bytes) -> None:
        """End the open streams; pages come again by themselves."""
        closing = (each.close(code=WSCloseCode.SERVICE_RESTART, message=reason) for each in list(self._open))
        await asyncio.gather(*closing, return_exceptions=True)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def listen(self, request: web.Request) -> web.WebSocketResponse:
        """Answer a request for a WebSocket, until either side ends it."""
        socket = web.WebSocketResponse(
            timeout=self._limits.send_s, heartbeat=self._limits.silent_s, max_msg_size=MOST_BYTES + 1, compress=False
        )
        await socket.prepare(request)
        address = request.remote or ""
        try:
            self._admit(address)
        except Refused as refused:
            await self._refuse(socket, refused, WSCloseCode.TRY_AGAIN_LATER)
            return socket
        self._open.add(socket)
        try:
            await self._steps(socket)
        except Refused as refused:
            await self._refuse(socket, refused, WSCloseCode.POLICY_VIOLATION)
        except (TimeoutError, ConnectionError):
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, drain=False)
        finally:
            self._open.discard(socket)
            self._addresses[address] -= 1
            self._metrics.listeners.set(len(self._open))
        return socket

    def _admit(self, address: str) -> None:
        if len(self._open) >= self._limits.listeners:
            self._metrics.refused.labels("listeners").inc()
            raise Refused(503, "The server listens to as many people as it can: try again later.")
        if self._addresses[address] >= self._limits.listeners_per_address:
            self._metrics.refused.labels("listeners of an address").inc()
            raise Refused(429, "This address has too many streams open: end one of them.")
        self._addresses += Counter({address: 1})  # drops the addresses without a stream
        self._metrics.listeners.set(len(self._open) + 1)

    async def _refuse(self, socket: web.WebSocketResponse, refused: Refused, code: int) -> None:
        try:
            async with asyncio.timeout(self._limits.send_s):
                content = {"type": "refused", "status": refused.status, "error": refused.sentence}
                await socket.send_json(content)
                await socket.close(code=code)
        except (TimeoutError, ConnectionError):
            await socket.close(code=code, drain=False)

    async def _steps(self, socket: web.WebSocketResponse) -> None:
        model, recognizer = self._model, self._model.recognizer(self._listening)
        classes, fresh = model.export.classes, fresh_rows(model.export.feature_view, self._listening.step_ms)
        backlog = Backlog(int(self._limits.behind_s * SAMPLE_RATE_HZ))
        await self._send(socket, ready(model, self._listening))
        reading = asyncio.create_task(self._read(socket, backlog))
        try:
            while (samples := await backlog.take()) is not None:
                if left_out := backlog.left_out():
                    await self._send(socket, {"type": "late", "left_out_s": left_out / SAMPLE_RATE_HZ})
                for step in await asyncio.get_running_loop().run_in_executor(self._thread, fed, recognizer, samples):
                    await self._send(socket, said(step, classes), rows(step, fresh))
                    if step.heard:
                        self._metrics.heard.labels(step.heard.word).inc()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, socket: web.WebSocketResponse, backlog: Backlog) -> None:
        """Take what comes as it comes, however long the network takes: else a client could not end the stream."""
        ahead = Bucket(_FASTER_THAN_REAL * SAMPLE_RATE_HZ, self._limits.ahead_s * SAMPLE_RATE_HZ)
        try:
            while True:
                message = await socket.receive(self._limits.silent_s)
                if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                    break
                if message.type != WSMsgType.BINARY or len(message.data) % 2:
                    raise Refused(422, "A message is no samples of 16 bits: send them as binary, whole.")
                samples = np.frombuffer(message.data, "<i2").astype(np.int16)
                if not ahead.take(len(samples)):
                    raise Refused(429, "The samples come faster than sound does.")
                backlog.put(samples)
        except TimeoutError:
            backlog.end(Refused(408, f"No sound came for {self._limits.silent_s:g} seconds."))
        except (Refused, ConnectionError) as error:
            backlog.end(error)
        else:
            backlog.end()

    async def _send(self, socket: web.WebSocketResponse, content: dict[str, Any], also: Floats | None = None) -> None:
        async with asyncio.timeout(self._limits.send_s):
            await socket.send_json(content)
            if also is not None:
                await socket.send_bytes(also.astype("<f4").tobytes())


def fed(recognizer: Recognizer, samples: Samples) -> list[Step]:
    """The windows that some samples complete."""
    return list(recognizer.feed(samples))


def fresh_rows(view: View, step_ms: int) -> int:
    """Steps of a view that come with each window of a stream."""
    return max(1, min(view.shape[0], round(step_ms / view.step_ms)))


def rows(step: Step, fresh: int) -> Floats:
    """The last rows of a window's features, (fresh, coefficients)."""
    return step.features[-fresh:].reshape(fresh, -1)


def ready(model: Model, listening: Listening) -> dict[str, Any]:
    """What a client has to know of what follows."""
    view, export = model.export.feature_view, model.export
    return {
        "type": "ready",
        "rate_hz": SAMPLE_RATE_HZ,
        "window_s": CLIP_SAMPLES / SAMPLE_RATE_HZ,
        "classes": export.classes,
        "thresholds": dict(model.thresholds),
        "step_ms": listening.step_ms,
        "picture": {
            "kind": view.kind,
            "title": view.title,
            "coefficients": int(np.prod(view.shape[1:], dtype=int)),
            "coefficient": view.coefficient_name,
            "rows": fresh_rows(view, listening.step_ms),
            "row_ms": view.step_ms,
            "signed": view.signed,
            "first_is_level": view.first_is_level,
        },
    }


def said(step: Step, classes: tuple[str, ...]) -> dict[str, Any]:
    """A window, without its features."""
    return {
        "type": "step",
        "time_s": round(step.time_s, 3),
        "top": [
            {"word": each.word, "probability": round(each.probability, 4)}
            for each in guesses(classes, step.probabilities)
        ],
        "heard": None if step.heard is None else asdict(step.heard),
    }

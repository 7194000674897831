"""A server of an export in a process of its own, and what its tests send to it."""

from __future__ import annotations

import contextlib
import io
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import requests
import soundfile
from corpus_tools import environment

START_S = 120


@dataclass
class Server:
    """A running server: where it is, what it serves, and what it printed."""

    url: str
    folder: Path
    process: subprocess.Popen[str]
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def post(self, data: Any, kind: str = "audio/wav", **more: Any) -> requests.Response:
        """A file to /v1/predict."""
        headers = {"Content-Type": kind, **more.pop("headers", {})}
        return requests.post(f"{self.url}/v1/predict", data=data, headers=headers, timeout=60, **more)

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(f"{self.url}{path}", timeout=60, **more)


@contextlib.contextmanager
def serving(
    export: Path,
    place: Path,
    *options: str,
    port: int = 0,
    limits: dict[str, Any] | None = None,
    python: str = sys.executable,
) -> Iterator[Server]:
    """`python -m serving.web EXPORT` in a folder of its own; it must end by itself when asked to, without a word.

    Args:
        export: the folder.
        place: the working directory.
        options: more arguments.
        port: where it listens, 0 for any.
        limits: bounds that differ.
        python: the interpreter.
    """
    place.mkdir(parents=True, exist_ok=True)
    log = place.with_name(f"{place.name}.log")
    changed = [argument for name, value in (limits or {}).items() for argument in ("--limit", f"{name}={value}")]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [python, "-m", "serving.web", str(export), "--port", str(port), *changed, *options],
            cwd=place, env=environment(), stderr=errors, text=True,
        )  # fmt: skip
    try:
        yield Server(wait_for_url(process, log), export, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        said = log.read_text()
    assert code == 0, said
    assert "Traceback" not in said, said


def wait_for_url(process: subprocess.Popen[str], log: Path) -> str:
    """The address that a server says when it is ready."""
    for _ in range(START_S * 20):
        if found := re.search(r"http://\S+", log.read_text()):
            return found[0]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    raise AssertionError(f"the server did not start: {log.read_text()}")


def encoded(samples: npt.NDArray[Any], rate_hz: int = 16_000, form: str = "WAV", subtype: str | None = None) -> bytes:
    """Samples as an audio file."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=form, subtype=subtype)
    return out.getvalue()


def tone(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> npt.NDArray[np.int16]:
    """A tone, int16, (samples, channels)."""
    wave = 8000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)
    return np.tile(wave.astype(np.int16)[:, None], (1, channels))

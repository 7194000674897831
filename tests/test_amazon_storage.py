"""Sending to Amazon's storage takes as long as it takes, and a server that falls silent is not waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from base import amazon_storage, files
from base.errors import DataError

PATH = "s3://bucket/file"
SILENCE_SECONDS = 0.5


class SlowStorage(BaseHTTPRequestHandler):
    """Takes files slowly, and never ends the answer to a question for one."""

    protocol_version = "HTTP/1.1"
    content: ClassVar[list[bytes]] = []

    def do_PUT(self) -> None:
        left = int(self.headers["Content-Length"])
        data = b""
        while left > len(data):
            time.sleep(SILENCE_SECONDS)
            data += self.rfile.read(min(left - len(data), 16 << 20))
        self.content.append(data)
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"a part")
        self.wfile.flush()
        time.sleep(20 * SILENCE_SECONDS)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SlowStorage]]:
    """The server, to which this process finds."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SlowStorage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "any")
        monkeypatch.setattr(amazon_storage, "_SILENCE_SECONDS", SILENCE_SECONDS)
        monkeypatch.setattr(amazon_storage, "_MORE_ATTEMPTS", 0)
        monkeypatch.setitem(amazon_storage._RETRIES, "max_retries", 0)
        amazon_storage.bucket.cache_clear()
        yield SlowStorage
        amazon_storage.bucket.cache_clear()
        server.shutdown()


def test_a_file_that_takes_long_to_send_arrives_once_and_whole(storage: type[SlowStorage]) -> None:
    content = bytes(range(256)) * (4 * (16 << 20) // 256)
    with files.published(PATH) as file:
        file.write(content)
    assert storage.content == [content]


def test_a_server_that_falls_silent_within_an_answer_is_not_waited_for(storage: type[SlowStorage]) -> None:
    began = time.monotonic()
    with pytest.raises(DataError, match="s3://bucket/file can't be reached"):
        files.read_bytes(PATH)
    assert time.monotonic() - began < 10 * SILENCE_SECONDS

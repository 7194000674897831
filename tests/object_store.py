"""A server that speaks Amazon's protocol on this machine, counts the requests, and breaks some if it is told to.

Run as a program it serves until it is killed: `python tests/object_store.py [PORT] [BREAK_ONE_IN]`. `reached`
does it for a test, in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import boto3
import pytest

BUCKET = "bucket"
CONTROL = "/-/counts"
SECRET = "a-secret-that-nothing-may-show"
SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>"

Counts = Counter[tuple[str, str]]
"""(kind of request, key) → requests; a listing has its prefix for a key."""


class ObjectStore(NamedTuple):
    """A running server.

    Attributes:
        address: of the server.
        environment: variables by which clients find it, with credentials.
    """

    address: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find it, with credentials."""
        return {
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.address,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }

    @property
    def client(self) -> Any:
        """Amazon's own client of the server."""
        return boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=self.address,
            aws_access_key_id="someone",
            aws_secret_access_key=SECRET,
        )

    def objects(self, folder: str) -> dict[str, bytes]:
        """All that is in a folder of the bucket: path in it → content."""
        client, prefix = self.client, f"{folder}/"
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
        return {
            key.removeprefix(prefix): client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in sorted(keys)
        }

    def put(self, folder: str, source: Path) -> None:
        """Send a folder of this machine into one of the bucket."""
        client = self.client
        for path in filter(Path.is_file, source.rglob("*")):
            client.put_object(Bucket=BUCKET, Key=f"{folder}/{path.relative_to(source)}", Body=path.read_bytes())

    def counts(self) -> Counts:
        """The requests since the last call."""
        with urllib.request.urlopen(self.address + CONTROL) as answer:
            return Counter({(kind, key): count for kind, key, count in json.load(answer)})

    def break_one_in(self, requests: int) -> None:
        """From here on break one of so many requests, by 503 and by cut connections in turn; 0 breaks none."""
        asked = urllib.request.Request(f"{self.address}{CONTROL}?break={requests}", method="POST")
        urllib.request.urlopen(asked).close()


@contextmanager
def reached() -> Iterator[ObjectStore]:
    """Have a server with an empty bucket in the block, to which this process and its children find."""
    with serve() as started, pytest.MonkeyPatch.context() as patch:
        for name, value in started.environment.items():
            patch.setenv(name, value)
        from base import amazon_storage  # the program that serves runs without the project

        amazon_storage.bucket.cache_clear()
        yield started


@contextmanager
def serve() -> Iterator[ObjectStore]:
    """Have a server with an empty bucket in the block."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).resolve()), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            store = ObjectStore(process.stdout.readline().strip())
            urllib.request.urlopen(urllib.request.Request(f"{store.address}/{BUCKET}", method="PUT")).close()
            store.counts()
            yield store
        finally:
            process.kill()


class _Counting:
    """Passes requests on to an application, and counts them."""

    def __init__(self, application: Any) -> None:
        self._application, self._lock = application, threading.Lock()
        self._counts: Counts = Counter()
        self._break_one_in = self._seen = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == CONTROL:
            return self._control(environ, start_response)
        with self._lock:
            self._counts[_kind(environ)] += 1
            self._seen += 1
            breaks = self._break_one_in and self._seen % self._break_one_in == 0
            how = self._seen // self._break_one_in % 3 if breaks else None
            if breaks:
                self._counts["BROKEN", ("by 503", "before an answer", "within an answer")[how or 0]] += 1
        if how == 0:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("503 Slow Down", [("Content-Type", "text/xml"), ("Content-Length", str(len(SLOW_DOWN)))])
            return [SLOW_DOWN]
        if how == 1:
            raise ConnectionAbortedError
        answer = self._application(environ, start_response)
        return _cut(answer) if how == 2 else answer

    def _control(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", "")))
        with self._lock:
            rows = [(kind, key, count) for (kind, key), count in self._counts.items()]
            if "break" in asked:
                self._break_one_in = int(asked["break"])
            else:
                self._counts.clear()
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(rows).encode()]


def _cut(answer: Iterable[bytes]) -> Iterator[bytes]:
    """The first half of an answer, then no more."""
    whole = b"".join(answer)
    yield whole[: len(whole) // 2]
    raise ConnectionAbortedError


def _kind(environ: dict[str, Any]) -> tuple[str, str]:
    query = dict(urllib.parse.parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    path = environ["PATH_INFO"].removeprefix(f"/{BUCKET}").lstrip("/")
    method = environ["REQUEST_METHOD"]
    if method == "GET" and "uploads" in query:
        return "LIST UPLOADS", query.get("prefix", "")
    if method == "GET" and "list-type" in query:
        return "LIST", query.get("prefix", "")
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "COPY", path
    if method == "POST" and "delete" in query:
        return "DELETE MANY", path
    return method, path


def main(port: int, break_one_in: int) -> None:
    """Serve until killed; the first line on stdout is the address."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version: ClassVar[str] = "HTTP/1.1"

        def log(self, type: str, message: str, *args: object) -> None:
            """Keep quiet."""

        def connection_dropped(self, error: BaseException, environ: object = None) -> None:
            """Drop it indeed."""
            self.close_connection = True

    application = _Counting(DomainDispatcherApplication(create_backend_app))
    application._break_one_in = break_one_in
    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*(int(each) for each in (*sys.argv[1:], "0", "0")[:2]))

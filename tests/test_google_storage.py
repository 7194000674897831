"""What is sent to Google's storage, here a server on this machine, arrives to the byte, or an error says otherwise."""

from __future__ import annotations

import base64
import hashlib
import json
import urllib.parse
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import fsspec
import pytest

from base import files, remote

pytest.importorskip("gcsfs", reason="gcsfs is in requirements-pipelines.txt: run `make test-pipelines`")

DELIMITER = b"\n--==0=="


class Storage(BaseHTTPRequestHandler):
    """Uploads as the interface of Google's storage describes them, multipart messages read by RFC 2046."""

    content: ClassVar[dict[str, bytes]] = {}
    requests: ClassVar[list[str]] = []
    losing: ClassVar[bool] = False

    def do_POST(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "session" in query:
            self.requests.append("chunk")
            self.keep(query["session"][0], body)
        elif query["uploadType"] == ["resumable"]:
            self.requests.append("resumable")
            name = urllib.parse.quote(query["name"][0])
            self.answer({}, Location=f"http://{self.headers['Host']}/upload?session={name}")
        else:
            self.requests.append("multipart")
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            facts, file = BytesParser().parsebytes(head + body).get_payload()
            self.keep(json.loads(facts.get_payload())["name"], file.get_payload(decode=True))

    def keep(self, name: str, data: bytes) -> None:
        self.content[name] = data[:-1] if self.losing else data
        digest = base64.b64encode(hashlib.md5(self.content[name]).digest()).decode()
        self.answer({"name": name, "md5Hash": digest, "size": str(len(self.content[name]))})

    def answer(self, found: dict[str, str], **headers: str) -> None:
        text = json.dumps(found).encode()
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Storage]]:
    """The server, without a file, to which gcsfs finds."""
    monkeypatch.setattr(Storage, "content", {})
    monkeypatch.setattr(Storage, "requests", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Storage) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
        fsspec.get_filesystem_class("gs").clear_instance_cache()
        yield Storage
        server.shutdown()


@pytest.mark.parametrize(
    ("data", "requests"),
    [
        (b"", ["multipart"]),
        (b"a file", ["multipart"]),
        (b"its end is a line\n", ["multipart"]),
        (b"its last byte is 0x0D\r", ["resumable", "chunk"]),
        (b"before" + DELIMITER + b"--after", ["resumable", "chunk"]),
    ],
    ids=["nothing", "text", "newline", "carriage return", "delimiter"],
)
def test_every_byte_arrives(data: bytes, requests: list[str], storage: type[Storage]) -> None:
    remote.write_bytes("gs://bucket/folder/file", data)
    assert storage.content == {"folder/file": data}
    assert storage.requests == requests


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # gcsfs sends bytes as they are
@pytest.mark.parametrize("size", [3 << 20, 6 << 20])
def test_larger_files_that_end_in_a_carriage_return_arrive_whole(size: int, storage: type[Storage]) -> None:
    data = bytes(size - 1) + b"\r"
    with files.published("gs://bucket/large") as file:
        file.write(data)
    assert storage.content["large"] == data


def test_a_byte_that_is_lost_on_the_way_is_told_of(storage: type[Storage], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Storage, "losing", True)
    with pytest.raises(OSError, match="other bytes arrived than were sent"):
        remote.write_bytes("gs://bucket/file", b"four")

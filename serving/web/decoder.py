"""`python -m serving.web.decoder`: a process of the server that decodes files, and may be ended at any time.

On standard input come files, each after its length in four bytes; on standard output go answers of the same form: JSON
with the status of HTTP and the content.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import click
from pydantic import TypeAdapter

from base import command
from serving.model import Model, open_model
from serving.recognizer import Listening
from serving.web.decoding import answer
from serving.web.limits import Limits, Refused

LENGTH: Final = struct.Struct("<I")
READY: Final = b"{}"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("listening_json")
@click.argument("limits_json")
@click.argument("thresholds_json")
def main(folder: Path, listening_json: str, limits_json: str, thresholds_json: str) -> None:
    """Decode the files that come on standard input with the export in FOLDER, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, meant for the server
    listening: Listening = TypeAdapter(Listening).validate_json(listening_json)
    limits: Limits = TypeAdapter(Limits).validate_json(limits_json)
    model = replace(open_model(folder), thresholds=json.loads(thresholds_json))
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0) as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
        resource.setrlimit(resource.RLIMIT_DATA, (limits.decoder_bytes, limits.decoder_bytes))
        answers.write(packed(READY))
        while (data := read_packed(sys.stdin.buffer)) is not None:
            answers.write(packed(json.dumps(said(model, data, listening, limits), allow_nan=False).encode()))


def said(model: Model, data: bytes, listening: Listening, limits: Limits) -> dict[str, Any]:
    """The status of HTTP and the content of the answer to a file."""
    try:
        return {"status": 200, "content": answer(model, data, listening, limits)}
    except Refused as refused:
        return {"status": refused.status, "content": {"error": refused.sentence}}
    except MemoryError:
        return {"status": 422, "content": {"error": "The audio takes too much memory to decode."}}


def packed(content: bytes) -> bytes:
    """Bytes after their length."""
    return LENGTH.pack(len(content)) + content


def read_packed(file: BinaryIO) -> bytes | None:
    """The next bytes after their length, or None at the end."""
    head = file.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    content = file.read(length)
    return content if len(content) == length else None


if __name__ == "__main__":
    command.run(main)

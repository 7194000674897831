"""The stages run without a library of training; in an environment of their own the clouds are known."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import fsspec
import pytest
import shard_hashes
from apache_beam.io.filesystems import FileSystems
from corpus_tools import environment, run_stage, tar_gz, write_parameters, write_raw

from base import files
from pipelines.engine.runner import prepare

OF_TRAINING = ("dvc", "keras", "librosa", "matplotlib", "sklearn", "tensorboard", "tensorflow", "torch")
OF_CLOUDS = {"apitools", "boto3", "google.api_core", "google.auth"}

in_their_own_environment = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is not None,
    reason="for an environment without TensorFlow: run `make test-pipelines`",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder whose modules stand before installed ones: to import a library of training there fails."""
    write_parameters(tmp_path, corpus__synthesis={"speakers": 1, "noise_seconds": 2, "seed": 0})
    write_raw(tmp_path / "raw", {"small.tar.gz": tar_gz(shard_hashes.corpus())})
    for library in OF_TRAINING:
        (tmp_path / f"{library}.py").write_text("raise SystemExit(f'{__name__} was imported')")
    return tmp_path


def test_no_stage_imports_a_library_of_training(folder: Path) -> None:
    for stage, *arguments in (
        ("corpus", "synthetic"),
        ("ingest", "raw", "clips", "--direct_num_workers=1"),
        ("select", "clips", "selection.parquet", "--direct_num_workers=1"),
        ("augment", "clips", "selection.parquet", "augmented/ninefold", "--direct_num_workers=1"),
        ("extract", "clips", "selection.parquet", "features/mfcc", "features/waveform_8khz", "--direct_num_workers=1"),
    ):
        outcome = run_stage(folder, stage, *arguments)
        assert outcome.code == 0, outcome.stderr


def imported_ahead(*arguments: str) -> set[str]:
    """The modules that are there after the start of a command with some arguments."""
    code = "from pipelines.engine import start; start.import_ahead(); import sys; print(*sys.modules)"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@in_their_own_environment
def test_the_clients_of_clouds_are_imported_for_a_named_runner_alone() -> None:
    assert not imported_ahead() & OF_CLOUDS
    assert imported_ahead("--runner=DataflowRunner") >= OF_CLOUDS


@in_their_own_environment
@pytest.mark.parametrize(
    "module",
    [
        "apache_beam.io.aws.clients.s3.boto3_client",
        "apache_beam.io.aws.s3filesystem",
        "apache_beam.io.gcp.gcsfilesystem",
        "apache_beam.runners.dataflow.dataflow_runner",
        "apache_beam.runners.dataflow.internal.apiclient",
    ],
)
def test_a_part_of_beam_for_a_cloud_can_be_imported(module: str) -> None:
    importlib.import_module(module)


@in_their_own_environment
def test_dataflow_is_a_runner() -> None:
    options = ("--project=project", "--region=region", "--temp_location=gs://bucket/temp", "--no_auth")
    assert type(prepare(("--runner=DataflowRunner", *options)).runner).__name__ == "DataflowRunner"


@in_their_own_environment
def test_clients_of_googles_storage_are_there() -> None:
    assert type(FileSystems.get_filesystem("gs://bucket/folder/file")).__name__ == "GCSFileSystem"
    system, inner = fsspec.core.url_to_fs("gs://bucket/folder/file", token="anon")
    assert type(system).__module__.partition(".")[0] == "gcsfs"
    assert inner == "bucket/folder/file"


@in_their_own_environment
def test_clients_of_amazons_storage_are_there(bucket: list[str]) -> None:
    assert type(FileSystems.get_filesystem("s3://bucket/folder/file")).__name__ == "S3FileSystem"
    assert files.size("s3://bucket/shard") == len(OBJECT)


OBJECT = bytes(range(256)) * 50_000
"""12.8 MB: three of gcsfs's blocks of 5 MB."""


class Bucket(BaseHTTPRequestHandler):
    """Answers for the object `bucket/shard` as Google's and Amazon's storage do."""

    protocol_version = "HTTP/1.1"
    ranges: list[str]

    def do_HEAD(self) -> None:
        self._answer(200, b"", len(OBJECT))

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked:
            self.ranges.append(asked[0])
            first, last = (int(each) for each in asked.groups())
            part = OBJECT[first : last + 1]
            self._answer(206, part, len(part), f"bytes {first}-{first + len(part) - 1}/{len(OBJECT)}")
        else:
            facts = {"kind": "storage#object", "name": "shard", "bucket": "bucket", "size": str(len(OBJECT))}
            text = json.dumps(facts).encode()
            self._answer(200, text, len(text))

    def _answer(self, status: int, content: bytes, length: int, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A bucket on this machine, for Google's and Amazon's clients; the ranges that they ask for."""
    handler = type("CountingBucket", (Bucket,), {"ranges": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        for name, value in {
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": address,
            "AWS_SECRET_ACCESS_KEY": "any",
            "FSSPEC_GS": '{"token": "anon"}',
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks another of Google's services about the bucket
            "STORAGE_EMULATOR_HOST": address,
        }.items():
            monkeypatch.setenv(name, value)
        Thread(target=server.serve_forever, daemon=True).start()
        yield handler.ranges
        server.shutdown()


@in_their_own_environment
@pytest.mark.parametrize(("scheme", "requests"), [("gs", 3), ("s3", 1)])
def test_what_is_read_in_small_pieces_comes_in_blocks(scheme: str, requests: int, bucket: list[str]) -> None:
    code = (
        "import hashlib, sys; from base import files; found = hashlib.sha256()\n"
        "with files.open_for_reading(sys.argv[1]) as file:\n"
        "    while piece := file.read(12) + file.read(32_000): found.update(piece)\n"
        "print(found.hexdigest())"
    )
    command = [sys.executable, "-c", code, f"{scheme}://bucket/shard"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == hashlib.sha256(OBJECT).hexdigest(), done.stderr
    assert len(bucket) <= requests, bucket

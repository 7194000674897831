"""Claims about the stage `corpus`: downloads resume and are checked, folders stay clean, mistakes are one line."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus_tools import contents, corpus_files, run_stage, tar_gz, write_parameters

from base import params
from base.errors import DataError
from pipelines.archives import write_corpus
from pipelines.corpus import corpus, download
from pipelines.corpus.foreign import Foreign
from pipelines.corpus.synthesis import Synthesis
from stores.lineage import Archive

CONTENT = b"\x1f\x8b" + np.random.default_rng(0).bytes(400_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
RELEASE = download.Release("official.tar.gz", len(CONTENT), SHA256, "CC BY 4.0")
CUT = 200_000


@dataclass
class Host:
    """A web server on the loopback and how it behaves.

    Attributes:
        content: the file that it offers under every name.
        ranges: whether it obeys Range.
        says_length: whether it sends Content-Length.
        cuts: for each of the first requests, after how many bytes it breaks the connection.
        statuses: for each of the first requests, the error that it answers with.
        asked: the Range header of each request.
    """

    base: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    says_length: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)


def handler(host: Host) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            host.asked.append(wanted)
            if host.statuses:
                self.send_error(host.statuses.pop(0))
                return
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and host.ranges else 0
            total = len(host.content)
            if start >= total:
                self.send_error(416)
                return
            self.send_response(206 if wanted and host.ranges else 200)
            if wanted and host.ranges:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if host.says_length:
                self.send_header("Content-Length", str(total - start))
            self.end_headers()
            self.wfile.write(host.content[start:][: host.cuts.pop(0) if host.cuts else None])

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    host = Host()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(host)) as server:
        host.base = f"http://127.0.0.1:{server.server_port}/data/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield host
        server.shutdown()
        thread.join()


def fetch(host: Host, folder: Path, release: download.Release = RELEASE) -> Path:
    return download.fetch(release, folder, host.base, first_pause_s=0.001)


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("says_length", [True, False])
def test_a_download_is_the_published_file_and_leaves_no_part(host: Host, tmp_path: Path, says_length: bool) -> None:
    host.says_length = says_length

    path = fetch(host, tmp_path)

    assert path.read_bytes() == CONTENT
    assert file_names(tmp_path) == ["official.tar.gz"]
    assert len(host.asked) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(host: Host, tmp_path: Path) -> None:
    host.cuts = [CUT, 0, 100_000]

    assert fetch(host, tmp_path).read_bytes() == CONTENT

    starts = [int(re.findall(r"\d+", str(asked))[0]) for asked in host.asked]
    assert len(starts) == 4
    assert 0 < CUT - starts[1] <= 65_536, "at most one packet is lost"
    assert starts[0] == 0 and starts[1] == starts[2] < starts[3]


def test_a_download_that_was_given_up_is_taken_up_by_the_next_run(host: Host, tmp_path: Path) -> None:
    host.cuts = [CUT] + [0] * 20
    with pytest.raises(DataError, match=r"cannot download .*official\.tar\.gz .*check the network"):
        fetch(host, tmp_path)
    arrived = (tmp_path / "official.tar.gz.part").stat().st_size
    host.cuts = []

    assert fetch(host, tmp_path).read_bytes() == CONTENT
    assert host.asked[-1] == f"bytes={arrived}-"
    assert arrived > 0


def test_a_server_that_ignores_range_sends_all_again(host: Host, tmp_path: Path) -> None:
    host.ranges, host.cuts = False, [CUT]

    assert fetch(host, tmp_path).read_bytes() == CONTENT
    assert len(host.asked) == 2


def test_a_passing_error_of_the_server_is_waited_out(host: Host, tmp_path: Path) -> None:
    host.statuses = [503, 500]

    assert fetch(host, tmp_path).read_bytes() == CONTENT


def test_a_refusal_is_reported_at_once_with_its_status(host: Host, tmp_path: Path) -> None:
    host.statuses = [404]
    with pytest.raises(DataError, match=r"official\.tar\.gz answered 404 Not Found: .*set corpus\.source"):
        fetch(host, tmp_path)
    assert len(host.asked) == 1


def test_a_wrong_checksum_deletes_the_download_and_says_so(host: Host, tmp_path: Path) -> None:
    host.content = CONTENT[:-1] + b"?"
    with pytest.raises(DataError, match=f"expected {SHA256}; it was deleted"):
        fetch(host, tmp_path)
    assert file_names(tmp_path) == []


@pytest.mark.parametrize(("content", "says_length"), [(b"<html>log in</html>", True), (CONTENT + b"more", False)])
def test_a_wrong_size_is_refused(host: Host, tmp_path: Path, content: bytes, says_length: bool) -> None:
    host.content, host.says_length = content, says_length
    with pytest.raises(DataError, match=f"expected.* {len(CONTENT)}"):
        fetch(host, tmp_path)
    assert not (tmp_path / "official.tar.gz").exists()


def test_a_wrong_answer_does_not_touch_what_has_arrived(host: Host, tmp_path: Path) -> None:
    part = tmp_path / "official.tar.gz.part"
    part.write_bytes(CONTENT[:CUT])
    host.content, host.ranges = b"<html>log in</html>", False
    with pytest.raises(DataError, match="offers 19 bytes"):
        fetch(host, tmp_path)
    assert part.read_bytes() == CONTENT[:CUT]


def test_a_part_that_is_too_long_is_thrown_away(host: Host, tmp_path: Path) -> None:
    (tmp_path / "official.tar.gz.part").write_bytes(CONTENT + b"more")

    assert fetch(host, tmp_path).read_bytes() == CONTENT


def test_a_host_that_cannot_be_reached_is_one_sentence_that_names_the_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError) as caught:
        download.fetch(RELEASE, tmp_path, f"http://127.0.0.1:{port}/", first_pause_s=0.001)

    message = str(caught.value)
    assert re.match(r"cannot download http://\S+ \(NewConnectionError\): check the network", message)
    assert "[synthetic] or to local archives" in message
    assert "\n" not in message


def test_a_disk_without_room_is_reported_before_the_download(host: Host, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"bytes free, the download needs 1,000,000,000,000,000"):
        fetch(host, tmp_path, download.Release("huge.tar.gz", 10**15, "", ""))
    assert host.asked == []


def test_a_whole_download_is_neither_fetched_again_nor_written(host: Host, tmp_path: Path) -> None:
    cached = tmp_path / "cached"
    cached.write_bytes(CONTENT)
    cached.chmod(0o444)
    folder = tmp_path / "raw"
    folder.mkdir()
    os.link(cached, folder / "official.tar.gz")

    fetch(host, folder)

    assert host.asked == []
    assert (folder / "official.tar.gz").stat().st_ino == cached.stat().st_ino


def test_a_damaged_file_of_the_right_name_is_replaced_and_its_link_in_a_cache_left_alone(
    host: Host, tmp_path: Path
) -> None:
    cached = tmp_path / "cached"
    cached.write_bytes(b"damaged")
    folder = tmp_path / "raw"
    folder.mkdir()
    os.link(cached, folder / "official.tar.gz")

    fetch(host, folder)

    assert (folder / "official.tar.gz").read_bytes() == CONTENT
    assert cached.read_bytes() == b"damaged"


def test_official_releases_are_described_with_their_license(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "RELEASES", {"official": RELEASE})
    monkeypatch.setattr(download, "fetch", functools.partial(download.fetch, base=host.base))
    synthesis = Synthesis(speakers=1, noise_seconds=2, seed=0)
    foreign = Foreign(speakers=1, words=1, seed=0)
    config = corpus.Corpus(sources=("official",), synthesis=synthesis, foreign=foreign)
    (origin,) = corpus.origins(config)

    archive = corpus.place(origin, tmp_path, config)

    assert archive == Archive("official.tar.gz", "main", len(CONTENT), SHA256, "official", "CC BY 4.0")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with two archives next to it, as a user's project has it."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "mine.tar.gz").write_bytes(tar_gz(corpus_files()))
    (tmp_path / "given" / "tests.tgz").write_bytes(tar_gz(corpus_files()[:3]))
    return tmp_path


def set_sources(project: Path, *sources: str | dict[str, str]) -> None:
    small = {"speakers": 1, "noise_seconds": 2, "seed": 0}
    write_parameters(project, corpus__sources=list(sources), corpus__synthesis=small)


def described(project: Path) -> list[dict[str, Any]]:
    archives: list[dict[str, Any]] = json.loads((project / "raw/corpus.json").read_text())["archives"]
    return archives


def test_local_archives_are_copied_and_described(project: Path) -> None:
    set_sources(project, "given/mine.tar.gz", {"path": str(project / "given/tests.tgz"), "role": "test"})

    outcome = run_stage(project, "corpus", "raw")

    assert outcome.code == 0, outcome.stderr
    assert contents(project / "raw").keys() == {"mine.tar.gz", "tests.tgz", "corpus.json"}
    assert described(project) == [
        {
            "file": file,
            "role": role,
            "bytes": (project / "given" / file).stat().st_size,
            "sha256": hashlib.sha256((project / "given" / file).read_bytes()).hexdigest(),
            "source": "local",
            "license": None,
            "layout": "speech_commands",
            "corpus": "",
            "speaker": None,
        }
        for file, role in (("mine.tar.gz", "main"), ("tests.tgz", "test"))
    ]
    assert contents(project / "raw")["mine.tar.gz"] == contents(project / "given")["mine.tar.gz"]


def test_an_uncompressed_archive_is_copied_as_it_is(project: Path) -> None:
    content = gzip.decompress((project / "given/mine.tar.gz").read_bytes())
    (project / "given/mine.tar").write_bytes(content)
    set_sources(project, "given/mine.tar")

    assert run_stage(project, "corpus", "raw").code == 0
    assert (project / "raw/mine.tar").read_bytes() == content
    assert described(project)[0]["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_synthetic_corpus_takes_the_place_of_a_local_one_and_is_the_same_again(project: Path) -> None:
    set_sources(project, "given/mine.tar.gz")
    assert run_stage(project, "corpus", "raw").code == 0
    set_sources(project, "synthetic")

    outcome = run_stage(project, "corpus", "raw")
    first = contents(project / "raw")
    again = run_stage(project, "corpus", "raw")

    assert (outcome.code, again.code) == (0, 0), outcome.stderr + again.stderr
    assert first.keys() == {"synthetic_speech_commands.tar.gz", "corpus.json"}
    assert contents(project / "raw") == first
    assert described(project)[0]["license"] == "CC0-1.0"


UNUSABLE: dict[str, tuple[tuple[str | dict[str, str], ...], str]] = {
    "missing": (
        ("given/none.tar.gz",),
        r"corpus\.sources\[0\] is 'given/none\.tar\.gz': no such file or folder, and not one of synth",
    ),
    "unknown release": (("speech_commands_v9",), r"no such file or folder, and not one of .*speech_commands_v0\.01, "),
    "ending": (
        ("given/words.rar",),
        r"corpus\.sources\[0\] is .* expected a folder or a name that ends in \.tar\.gz or",
    ),
    "not gzip": (("given/words.tar.gz",), r"words\.tar\.gz is not a gzip file: it begins with b'PK', expected"),
    "not tar": (("given/words.tar",), r"words\.tar is not an uncompressed tar archive \(.*\); name it by its format"),
    "not zip": (("given/words.zip",), r"words\.zip is not a zip archive: it begins with b'PK'"),
    "gzip": (("given/packed.tar",), r"packed\.tar is not an uncompressed tar archive \(.*\); name it by its format"),
    "nothing to hear": (
        ("given/empty",),
        r"empty has no audio file that a layout knows; it begins with: README\.md; the",
    ),
    "cut short": (("given/cut.tar.gz",), r"cut\.tar\.gz is damaged or cut short"),
    "same name": (
        ("given/mine.tar.gz", "given/mine.tar.gz"),
        r"two of corpus\.sources are named mine\.tar\.gz: rename",
    ),
    "same corpus": (
        ("given/wo rds", "given/wo-rds"),
        r"both of the corpus 'wo-rds' by their names: say corpus: in one",
    ),
    "role": (
        ({"path": "given/mine.tar.gz", "role": "noise", "layout": "words"},),
        r"role noise and the layout words: the",
    ),
    "layout": (
        ({"path": "given/mine.tar.gz", "layout": "nobody"},),
        "there is no layout 'nobody'; the layouts are demand,",
    ),
    "speaker": (
        ({"path": "synthetic", "speaker": "(?P<speaker>.)"},),
        "has a corpus or a speaker, which the layout speech_commands does not take",
    ),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_source_that_is_not_usable_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    given = project / "given"
    for name in ("words.zip", "words.tar.gz", "words.tar", "words.rar"):
        (given / name).write_bytes(b"PK zip")
    (given / "packed.tar").write_bytes(tar_gz(corpus_files()[:3]))
    (given / "cut.tar.gz").write_bytes(tar_gz([("a", bytes(90_000)), *corpus_files()[:3]])[:99])
    for name in ("empty/README.md", "wo rds/yes/a.wav", "wo-rds/yes/a.wav"):
        (given / name).parent.mkdir(parents=True)
        (given / name).write_bytes(b"")
    monkeypatch.chdir(project)
    set_sources(project, *UNUSABLE[what][0])
    with pytest.raises(DataError, match=UNUSABLE[what][1]):
        corpus.origins(params.load("corpus", corpus.Corpus))


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], "corpus.sources"),
        ([3], "corpus.sources"),
        ([{"path": "synthetic", "colour": "red"}], "corpus.sources"),
        ([{"layout": "words"}], "corpus.sources"),
        ([{"path": "words", "speaker": "(?P<speaker>"}], "is no regular expression"),
        ([{"path": "words", "speaker": ".*"}], "has no group"),
        ([{"path": "words", "corpus": "My words"}], "corpus.sources"),
    ],
)
def test_a_mistake_in_the_sources_is_one_line(project: Path, sources: list[Any], message: str) -> None:
    set_sources(project, *sources)
    with pytest.raises(DataError) as caught:
        params.load("corpus", corpus.Corpus, project / "params.yaml")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_gzip_ends_in_one_line_and_no_corpus(project: Path) -> None:
    (project / "given/mine.tar.gz").write_bytes(b"<html>not found</html>")
    set_sources(project, "given/mine.tar.gz")

    outcome = run_stage(project, "corpus", "raw")

    assert outcome.code == 1
    assert len(outcome.stderr.splitlines()) == 1
    assert outcome.stderr.startswith("error: given/mine.tar.gz is not a gzip file")
    assert not (project / "raw").exists()


def test_what_the_command_did_not_put_there_is_never_deleted(tmp_path: Path) -> None:
    (tmp_path / "speech_commands_v0.02.tar.gz.part").write_bytes(b"half")
    (tmp_path / "thesis.tar.gz").write_bytes(b"precious")
    with pytest.raises(DataError, match=r"thesis\.tar\.gz was not put there by this command: move it away"):
        corpus.clear(tmp_path, [corpus.SYNTHETIC_FILES[corpus.SYNTHETIC]])
    assert file_names(tmp_path) == ["speech_commands_v0.02.tar.gz.part", "thesis.tar.gz"]


def test_clearing_keeps_what_is_wanted_and_its_part_and_removes_the_description(tmp_path: Path) -> None:
    write_corpus(str(tmp_path), [Archive("mine.tar.gz", "main", 1, "0" * 64, "local", None)])
    for name in ("mine.tar.gz", ".mine.tar.gz.part", "mine.tar.gz.part", "speech_commands_v0.01.tar.gz", ".hidden"):
        (tmp_path / name).write_bytes(b"")
    for name in ("speech_commands_v0.02.tar.gz", "speech_commands_v0.02.tar.gz.part"):
        (tmp_path / name).write_bytes(b"")

    corpus.clear(tmp_path, ["speech_commands_v0.02.tar.gz"])

    wanted = ["speech_commands_v0.02.tar.gz", "speech_commands_v0.02.tar.gz.part"]
    assert file_names(tmp_path) == [".hidden", *wanted]


def test_an_archive_that_lies_in_the_output_folder_itself_stays_as_it_is(project: Path) -> None:
    before = contents(project / "given")["mine.tar.gz"]
    (project / "given/tests.tgz").unlink()
    set_sources(project, "given/mine.tar.gz")

    assert run_stage(project, "corpus", "given").code == 0
    assert contents(project / "given")["mine.tar.gz"] == before

"""The server: it says what `predict` says, and whatever a client sends ends in one sentence and takes down nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import requests
from aiohttp import web
from corpus_tools import environment
from web_tools import Server, encoded, serving, tone

from features.audio_file import AudioFile
from readers.audio import audio_of
from readers.store import open_store
from results.predictions import read_predictions
from serving.model import open_model
from serving.predict import decode_recording
from serving.recognizer import Listening
from serving.web import openapi
from serving.web.hosts import is_own_host, is_own_origin
from serving.web.limits import Limits, limits_of
from serving.web.quota import Bucket, Quotas
from serving.web.site import Access, Site
from serving.web.teaching import Sources

pytestmark = pytest.mark.slow
FEW = {"requests_per_s": 1000, "requests_at_once": 10_000}


@pytest.fixture(scope="module")
def export(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of an export alone: the server has nothing else."""
    return Path(shutil.copytree(project / "export", tmp_path_factory.mktemp("web") / "export"))


@pytest.fixture(scope="module")
def clips(project: Path) -> np.ndarray[Any, Any]:
    """Test clips, int16, (clips, 16000)."""
    ids = read_predictions(project / "evaluation/predictions.parquet").ids
    return audio_of(open_store(project / "clips"), ids[:6])


@pytest.fixture(scope="module")
def server(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that has the usual bounds, but for how often one may ask."""
    with serving(export, tmp_path_factory.mktemp("place") / "here", limits=FEW) as found:
        yield found


def answered(model: Any, data: bytes) -> dict[str, Any]:
    """What `predict` finds, as the interface says it."""
    found = decode_recording(model, "", AudioFile(data), Listening())
    return {
        "seconds": found.seconds,
        "top": [{"word": each.word, "probability": each.probability} for each in found.top],
        "heard": [{"word": each.word, "time_s": each.time_s, "score": each.score} for each in found.heard],
        "thresholds": model.thresholds,
    }


def forms(clips: np.ndarray[Any, Any]) -> dict[str, bytes]:
    """Files of many forms: a clip each, and one of several seconds."""
    stereo = np.stack([clips[1], clips[2]], axis=1)
    return {
        "wav": encoded(clips[0]),
        "float": encoded(clips[0] / 40_000, subtype="FLOAT"),
        "flac": encoded(clips[1], form="FLAC"),
        "stereo": encoded(stereo, 44_100),
        "vorbis": encoded(clips[3], form="OGG", subtype="VORBIS"),
        "opus": encoded(clips[3], 48_000, form="OGG", subtype="OPUS"),
        "mp3": encoded(clips[4], 22_050, form="MP3"),
        "long": encoded(np.concatenate(clips), form="FLAC"),
    }


def test_a_file_gets_what_predict_says_of_it(server: Server, export: Path, clips: np.ndarray[Any, Any]) -> None:
    model = open_model(export)
    for form, data in forms(clips).items():
        response = server.post(data, "application/octet-stream")
        assert response.status_code == 200, (form, response.text)
        assert response.json() == json.loads(json.dumps(answered(model, data))), form


def test_the_command_line_says_the_same(
    server: Server, export: Path, clips: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    names = []
    for number, clip in enumerate(clips):
        (tmp_path / f"{number}.wav").write_bytes(encoded(clip))
        names.append(str(tmp_path / f"{number}.wav"))
    command = [sys.executable, "-m", "serving.predict", str(export), *names, "--json"]
    lines = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True).stdout.splitlines()
    for name, line in zip(names, lines, strict=True):
        content = server.post(Path(name).read_bytes()).json()
        assert content["top"] == json.loads(line)["top"]


def test_a_form_is_a_file_and_its_name_never_reaches_the_disk(server: Server, clips: np.ndarray[Any, Any]) -> None:
    data, place = encoded(clips[0]), server.log.parent
    before = sorted(place.rglob("*"))
    files = {"file": ("../../../evil name.wav", data, "audio/wav")}
    response = requests.post(f"{server.url}/v1/predict", files=files, timeout=60)
    assert response.json() == server.post(data).json()
    assert "evil" not in response.text
    assert sorted(place.rglob("*")) == before


def test_raw_fields_before_the_file_are_passed_over(server: Server, clips: np.ndarray[Any, Any]) -> None:
    response = requests.post(
        f"{server.url}/v1/predict", data={"note": "x"}, files={"file": encoded(clips[0])}, timeout=60
    )
    assert response.status_code == 200


WAV = encoded(tone(0.5))
REFUSED: dict[str, tuple[bytes, str, int, str]] = {
    "nothing": (b"", "audio/wav", 422, "The body is empty"),
    "text": (b"hello, this is no audio at all", "audio/wav", 415, "no audio that can be read"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "audio/wav", 415, "no audio that can be read"),
    "another type": (WAV, "text/html", 415, "type is none of an audio file"),
    "too large": (bytes(10_000_001), "audio/wav", 413, "larger than 10 MB"),
    "too long": (encoded(np.zeros(61 * 16_000, np.int16), form="FLAC"), "audio/flac", 413, "longer than 60 seconds"),
    "too many channels": (encoded(tone(0.1, channels=9)), "audio/wav", 422, "has 9 channels, at most 8 are read"),
    "too slow a rate": (encoded(tone(0.5, 2000), 2000), "audio/wav", 422, "2000 Hz"),
    "cut off": (WAV[:-100], "audio/wav", 422, "can't be decoded"),
    "a header alone": (WAV[:44], "audio/wav", 422, "can't be decoded"),
    "cut flac": (encoded(tone(0.5), form="FLAC")[:-200], "audio/flac", 422, "can't be decoded"),
    "a form without a file": (b"--x\r\n\r\n--x--\r\n", "multipart/form-data; boundary=x", 422, "form"),
    "a broken form": (b"nothing", "multipart/form-data; boundary=x", 422, "form"),
    "a form with a broken header": (b"--x\r\n[]--x--\r\n", "multipart/form-data; boundary=x", 422, "form"),
    "a form without a boundary": (b"nothing", "multipart/form-data", 422, "form"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_can_not_be_decoded_is_refused_in_one_sentence(what: str, server: Server) -> None:
    data, kind, status, part = REFUSED[what]
    assert_refused(server.post(data, kind), status, part)


def assert_refused(response: requests.Response, status: int, part: str) -> None:
    assert response.status_code == status, response.text
    content = response.json()
    assert set(content) == {"error"} and part in content["error"]
    assert content["error"].endswith(".") and "\n" not in content["error"]
    assert not re.search(r"/\w+/|Traceback|\.py|File \"", content["error"])


def test_a_stream_of_chunks_is_cut_off_at_the_bound(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(400):
            yield bytes(1 << 16)

    try:
        response = server.post(endless(), "audio/wav")
    except requests.ConnectionError:
        return  # it was cut off while it still sent
    assert_refused(response, 413, "larger than 10 MB")


def test_a_compressed_body_is_not_unpacked(server: Server) -> None:
    response = server.post(gzip.compress(WAV), headers={"Content-Encoding": "gzip"})
    assert_refused(response, 415, "compressed")


def test_addresses_that_do_not_exist_and_methods_that_do_not_fit(server: Server) -> None:
    assert_refused(server.get("/static/../../serving/web/site.py"), 404, "nothing here")
    assert_refused(server.get("/static/%2e%2e%2fsite.py"), 404, "nothing here")
    assert_refused(server.get("/v1/nothing"), 404, "nothing here")
    response = server.get("/v1/predict")
    assert_refused(response, 405, "takes POST")
    assert response.headers["Allow"] == "POST"
    assert_refused(server.get("/v1/listen"), 426, "WebSocket")
    assert_refused(server.get("/words"), 404, "nothing here")  # recording is not switched on
    assert_refused(requests.post(f"{server.url}/v1/words/a/takes", timeout=60), 404, "nothing here")


def test_other_names_and_pages_of_other_sites_are_turned_away(server: Server) -> None:
    assert_refused(server.get("/v1/model", headers={"Host": "evil.example"}), 421, "--allow-host")
    foreign = {"Origin": "http://evil.example"}
    assert_refused(server.post(WAV, headers=foreign), 403, "other sites")
    assert server.post(WAV, headers={"Origin": server.url}).status_code == 200
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    assert_refused(server.get("/v1/listen", headers={**upgrade, **key, **foreign}), 403, "other sites")


HOSTS = {
    "localhost:5000": True, "127.0.0.1": True, "[::1]:80": True, "page.lan": True, "evil@localhost": True,
    "10.0.0.7:5000": False, "localhost.evil.example": False, "": False, "[": False,
}  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_are_known_by_name(host: str) -> None:
    assert is_own_host(host, ["page.lan"], any_address=False) == HOSTS[host]


def test_a_server_on_all_addresses_answers_to_each_but_to_no_foreign_name() -> None:
    assert is_own_host("10.0.0.7:5000", [], any_address=True)
    assert not is_own_host("evil.example", [], any_address=True)


def test_an_origin_has_the_hosts_name_and_port() -> None:
    assert is_own_origin(None, "localhost:5000")
    assert is_own_origin("http://LOCALHOST:5000", "localhost:5000")
    assert not is_own_origin("http://localhost:5001", "localhost:5000")
    assert not is_own_origin("null", "localhost:5000")


def test_what_is_served_says_what_it_is(server: Server, export: Path) -> None:
    content = server.get("/v1/model").json()
    described = open_model(export).export
    assert content["classes"] == list(described.classes) and content["recording"] is False
    assert content["accuracy"]["low"] <= content["accuracy"]["share"] <= content["accuracy"]["high"]
    assert str(export) not in json.dumps(content)
    assert server.get("/healthz").json() == {"status": "ok"}
    metrics = server.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain")
    assert 'keyword_spotting_requests_total{route="/healthz",status="200"}' in metrics.text
    assert "process_resident_memory_bytes" in metrics.text


class Outside(HTMLParser):
    """Collects what a page holds that its policy would not allow, and what it loads."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)
        if tag != "a":
            self.loaded += [str(given[name]) for name in ("src", "href") if name in given]


def test_the_page_has_a_strict_policy_nothing_inline_and_nothing_from_elsewhere(server: Server) -> None:
    response = server.get("/")
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    page = Outside()
    page.feed(response.text)
    assert not page.inline
    assert page.loaded
    for place in page.loaded:
        found = server.get(place)
        assert place.startswith("/static/") and found.status_code == 200, place
        assert found.headers["X-Content-Type-Options"] == "nosniff"
        assert server.get(place, headers={"If-None-Match": found.headers["ETag"]}).status_code == 304


def connected(server: Server, exchange: Any, **options: Any) -> Any:
    """Speak with the WebSocket: `exchange(socket)` says what."""

    async def speak() -> Any:
        address = f"{server.url}/v1/listen"
        async with aiohttp.ClientSession() as session, session.ws_connect(address, **options) as socket_:
            return await asyncio.wait_for(exchange(socket_), 60)

    return asyncio.run(speak())


def test_a_stream_gets_the_recognizers_steps_and_features(
    server: Server, export: Path, clips: np.ndarray[Any, Any]
) -> None:
    samples = np.concatenate(clips[:3])
    model = open_model(export)
    expected = list(model.recognizer(Listening()).feed(samples))

    async def exchange(socket_: aiohttp.ClientWebSocketResponse) -> tuple[Any, ...]:
        ready = json.loads(await socket_.receive_str())
        for start in range(0, len(samples), 3333):
            await socket_.send_bytes(samples[start : start + 3333].astype("<i2").tobytes())
        steps, pictures = [], []
        for _ in expected:
            steps.append(json.loads(await socket_.receive_str()))
            pictures.append(np.frombuffer(await socket_.receive_bytes(), "<f4"))
        return ready, steps, pictures

    ready, steps, pictures = connected(server, exchange, origin=server.url)
    assert ready["type"] == "ready" and ready["classes"] == list(model.export.classes)
    rows, width = ready["picture"]["rows"], ready["picture"]["coefficients"]
    for step, picture, each in zip(steps, pictures, expected, strict=True):
        best = int(each.probabilities.argmax())
        assert step["time_s"] == round(each.time_s, 3)
        assert step["top"][0]["word"] == model.export.classes[best]
        assert step["top"][0]["probability"] == pytest.approx(float(each.probabilities[best]), abs=1e-4)
        np.testing.assert_array_equal(picture.reshape(rows, width), each.features[-rows:])


async def last_word(socket_: aiohttp.ClientWebSocketResponse) -> Any:
    """What is said before a stream ends."""
    found = None
    async for message in socket_:
        if message.type == aiohttp.WSMsgType.TEXT:
            found = json.loads(message.data)
    return found


@pytest.mark.parametrize(("what", "status"), [("text", 422), ("half a sample", 422), ("a flood", 429)])
def test_a_stream_that_is_none_is_ended_with_a_sentence(what: str, status: int, server: Server) -> None:
    async def exchange(socket_: aiohttp.ClientWebSocketResponse) -> Any:
        if what == "text":
            await socket_.send_str("hello")
        elif what == "half a sample":
            await socket_.send_bytes(b"123")
        else:
            for _ in range(20):
                await socket_.send_bytes(bytes(32_000))
        return await last_word(socket_)

    found = connected(server, exchange)
    assert found["type"] == "refused" and found["status"] == status and found["error"].endswith(".")


def test_a_message_of_more_than_a_second_ends_the_stream(server: Server) -> None:
    async def exchange(socket_: aiohttp.ClientWebSocketResponse) -> Any:
        await socket_.send_bytes(bytes(200_000))
        await last_word(socket_)
        return socket_.close_code

    assert connected(server, exchange) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    assert server.get("/healthz").status_code == 200


@pytest.fixture(scope="module")
def narrow(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with narrow bounds, so that they are reached at once."""
    bounds = {
        "body_s": 4, "idle_s": 4, "decoders": 1, "waiting": 2, "waiting_bytes": 2_000_000, "wait_s": 4,
        "decode_s": 0.4, "file_seconds": 1000, "connections": 12, "connections_per_address": 8,
        "requests_per_s": 0.5, "requests_at_once": 30, "listeners": 2, "listeners_per_address": 1, "silent_s": 1,
    }  # fmt: skip
    with serving(export, tmp_path_factory.mktemp("place") / "narrow", limits=bounds) as found:
        yield found


def spoken(server: Server, content: bytes, wait_s: float = 15, address: str = "127.0.0.1") -> bytes:
    """What comes back on a plain socket until the server closes it."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=wait_s, source_address=(address, 0)) as plain:
        plain.sendall(content)
        found = b""
        try:
            while piece := plain.recv(65536):
                found += piece
        except ConnectionResetError:
            pass
        return found


HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: 1000\r\n"


def test_slow_senders_are_let_go(narrow: Server) -> None:
    begun = time.monotonic()
    assert spoken(narrow, b"") == b""
    assert spoken(narrow, HEAD) == b""  # its headers never end
    found = spoken(narrow, HEAD + b"\r\n" + b"RIFF")
    assert found.startswith(b"HTTP/1.1 408") and b"did not come within 4 seconds" in found
    assert time.monotonic() - begun < 40


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000, b"\r\n" * 50])
def test_what_is_no_http_gets_a_short_answer_or_none(junk: bytes, narrow: Server) -> None:
    found = spoken(narrow, junk, address="127.0.0.2")
    if found:
        head, _, content = found.partition(b"\r\n\r\n")
        assert b" 400 " in head.splitlines()[0]
        assert json.loads(content) == {"error": "The request is not HTTP as it should be."}


def test_connections_beyond_the_bounds_are_told_so(narrow: Server) -> None:
    kept = [socket.create_connection(("127.0.0.1", narrow.port), source_address=("127.0.0.3", 0)) for _ in range(8)]
    time.sleep(0.2)
    found = spoken(narrow, b"", address="127.0.0.3")
    assert found.startswith(b"HTTP/1.1 503") and b"too many connections" in found
    assert narrow.get("/healthz").status_code == 200  # another address is not concerned
    for each in kept:
        each.close()


def test_an_address_that_asks_too_often_is_told_to_wait(narrow: Server) -> None:
    statuses = [narrow.post(b"").status_code for _ in range(35)]
    assert set(statuses) == {422, 429} and statuses[0] == 422
    response = narrow.post(b"")
    assert_refused(response, 429, "wait")
    assert response.headers["Retry-After"]


def ask(server: Server, data: bytes, address: str) -> int:
    """The status of a file sent from an address."""
    head = "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: audio/wav\r\n"
    found = spoken(server, f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data, 60, address)
    return int(found.split()[1])


def wait_for_decoder(server: Server) -> None:
    """Wait until another process has started."""
    for _ in range(100):
        if ask(server, WAV, "127.0.2.1") == 200:
            return
        time.sleep(0.3)
    raise AssertionError("no decoder came back")


def test_a_file_that_takes_too_long_is_given_up_and_others_wait_in_a_bounded_queue(narrow: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    slow = encoded(np.zeros(900 * 16_000, np.int16), form="FLAC")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: ask(narrow, slow, f"127.0.1.{number}"), range(8)))
    assert set(found) == {422, 503}
    wait_for_decoder(narrow)
    lost = re.search(r"^keyword_spotting_decoders_lost (\S+)$", narrow.get("/metrics").text, re.MULTILINE)
    assert lost and float(lost[1]) >= 1


def test_files_wait_in_a_queue_of_bounded_size(narrow: Server) -> None:
    from concurrent.futures import ThreadPoolExecutor

    slow = encoded(np.zeros(900 * 16_000, np.int16), form="FLAC")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(ask, narrow, slow, "127.0.3.1")
        time.sleep(0.2)  # it is decoded, or its process is being replaced
        assert ask(narrow, bytes(2_000_001), "127.0.3.2") == 503
        assert first.result() == 422
    wait_for_decoder(narrow)
    assert ask(narrow, bytes(2_000_001), "127.0.3.2") == 415


def test_streams_beyond_the_bounds_and_silent_ones_are_told_so(narrow: Server) -> None:
    async def exchange(first: aiohttp.ClientWebSocketResponse) -> Any:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{narrow.url}/v1/listen") as second:
            refused = await last_word(second)
        return refused, await last_word(first)

    refused, silent = connected(narrow, exchange)
    assert refused["status"] == 429 and "end one of them" in refused["error"]
    assert silent["status"] == 408 and "No sound came for 1 seconds" in silent["error"]


def test_a_server_ends_at_once_with_streams_open(export: Path, tmp_path: Path) -> None:
    async def open_stream(url: str) -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/v1/listen") as stream:
            await stream.receive_str()
            found.process.terminate()
            assert (await stream.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    with serving(export, tmp_path / "here") as found:
        asyncio.run(open_stream(found.url))
        assert found.process.wait(20) == 0


def test_a_taken_port_and_wrong_limits_end_in_a_line(server: Server, export: Path) -> None:
    def failed(*options: str) -> str:
        command = [sys.executable, "-m", "serving.web", str(export), *options]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=100)
        assert done.returncode == 1
        return done.stderr

    taken = failed("--port", str(server.port))
    assert re.fullmatch(r"error: 127.0.0.1 can't be listened on: .*; give another --host or --port\n", taken)
    wrong = failed("--limit", "listeners=0")
    assert wrong == "error: limit listeners: got 0, input should be greater than or equal to 1\n"
    assert "error: there is no limit 'ears'; the limits are file_bytes" in failed("--limit", "ears=2")
    assert "error: limit idle_s: got 'soon', expected a number" in failed("--limit", "idle_s=soon")
    assert "is no multiple of the hop" in failed("--step-ms", "25")
    assert limits_of(["listeners=20", "idle_s=2.5"]) == Limits(listeners=20, idle_s=2.5)


def test_the_interface_is_what_its_description_says(server: Server, tmp_path: Path) -> None:
    """By schemathesis: made-up requests for each operation, and the answers against the description.

    Most files that are one by the description, any bytes, are no audio: a refusal of them is no mistake.
    """
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "run", f"{server.url}/openapi.json", "--exclude-checks=positive_data_acceptance"]
    more = [
        "--phases=examples,coverage,fuzzing",
        "--max-examples=40",
        "--generation-deterministic",
        "--no-color",
        "--suppress-health-check=all",
    ]
    done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert "5 selected / 5 total" in done.stdout


@pytest.mark.parametrize("recording", [False, True])
def test_the_description_has_every_route_for_programs(recording: bool, export: Path, tmp_path: Path) -> None:
    sources = Sources(tmp_path / "model", tmp_path / "raw", tmp_path / "takes", tmp_path / "work")
    site = Site(
        export, open_model(export), Listening(), Limits(), Access("127.0.0.1", 0), sources if recording else None
    )
    described = openapi.document(Limits(), recording=recording)["paths"]
    answered = {
        (re.sub(r":[^/]*", "}", route.path), route.method.lower())
        for route in site.routes()
        if isinstance(route, web.RouteDef) and not route.path.startswith(("/static", "/words")) and route.path != "/"
    }
    assert answered == {
        (path, method) for path, methods in described.items() for method in methods if method != "parameters"
    }


def test_the_server_runs_in_an_environment_without_tensorflow(
    export: Path, clips: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    python = os.environ.get("SERVING_PYTHON")
    if not python:
        pytest.skip("SERVING_PYTHON does not name the interpreter of such an environment")
    model = open_model(export)
    with serving(export, tmp_path / "here", python=python) as found:
        assert found.post(encoded(clips[0])).json() == json.loads(json.dumps(answered(model, encoded(clips[0]))))
        assert "Say a word" in found.get("/").text


def test_a_stream_test_gives_each_word_its_threshold(export: Path, clips: np.ndarray[Any, Any], tmp_path: Path) -> None:
    words = open_model(export).words
    thresholds = {word: 0.5 + place / 100 for place, word in enumerate(words)}
    (tmp_path / "stream.json").write_text(json.dumps({"model": "tiny", "thresholds": thresholds}))
    with serving(export, tmp_path / "here", "--thresholds", str(tmp_path / "stream.json")) as found:
        assert found.get("/v1/model").json()["thresholds"] == thresholds
        assert found.post(encoded(clips[0])).json()["thresholds"] == thresholds
    assert open_model(export, tmp_path / "stream.json").thresholds == thresholds


def test_a_bucket_gives_what_flows_in_and_forgets_no_address_that_sends() -> None:
    now = [0.0]
    bucket = Bucket(2.0, 3.0, lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take(), bucket.take()] == [True, False]
    quotas = Quotas(1.0, 1.0, lambda: now[0])
    assert quotas.take("a") and not quotas.take("a") and quotas.take("b")

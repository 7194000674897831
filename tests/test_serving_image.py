"""The steps of deploy/serving/Dockerfile, one by one in a clean environment: what it copies is enough to serve."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from corpus_tools import ROOT, voice, wav
from serving_tools import tiny_export

from serving.model import open_model
from serving.predict import decode_file
from serving.recognizer import Listening

DOCKERFILE = ROOT / "deploy" / "serving" / "Dockerfile"
CLASSES = ("_silence_", "_unknown_", "yes", "no")
TENSORFLOW_FREE = "import importlib.util as u; print(u.find_spec('tensorflow'), u.find_spec('apache_beam'))"


class Step(NamedTuple):
    """An instruction of a Dockerfile and the rest of its line."""

    name: str
    rest: str


def steps() -> list[Step]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines()]


def values(name: str) -> list[str]:
    return [step.rest for step in steps() if step.name == name]


def last_stage() -> list[Step]:
    found = steps()
    return found[max(place for place, step in enumerate(found) if step.name == "FROM") :]


def copied() -> list[str]:
    """What the last stage copies from the project."""
    return [step.rest.split()[0] for step in last_stage() if step.name == "COPY" and not step.rest.startswith("--")]


def variables() -> dict[str, str]:
    return dict(each.split("=", 1) for each in shlex.split(" ".join(values("ENV"))))


def test_it_has_two_stages_of_a_pinned_image_a_user_of_its_own_and_a_health_check() -> None:
    assert [value.split()[0] for value in values("FROM")] == ["python:3.11-slim-bookworm"] * 2
    assert values("USER") == ["10001:10001"] and "--uid 10001" in values("RUN")[2]
    assert values("EXPOSE") == ["5000"] and len(values("CMD")) == len(values("HEALTHCHECK")) == 1
    assert not any("requirements.txt" in step.rest or "tensorflow" in step.rest for step in steps())


def test_the_context_holds_what_is_copied_and_nothing_else() -> None:
    ignored = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == {
        *copied(),
        "requirements-serving.txt",
    }
    assert all((ROOT / name).exists() for name in copied())


class Image(NamedTuple):
    """The folder that stands for the image's, its Python, and the variables of a process in it."""

    folder: Path
    python: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """All steps but those that make the packages' environment and the user: `make test-serving` made the former."""
    python = os.environ.get("SERVING_PYTHON")
    if not python:
        pytest.skip("SERVING_PYTHON names no Python of an environment for serving: run `make test-serving`")
    folder = tmp_path_factory.mktemp("app")
    for name in copied():
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    cache = folder / "cache"
    cache.mkdir()
    environment = {**variables(), "PATH": f"{Path(python).parent}:{os.defpath}", "NUMBA_CACHE_DIR": str(cache)}
    environment["HOME"] = "/nonexistent"
    ran = [step.rest for step in last_stage() if step.name == "RUN" and step.rest.startswith("python ")]
    assert len(ran) == 2
    for line in ran:
        done = subprocess.run(
            shlex.split(line), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), line
    assert list(cache.rglob("*.nbi")), "the loops were not compiled ahead"
    return Image(folder, python, environment)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_export(tmp_path_factory.mktemp("export") / "tiny", CLASSES)


def run(image: Image, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [image.python, *arguments]
    return subprocess.run(
        command, cwd=image.folder, env=image.environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_files_are_decoded_with_what_the_image_has(image: Image, export: Path, tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(wav(voice(3)))
    assert run(image, "-c", TENSORFLOW_FREE).stdout == "None None\n"
    done = run(image, "-m", "serving.predict", str(export), "--json", str(tmp_path / "clip.wav"))
    assert (done.returncode, done.stderr) == (0, "")
    expected = decode_file(open_model(export), str(tmp_path / "clip.wav"), Listening())
    assert [each["word"] for each in json.loads(done.stdout)["top"]] == [guess.word for guess in expected.top]
    assert json.loads(done.stdout)["top"][0]["probability"] == pytest.approx(expected.top[0].probability, abs=1e-6)


def test_its_command_serves_and_its_health_check_says_so(image: Image, export: Path, tmp_path: Path) -> None:
    module = json.loads(values("CMD")[0])[2]
    if not (image.folder / Path(*module.split("."))).exists():
        pytest.skip(f"this checkout has no {module}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command, check = (
        [part.replace("5000", port).replace("/export", str(export)) for part in json.loads(text[text.index("[") :])]
        for text in (values("CMD")[0], values("HEALTHCHECK")[0])
    )
    environment = {**image.environment, "http_proxy": "", "no_proxy": "*"}
    log = tmp_path / "server.log"
    with log.open("wb") as out, subprocess.Popen(command, cwd=image.folder, env=environment, stderr=out) as server:
        try:
            deadline = time.monotonic() + 120
            while subprocess.run(check, env=environment, capture_output=True, check=False).returncode:
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.5)
        finally:
            server.terminate()

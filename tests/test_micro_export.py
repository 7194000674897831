"""LiteRT for Microcontrollers says of a network what LiteRT says, in the arena that is called the smallest."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_tools import exit_code
from corpus_tools import environment
from serving_tools import MFCC, tiny_export

from features.views import from_definition
from readers.audio import audio_of
from readers.store import open_store
from results.predictions import Predictions, write_predictions
from serving import micro
from serving.description import Quantization, read_export
from serving.runtimes import classifier

CLASSES = ("_silence_", "_unknown_", "yes", "no")
VIEWS = {
    "mfcc": MFCC,
    "micro": from_definition({"kind": "micro", "hop_ms": 20}),
}


@pytest.fixture(scope="module")
def python() -> str:
    found = os.environ.get("MICRO_PYTHON")
    if not found:
        pytest.skip("MICRO_PYTHON names no Python with tflite-micro: run `make test-micro`")
    return found


@pytest.fixture(scope="module", params=VIEWS)
def export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / request.param
    return tiny_export(folder, CLASSES, view=VIEWS[request.param], int8=True)


def said(python: str, *arguments: object) -> dict[str, Any]:
    """What the command printed as JSON."""
    command = [python, "-m", "serving.micro", *(str(each) for each in arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_gives_the_outputs_of_litert_on_noise_of_all_whole_numbers(export: Path, python: str) -> None:
    found, described = said(python, export), read_export(export)
    assert found["model"] == export.name and found["clips"] == 100 and found["inputs"] == "noise"
    assert found["equal"] > 0.9 and found["difference"] <= 1 and found["difference_to_fast"] <= 8
    assert tuple(found["operators"]) == described.models["litert_int8"].operators
    assert found["bytes"] == (export / "network_int8.tflite").stat().st_size and found["accuracy"] is None


def test_it_gives_the_outputs_of_litert_on_test_clips(
    export: Path, python: str, finished: Path, tmp_path: Path
) -> None:
    clips = open_store(str(finished / "clips"))
    ids = tuple(sorted(row["id"] for row in clips.catalog(("id",)).to_pylist())[:20])
    expected = classifier(export, read_export(export), "litert_int8")(audio_of(clips, ids))
    labels = expected.argmax(axis=1)
    write_predictions(tmp_path / "predictions.parquet", Predictions(ids, labels, expected, CLASSES))
    options = ("--clips", finished / "clips", "--predictions", tmp_path / "predictions.parquet")
    found = said(python, export, *options)
    assert found["clips"] == 20 and found["inputs"] == "test clips" and found["difference"] <= 1
    assert found["accuracy"] == pytest.approx(found["equal_to_fast"]) and found["accuracy"] > 0.7


def test_the_arena_is_the_smallest_that_is_large_enough(export: Path, python: str) -> None:
    found = said(python, export)
    code = (
        "import sys; from tflite_micro import runtime\n"
        "runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))"
    )

    def runs(arena_bytes: int) -> bool:
        command = [python, "-c", code, str(export / "network_int8.tflite"), str(arena_bytes)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    assert runs(found["arena_bytes"]) and not runs(found["arena_bytes"] - 16)
    shape = read_export(export).feature_view.shape
    assert found["arena_bytes"] > np.prod(shape)


def test_without_the_package_a_sentence_says_where_it_is(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if importlib.util.find_spec("tflite_micro"):
        pytest.skip("the package is installed here")
    assert exit_code(micro.main, export) == 1
    assert "error: the package tflite-micro is not installed" in capsys.readouterr().err


def test_clips_and_predictions_belong_together(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(micro.main, export, "--clips", "data/clips") == 1
    assert "--clips and --predictions belong together" in capsys.readouterr().err


def test_noise_reaches_both_ends_of_whole_numbers(export: Path) -> None:
    described = read_export(export)
    values = micro.noise(described.models["litert_int8"], described)
    assert values.dtype == np.int8 and {int(values.min()), int(values.max())} == {-128, 127}
    assert isinstance(described.models["litert_int8"].inputs, Quantization)

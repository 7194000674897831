"""An export: every format says what the trained model says, the same bytes each time, and damage ends in a sentence."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from command_tools import exit_code
from corpus_tools import contents, environment
from exported_project import commanded
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from base.claim import claimed, work_of_folder
from base.errors import DataError
from readers.audio import audio_of
from readers.store import open_store
from results.parity import PARITY_FILE
from results.predictions import Predictions, read_predictions
from serving import parity, predict
from serving.description import FORMATS, Quantization, checked_file, read_export
from serving.model import open_model
from serving.runtimes import classifier, quantized, real
from serving.threshold import threshold

ARGUMENTS = ("model", "features/mfcc", "clips", "evaluation", "export")


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(project, tmp_path / "copy"))


def trained(project: Path) -> Predictions:
    return read_predictions(project / "evaluation/predictions.parquet")


def test_every_format_is_made_and_described(project: Path) -> None:
    described = read_export(project / "export")
    assert tuple(described.models) == FORMATS and not described.omitted
    assert described.classes == open_store(project / "features/mfcc").classes
    assert {described.models[name].takes for name in ("saved_model", "litert", "onnx")} == {"audio"}
    assert "CONV_2D" in described.models["litert"].operators
    assert not [name for each in described.models.values() for name in each.operators if "Flex" in name]
    assert described.models["litert_int8"].inputs and described.models["litert_int8"].outputs
    assert len(described.calibration.ids) == 10
    splits = {row["id"]: row["split"] for row in open_store(project / "features/mfcc").catalog().to_pylist()}
    assert {splits[name] for name in described.calibration.ids} == {"train"}
    assert described.archives[0].sha256 and described.task.name == "small"


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_says_of_every_test_clip_what_evaluate_says(name: str, project: Path) -> None:
    expected, described = trained(project), read_export(project / "export")
    audio = audio_of(open_store(project / "clips"), expected.ids)
    found = classifier(project / "export", described, name)(audio)  # type: ignore[arg-type]
    assert found.shape == expected.probabilities.shape
    np.testing.assert_allclose(found, expected.probabilities, atol=0.1 if name == "litert_int8" else 1e-4)
    alone = classifier(project / "export", described, name)(audio[3:4])  # type: ignore[arg-type]
    np.testing.assert_allclose(alone, found[3:4], atol=1e-6)


def test_parity_is_measured_on_all_test_clips_and_agrees_with_the_predictions(project: Path) -> None:
    with (project / "export" / PARITY_FILE).open(newline="") as file:
        table = {row["name"]: row for row in csv.DictReader(file)}
    expected = trained(project)
    assert list(table) == ["keras", *FORMATS]
    right = (expected.predictions == expected.labels).mean()
    assert float(table["keras"]["accuracy"]) == pytest.approx(right)
    for name in ("saved_model", "litert", "litert_network", "onnx"):
        assert float(table[name]["equal"]) == 1.0 and float(table[name]["difference"]) < 1e-4
        assert int(table[name]["clips"]) == len(expected.ids)
    costs = json.loads((project / "logs/export/tiny.json").read_text())
    assert set(costs) == set(FORMATS) and all(cost["peak_bytes"] > 1e6 for cost in costs.values())


def test_a_format_that_loses_too_much_is_an_error(project: Path) -> None:
    expected = trained(project)
    wrong = np.roll(expected.probabilities, 1, axis=1)
    other = Predictions(expected.ids, expected.labels, wrong, expected.classes)
    table = [parity.parity("keras", expected, expected, 0), parity.parity("onnx", other, expected, 1)]
    points = 100 * (table[0].accuracy - table[1].accuracy)
    if points <= 0:
        table.reverse()
        points = -points
    parity.check(table, points)
    with pytest.raises(DataError, match=r"formats lose more than .* points of accuracy on"):
        parity.check(table, points - 0.01)


@pytest.mark.slow
def test_a_second_export_has_the_same_bytes(project: Path, copy: Path) -> None:
    """In one process TensorFlow numbers the functions of a second SavedModel on, so that its bytes are not compared."""
    assert commanded(copy, *ARGUMENTS) == 0
    for name in FORMATS[1:]:
        once, again = (read_export(folder / "export").models[name] for folder in (project, copy))
        assert once == again, name
    tables = []
    for folder in (project, copy):
        with (folder / "export" / PARITY_FILE).open(newline="") as file:
            tables.append(
                [row | {"bytes": ""} if row["name"] == "saved_model" else row for row in csv.DictReader(file)]
            )
    assert tables[0] == tables[1]


def clip_files(project: Path, folder: Path, count: int) -> list[str]:
    """The first test clips as WAVE files."""
    audio = audio_of(open_store(project / "clips"), trained(project).ids[:count])
    names = [str(folder / f"{number}.wav") for number in range(count)]
    for name, clip in zip(names, audio, strict=True):
        wavfile.write(name, 16_000, clip)
    return names


def assert_decoded(project: Path, done: subprocess.CompletedProcess[str]) -> None:
    """What a process printed as JSON is what `evaluate` said."""
    expected = trained(project)
    assert (done.returncode, done.stderr) == (0, "")
    for line, probabilities in zip(done.stdout.splitlines(), expected.probabilities, strict=False):
        top = json.loads(line)["top"]
        assert top[0]["word"] == expected.classes[int(probabilities.argmax())]
        assert top[0]["probability"] == pytest.approx(float(probabilities.max()), abs=1e-4)


def test_decoding_imports_neither_tensorflow_nor_beam(project: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'apache_beam', 'pyarrow')))\n"
        "from base import command; from serving.predict import main; command.run(main)"
    )
    arguments = [sys.executable, "-c", code, str(project / "export"), "--json", *clip_files(project, tmp_path, 4)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), timeout=120, check=False)
    assert_decoded(project, done)


def test_decoding_in_an_environment_of_its_own_says_what_evaluate_says(project: Path, tmp_path: Path) -> None:
    python = os.environ.get("SERVING_PYTHON")
    if not python:
        pytest.skip("SERVING_PYTHON names no Python of an environment for serving: run `make test-serving`")
    installed = [
        python,
        "-c",
        "import importlib.util as u; print(u.find_spec('tensorflow'), u.find_spec('apache_beam'))",
    ]
    assert subprocess.run(installed, capture_output=True, text=True, check=True).stdout == "None None\n"
    arguments = [python, "-m", "serving.predict", str(project / "export"), "--json", *clip_files(project, tmp_path, 12)]
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment(), timeout=300, check=False)
    assert_decoded(project, done)


def decoded(project: Path, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = exit_code(predict.main, project / "export", *arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_file_that_can_not_be_read_is_named_and_the_others_are_decoded(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("no audio at all")
    wavfile.write(tmp_path / "good.wav", 8_000, np.zeros((4_000, 2), np.int16))
    names = [tmp_path / name for name in ("text.wav", "good.wav", "absent.wav")]
    code, out, err = decoded(project, capsys, "--csv", *names)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 1
    assert {row["file"] for row in rows} == {str(names[1])} and rows[0]["seconds"] == "0.5"
    assert f"error: {names[0]}: expected RIFF/WAVE" in err and f"error: {names[2]}: No such file" in err
    assert "error: 2 of 3 files could not be decoded" in err


def test_a_longer_file_is_listened_to_from_beginning_to_end(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = trained(project)
    audio = audio_of(open_store(project / "clips"), expected.ids)
    wavfile.write(tmp_path / "long.wav", 16_000, audio[:12].reshape(-1))
    code, out, _ = decoded(project, capsys, "--json", tmp_path / "long.wav")
    found = json.loads(out)
    assert code == 0 and found["seconds"] == 12
    times = [event["time_s"] for event in found["heard"]]
    assert times == sorted(times) and all(1 <= time <= 12 for time in times)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "export.json").unlink(), "is not a finished export: it has no export.json"),
        (lambda folder: (folder / "export.json").write_text("[]"), "is not a valid description of the export"),
        (lambda folder: (folder / "export.json").write_text("[" * 100_000), "is not a valid description of the export"),
        (lambda folder: (folder / "network.tflite").unlink(), "network.tflite is missing; export again"),
        (lambda folder: (folder / "network.tflite").write_bytes(b"x"), "is not the file that export.json describes"),
    ],
)
def test_a_damaged_export_ends_in_a_sentence(damage: object, message: str, copy: Path) -> None:
    damage(copy / "export")  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        open_model(copy / "export")


def test_what_no_export_wrote_is_kept(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "export/export.json").write_text("mine")
    assert commanded(copy, *ARGUMENTS) == 1
    assert "export/export.json was not made by this command" in capsys.readouterr().err
    assert (copy / "export/export.json").read_text() == "mine" and (copy / "export/network.tflite").exists()


def test_a_second_export_to_a_folder_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(copy / "export")
    before = contents(copy / "export")
    with claimed(folder, work_of_folder(folder), lambda: None):
        assert commanded(copy, *ARGUMENTS) == 1
        assert f"is being written by process {os.getpid()} on" in capsys.readouterr().err
    assert contents(copy / "export") == before


def test_an_evaluation_of_another_model_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    details = copy / "evaluation/evaluation.json"
    details.write_text(details.read_text().replace('"tiny"', '"other"'))
    assert commanded(copy, *ARGUMENTS) == 1
    assert "is not the evaluation of tiny on features/mfcc/" in capsys.readouterr().err


def test_a_format_that_was_left_out_says_why(project: Path) -> None:
    described = read_export(project / "export")
    models = {name: model for name, model in described.models.items() if name != "onnx"}
    without = type(described)(**{**vars(described), "models": models, "omitted": {"onnx": "no such operator"}})
    with pytest.raises(DataError, match="has no onnx: no such operator"):
        checked_file(project / "export", without, "onnx")


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=20), st.sampled_from([8, 16]))
def test_quantized_numbers_come_back_within_half_a_step(values: list[float], bits: Literal[8, 16]) -> None:
    step, zero, half = 0.05 if bits == 8 else 0.0001, 3, 2 ** (bits - 1)
    given_, scale = np.array(values, np.float32), Quantization(scale=step, zero_point=zero, bits=bits)
    whole = quantized(given_, scale)
    assert whole.dtype == np.dtype(f"int{bits}")
    inside = np.clip(given_, (-half - zero) * step, (half - 1 - zero) * step)
    assert np.abs(real(whole, scale) - inside).max() <= step / 2 + 1e-6


CLASSES = ("_silence_", "_unknown_", "yes", "no")


def said(rows: list[tuple[str, list[float]]]) -> Predictions:
    labels = np.array([CLASSES.index(name) for name, _ in rows])
    ids = tuple(str(number) for number in range(len(rows)))
    return Predictions(ids, labels, np.array([row for _, row in rows], np.float32), CLASSES)


def test_the_threshold_is_the_lowest_that_lets_few_enough_others_pass_by_hand() -> None:
    found = threshold(
        said(
            [
                ("_silence_", [0.9, 0.0, 0.1, 0.0]),
                ("_unknown_", [0.0, 0.4, 0.5, 0.1]),
                ("_unknown_", [0.0, 0.2, 0.1, 0.7]),
                ("_unknown_", [0.0, 0.7, 0.2, 0.1]),
                ("yes", [0.0, 0.1, 0.9, 0.0]),
                ("yes", [0.0, 0.6, 0.4, 0.0]),
                ("no", [0.0, 0.1, 0.8, 0.1]),
                ("no", [0.1, 0.1, 0.2, 0.6]),
            ]
        ),
        false_accepts=0.25,
    )
    assert 0.5 < found.value < 0.5001  # 0.7 may pass, 0.5 may not
    assert found.false_accepts == 0.25
    assert found.false_rejects == 0.5  # a yes of 0.4, and a no that passes as a yes
    assert found.clips == 8
    assert "25.0%" in found.rule


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_no_more_pass_than_may_and_a_lower_threshold_lets_more_pass(seed: int, share: float) -> None:
    generator = np.random.default_rng(seed)
    labels, probabilities = generator.integers(0, 4, 40), generator.dirichlet([0.3] * 4, 40)
    predictions = Predictions(tuple(map(str, range(40))), labels, probabilities.astype(np.float32), CLASSES)
    found = threshold(predictions, share)
    others = predictions.probabilities[labels < 2][:, 2:].max(axis=1)
    allowed = int(share * len(others))
    assert (others >= found.value).sum() <= allowed
    if found.value > 0:
        assert (others >= np.nextafter(np.float32(found.value), np.float32(-1))).sum() > allowed


def test_without_other_clips_every_most_probable_word_passes() -> None:
    found = threshold(said([("yes", [0, 0, 0.6, 0.4]), ("no", [0, 0, 0.9, 0.1])]), 0.01)
    assert (found.value, found.false_accepts, found.false_rejects) == (0.0, None, 0.5)


def test_an_export_of_a_store_of_other_clips_is_refused(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = copy / "clips/manifest.json"
    os.chmod(manifest, 0o644)
    manifest.write_text(manifest.read_text().replace('"ingest"', '"ingest2"') + " ")
    content = json.loads((copy / "clips/manifest.json").read_text())
    content["clip_parameters"]["seed"] = 99
    manifest.write_text(json.dumps(content))
    assert commanded(copy, *ARGUMENTS) == 1
    assert "was not made from clips" in capsys.readouterr().err

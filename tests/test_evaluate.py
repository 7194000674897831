"""Claims about evaluation: every test clip once, figures and tables that agree, a report that stands alone."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from test_training import CNN, FIT
from training_store import CLASSES, COUNTS, SMALL_MFCC, clip_store, example_ids, feature_store

from features.errors import DataError
from features.store import Store
from features.views import LogMel, Spectrogram
from params import Evaluate
from training.evaluate import evaluate
from training.metrics import wilson_interval
from training.outputs import Predictions, metrics, silence_origin
from training.report import corpus_name, load_clips, surest_of_each_class, worst
from training.train import train

NUMBERS = Evaluate(batch_size=10, worst_errors=3)
VIEWS = {
    "mfcc": SMALL_MFCC,
    "spectrogram": Spectrogram(kind="spectrogram", frame_ms=20, hop_ms=20, floor_db=-80.0),
    "logmel": LogMel(**{**{k: v for k, v in vars(SMALL_MFCC).items() if k != "coefficients"}, "kind": "logmel"}),
}
FIGURES_BY_HAND = Predictions(
    ids=("_silence_/pink_00000010", "cat/a_nohash_0", "no/a_nohash_0", "yes/a_nohash_0"),
    labels=np.array([0, 1, 3, 2]),
    probabilities=np.array(
        [[0.9, 0.1, 0, 0], [0, 0.7, 0.3, 0], [0, 0.1, 0.8, 0.1], [0, 0, 0.6, 0.4]], dtype=np.float32
    ),
    classes=CLASSES,
)
"""Three of four right: silence, unknown and yes; "no" taken for "yes" with 0.8."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("evaluation")
    return {name: root / name for name in ("features", "clips", "model", "out")}


@pytest.fixture(scope="module")
def stores(folders: dict[str, Path]) -> tuple[Store, Store]:
    return feature_store(folders["features"]), clip_store(folders["clips"])


@pytest.fixture(scope="module")
def out(folders: dict[str, Path], stores: tuple[Store, Store]) -> Path:
    train("cnn", stores[0], folders["model"], FIT, CNN)
    evaluate(folders["model"], stores[0], stores[1], folders["out"], NUMBERS, VIEWS)
    return folders["out"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_test_clip_is_predicted_once_though_the_batch_size_does_not_divide_them(out: Path) -> None:
    assert COUNTS["test"] % NUMBERS.batch_size
    table = pq.read_table(out / "predictions.parquet").to_pydict()
    expected = sorted(example_ids("test", COUNTS["test"]))
    assert table["id"] == [name for name, _ in expected]
    assert table["label"] == [CLASSES[label] for _, label in expected]
    assert table["prediction"] == [CLASSES[int(np.argmax(each))] for each in table["probabilities"]]
    np.testing.assert_allclose(np.sum(table["probabilities"], axis=1), 1.0, atol=1e-5)


def test_metrics_agree_with_the_predictions_and_say_their_number(out: Path) -> None:
    figures = json.loads((out / "metrics.json").read_text())
    table = pq.read_table(out / "predictions.parquet").to_pydict()
    correct = sum(a == b for a, b in zip(table["label"], table["prediction"], strict=True))
    assert figures["clips"] == COUNTS["test"]
    assert figures["accuracy"] == figures["micro_f1"] == accuracy_score(table["label"], table["prediction"])
    assert (figures["accuracy_low"], figures["accuracy_high"]) == wilson_interval(correct, COUNTS["test"])
    unknown = [name == "_unknown_" for name in table["label"]]
    scores = [each[CLASSES.index("_unknown_")] for each in table["probabilities"]]
    assert figures["unknown_auc"] == pytest.approx(roc_auc_score(unknown, scores))
    assert list(figures["classes"]) == list(CLASSES)
    assert figures["silence"] == {"clips": 6, "origin": "cut from the noise recordings pink_test"}


def test_figures_by_hand() -> None:
    figures = metrics(FIGURES_BY_HAND)
    assert figures["accuracy"] == 0.75
    assert figures["classes"]["yes"] == {"precision": 0.5, "recall": 1.0, "clips": 1}
    assert figures["classes"]["no"] == {"precision": 0.0, "recall": 0.0, "clips": 1}
    assert figures["macro_f1"] == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)
    assert surest_of_each_class(FIGURES_BY_HAND) == [0, 1, 3, 2]
    assert worst(FIGURES_BY_HAND, 5) == [2]
    assert worst(FIGURES_BY_HAND, 0) == []


def test_tables_for_plots_hold_each_clip_epoch_and_class(out: Path) -> None:
    assert len(rows(out / "confusion.csv")) == COUNTS["test"]
    assert {row["actual"] for row in rows(out / "confusion.csv")} == set(CLASSES)
    counted = rows(out / "class_counts.csv")
    for split, clips in COUNTS.items():
        assert sum(int(row["clips"]) for row in counted if row["split"] == split) == clips
    points = rows(out / "roc_unknown.csv")
    assert (points[0]["fpr"], points[-1]["tpr"]) == ("0.0", "1.0")


def test_evaluating_twice_gives_the_same_bytes(
    out: Path, folders: dict[str, Path], stores: tuple[Store, Store], tmp_path: Path
) -> None:
    evaluate(folders["model"], *stores, tmp_path, NUMBERS, VIEWS)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in out.iterdir()}
    for path in out.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_report_has_every_section_and_refers_to_nothing_outside_itself(out: Path) -> None:
    page = (out / "report.html").read_text()
    for section in ("accuracy", "confusion", "classes", "training", "unknown", "counts", "gallery", "errors"):
        assert f'<section id="{section}">' in page
    links = re.findall(r'(?:src|href|srcset|xlink:href|data)\s*=\s*"([^"]*)"', page) + re.findall(
        r"url\(([^)]*)\)", page
    )
    assert {re.split("[,;]", link)[0][:6] for link in links if not link.startswith("#")} == {
        "data:",
        "data:i",
        "data:a",
    }
    assert "<script" not in page and "@import" not in page
    assert page.count("<audio") >= len(CLASSES)
    assert "small.tar.gz" in page and f"{COUNTS['test']} test clips" in page


def test_the_report_of_a_task_without_unknown_words_or_errors_still_stands(tmp_path: Path) -> None:
    two = feature_store(tmp_path / "features", classes=("a", "b", "c", "d"))
    train("cnn", two, tmp_path / "model", FIT, CNN)
    clips = clip_store(tmp_path / "clips")
    figures = evaluate(tmp_path / "model", two, clips, tmp_path / "out", Evaluate(batch_size=64, worst_errors=0), {})
    assert "unknown_auc" not in figures and figures["silence"]["clips"] == 0
    assert (tmp_path / "out" / "roc_unknown.csv").read_text() == "fpr,tpr,threshold\n"
    assert "The task has no class for unknown words" in (tmp_path / "out" / "report.html").read_text()


def test_names_in_the_report_are_escaped_and_unheard_of_sources_have_a_text() -> None:
    assert corpus_name({"archives": [{"file": "a/b.tar.gz"}, {"file": "c.tar.gz"}]}) == "b.tar.gz, c.tar.gz"
    assert corpus_name({}) == "of unknown name"


def test_silences_say_where_they_come_from() -> None:
    assert silence_origin(["_silence_/white_noise_00001600", "_silence_/a_b_00000000"]) == (
        "cut from the noise recordings a_b, white_noise"
    )
    assert silence_origin(["_silence_/1024"]) == "clips that the archive brings"
    assert silence_origin([]) == "none"


def test_mistakes_end_in_a_sentence(
    out: Path, folders: dict[str, Path], stores: tuple[Store, Store], tmp_path: Path
) -> None:
    features, clips = stores
    with pytest.raises(DataError, match="not a finished model"):
        evaluate(tmp_path, features, clips, tmp_path / "out", NUMBERS, VIEWS)
    renamed = feature_store(tmp_path / "renamed", classes=("_silence_", "_unknown_", "yes", "nope"))
    with pytest.raises(DataError, match=r"task.classes is .*'nope'\] in the store, .*'no'\] in the model"):
        evaluate(folders["model"], renamed, clips, tmp_path / "out", NUMBERS, VIEWS)
    with pytest.raises(DataError, match="no clip in split 'test'"):
        empty = feature_store(tmp_path / "empty", counts={**COUNTS, "test": 0})
        evaluate(folders["model"], empty, clips, tmp_path / "out", NUMBERS, VIEWS)
    with pytest.raises(DataError, match="has no clip 'yes/absent'"):
        load_clips(clips, {"yes/absent"})
    with pytest.raises(DataError, match="expected a store of clips"):
        load_clips(features, set())
    assert not (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.train", "cnn", "nowhere", "model"], "nowhere is not a finished store"),
        (["training.evaluate", "nowhere", "nowhere", "clips", "out"], "nowhere is not a finished store"),
    ],
)
def test_commands_print_one_line_and_fail_on_a_mistake(arguments: list[str], message: str) -> None:
    done = subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"\nerror: {message}" in f"\n{done.stderr}"
    assert "Traceback" not in done.stderr

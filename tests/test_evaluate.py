"""Claims about evaluation: every test clip once, figures and tables that agree, mistakes that end in a sentence."""

from __future__ import annotations

import csv
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from dvc.compare import show_metrics
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
    top_k_accuracy_score,
)
from training_store import CLASSES, COUNTS, SMALL_MFCC, example_ids, feature_store
from training_tools import MODEL

from base import command
from base.errors import DataError
from readers.store import Store
from results.evaluation import class_figures, figures, read_evaluation, silence_origin
from results.metrics import wilson_interval
from results.predictions import Predictions, read_predictions, write_predictions
from training.evaluate import evaluate
from training.train import train

BATCH_SIZE = 10
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
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


@pytest.fixture(scope="module")
def store(root: Path) -> Store:
    return feature_store(root / "features")


@pytest.fixture(scope="module")
def model(root: Path, store: Store) -> Path:
    train(MODEL, store, root / "model", root)
    return root / "model"


@pytest.fixture(scope="module")
def out(root: Path, model: Path, store: Store) -> Path:
    evaluate(model, store, root / "out", BATCH_SIZE)
    return root / "out"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_test_clip_is_predicted_once_though_the_batch_size_does_not_divide_them(out: Path) -> None:
    assert COUNTS["test"] % BATCH_SIZE
    table = pq.read_table(out / "predictions.parquet").to_pydict()
    expected = sorted(example_ids("test", COUNTS["test"]))
    assert table["id"] == [name for name, _ in expected]
    assert table["label"] == [CLASSES[label] for _, label in expected]
    assert table["prediction"] == [CLASSES[int(np.argmax(each))] for each in table["probabilities"]]
    np.testing.assert_allclose(np.sum(table["probabilities"], axis=1), 1.0, atol=1e-5)


def test_the_headline_figures_agree_with_the_predictions(out: Path) -> None:
    found = json.loads((out / "metrics.json").read_text())
    table = pq.read_table(out / "predictions.parquet").to_pydict()
    correct = sum(a == b for a, b in zip(table["label"], table["prediction"], strict=True))
    unknown = [name == "_unknown_" for name in table["label"]]
    scores = [each[CLASSES.index("_unknown_")] for each in table["probabilities"]]
    low, high = wilson_interval(correct, COUNTS["test"])
    labels = [CLASSES.index(name) for name in table["label"]]
    assert found == {
        "accuracy": accuracy_score(table["label"], table["prediction"]),
        "low": low,
        "high": high,
        "macro_f1": pytest.approx(f1_score(table["label"], table["prediction"], average="macro")),
        "top3": top_k_accuracy_score(labels, table["probabilities"], k=3),
        "auc": pytest.approx(roc_auc_score(unknown, scores)),
        "clips": COUNTS["test"],
    }


def test_the_headline_figures_of_two_models_and_of_their_training_fit_a_terminal(
    out: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headline = json.loads((out / "metrics.json").read_text())
    longest = {name: 0.123456789 if isinstance(value, float) else 100_000 for name, value in headline.items()}
    live = dict.fromkeys(json.loads((root / "dvclive/metrics/small.json").read_text()), 0.123456789)
    files: dict[str, Any] = {}
    for name in ("cnn", "other"):
        files[f"evaluation/{name}/metrics.json"] = {"data": longest}
        files[f"dvclive/metrics/{name}.json"] = {"data": live}
    show_metrics({"": {"data": files}}, precision=5, round_digits=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert max(len(line.rstrip()) for line in lines) <= 110


def test_each_class_has_its_figures_in_a_table(out: Path) -> None:
    table = pq.read_table(out / "predictions.parquet").to_pydict()
    columns = precision_recall_fscore_support(table["label"], table["prediction"], labels=CLASSES, zero_division=0)
    found = rows(out / "classes.csv")
    assert [row["class"] for row in found] == list(CLASSES)
    for name, expected in zip(("precision", "recall", "f1", "clips"), columns, strict=True):
        np.testing.assert_allclose([float(row[name]) for row in found], expected)


def test_figures_by_hand() -> None:
    found = figures(FIGURES_BY_HAND)
    assert (found.accuracy, found.clips) == (0.75, 4)
    assert found.macro_f1 == pytest.approx((1 + 1 + 2 / 3 + 0) / 4)
    by_name = {each.name: (each.precision, each.recall, each.clips) for each in class_figures(FIGURES_BY_HAND)}
    assert (by_name["yes"], by_name["no"]) == ((0.5, 1.0, 1), (0.0, 0.0, 1))


def test_a_clip_is_found_among_its_most_probable_classes_and_ties_rank_by_label() -> None:
    probabilities = np.array([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]], np.float32)
    found = Predictions(("a", "b"), np.array([1, 2]), probabilities, CLASSES)
    assert [found.found_among(number).tolist() for number in (1, 2, 3, 4)] == [
        [False, False],
        [False, False],
        [True, True],
        [True, True],
    ]
    np.testing.assert_array_equal(FIGURES_BY_HAND.found_among(1), [True, True, False, True])


def test_tables_for_plots_hold_each_clip_and_class(out: Path) -> None:
    assert len(rows(out / "confusion.csv")) == COUNTS["test"]
    assert {row["actual"] for row in rows(out / "confusion.csv")} == set(CLASSES)
    counted = {(row["split"], row["class"]): int(row["clips"]) for row in rows(out / "class_counts.csv")}
    assert list(dict.fromkeys(split for split, _ in counted)) == ["train", "validation", "test"]
    for split, clips in COUNTS.items():
        labels = [CLASSES[label] for _, label in example_ids(split, clips)]
        assert {name: counted[split, name] for name in CLASSES} == {name: labels.count(name) for name in CLASSES}
    points = rows(out / "roc_unknown.csv")
    assert (points[0]["fpr"], points[-1]["tpr"]) == ("0.0", "1.0")


def test_classes_are_counted_without_reading_the_shards_of_other_splits(
    model: Path, tmp_path: Path, store: Store
) -> None:
    bare = feature_store(tmp_path / "bare")
    for shard in (*bare.shards("train"), *bare.shards("validation")):
        (tmp_path / "bare" / shard.file).unlink()
    evaluate(model, bare, tmp_path / "out", BATCH_SIZE)
    assert read_evaluation(tmp_path / "out").counts["train"] == dict.fromkeys(CLASSES, 24)


def test_evaluating_twice_gives_the_same_bytes(out: Path, model: Path, store: Store, tmp_path: Path) -> None:
    evaluate(model, store, tmp_path, BATCH_SIZE)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in out.iterdir()
    }


def test_an_evaluation_is_read_as_it_was_written(out: Path, store: Store) -> None:
    found = read_evaluation(out)
    assert (found.model, found.store, found.differences) == ("small", "small", ())
    assert found.store_manifest_sha256 == store.manifest.sha256
    assert len(found.predictions.silence_ids) == 6


def test_predictions_are_read_as_they_were_written_whatever_the_classes_are_called(tmp_path: Path) -> None:
    odd = Predictions(FIGURES_BY_HAND.ids, FIGURES_BY_HAND.labels, FIGURES_BY_HAND.probabilities, ("a,b", "ü", '"', ""))
    write_predictions(tmp_path / "p.parquet", odd)
    found = read_predictions(tmp_path / "p.parquet")
    assert (found.ids, found.classes) == (odd.ids, odd.classes)
    np.testing.assert_array_equal(found.labels, odd.labels)
    np.testing.assert_array_equal(found.probabilities, odd.probabilities)


def test_another_test_set_is_evaluated_and_what_differs_is_said_and_kept(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = feature_store(tmp_path / "other", counts={"test": 9}, clips_sha256="2" * 64)
    assert evaluate(model, other, tmp_path / "out", BATCH_SIZE).clips == 9
    difference = "clips.test is 9 in the store, 23 in the model"
    assert f"differs from the training of small: {difference}\n" in capsys.readouterr().err
    found = read_evaluation(tmp_path / "out")
    assert difference in found.differences
    assert list(found.counts) == ["test"]


def test_a_task_without_unknown_words_has_no_roc_curve(tmp_path: Path) -> None:
    plain = feature_store(tmp_path / "features", classes=("a", "b", "c", "d"))
    train(MODEL, plain, tmp_path / "model", tmp_path)
    assert evaluate(tmp_path / "model", plain, tmp_path / "out", BATCH_SIZE).auc is None
    assert "auc" not in json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (tmp_path / "out" / "roc_unknown.csv").read_text() == "fpr,tpr,threshold\n"
    details = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (details["silence_clips"], details["silence_origin"]) == (0, "none")


def test_silences_say_where_they_come_from() -> None:
    assert silence_origin(["_silence_/white_noise_00001600", "_silence_/a_b_00000000"]) == (
        "cut from the noise recordings a_b, white_noise"
    )
    assert silence_origin(["_silence_/1024"]) == "clips that the archive contains"
    assert silence_origin([]) == "none"


def test_an_unfinished_model_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finished model"):
        evaluate(tmp_path, store, tmp_path / "out", BATCH_SIZE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ("_silence_", "_unknown_", "yes", "nope")}, r"classes are .*'nope'\] in the store"),
        ({"counts": {**COUNTS, "test": 0}}, "no clip in split 'test'"),
    ],
)
def test_a_store_that_the_model_cannot_be_tested_on_is_refused_and_nothing_written(
    model: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    other = feature_store(tmp_path / "other", SMALL_MFCC, **changes)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        evaluate(model, other, tmp_path / "out", BATCH_SIZE)
    assert not (tmp_path / "out").exists()


def test_a_missing_or_damaged_evaluation_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"evaluation.json is missing or damaged: evaluate the model again"):
        read_evaluation(tmp_path)
    (tmp_path / "evaluation.json").write_bytes((out / "evaluation.json").read_bytes())
    (tmp_path / "predictions.parquet").write_text("no table")
    with pytest.raises(DataError, match=r"predictions.parquet is missing or damaged: evaluate the model again"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.train", "cnn", "nowhere", "model"], "nowhere is not a finished store"),
        (
            ["training.train", "cnm", "nowhere", "model"],
            "params.yaml has no model 'cnm'; models and distilled declare cnn",
        ),
        (["training.evaluate", "nowhere", "nowhere", "out"], "nowhere is not a finished store"),
        (["reports.evaluation", "no", "nowhere", "clips", "out", "page"], "nowhere is not a finished store"),
    ],
)
def test_commands_print_one_line_and_fail_on_a_mistake(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module, *rest = arguments
    with pytest.raises(SystemExit) as ended:
        command.run(importlib.import_module(module).main, rest)
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")

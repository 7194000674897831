"""Claims about the open set: scores are those of their papers, rates are counted right, tested words are unseen."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_tools import exit_code
from scipy.spatial.distance import mahalanobis
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from training_store import COUNTS, feature_store
from training_tools import FIT, MODEL

from base.errors import DataError
from readers.store import Store, open_store
from reports.open_set import main as draw
from results.network_file import read_network
from stores.catalog import VIEW_CATALOG_SCHEMA
from stores.tables import write_table
from training import dataset
from training.evaluate import predict
from training.open_set import main, unseen
from training.open_set_scores import Head, Prototypes, prototypes, scores
from training.silence import detector
from training.train import train

GENERATOR = np.random.default_rng(0)
CLASSES = ("_silence_", "_unknown_", "yes", "no")
HEAD = Head(GENERATOR.normal(size=(5, 4)), GENERATOR.normal(size=4), CLASSES)
FEATURES = GENERATOR.normal(size=(40, 5)).astype(np.float32)
NAMES = np.array(CLASSES)[np.arange(40) % 4]
KNOWN = prototypes(FEATURES, NAMES, ("yes", "no"))


def found() -> dict[str, np.ndarray[Any, Any]]:
    return scores(HEAD, KNOWN, ("yes", "no"), FEATURES)


def test_softmax_energy_and_trained_are_those_of_the_logits() -> None:
    logits = FEATURES.astype(np.float64) @ HEAD.kernel + HEAD.bias
    exponentials = np.exp(logits)
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found()["softmax"], shares[:, 2:].max(axis=1))
    np.testing.assert_allclose(found()["energy"], np.log(exponentials[:, 2:].sum(axis=1)))
    np.testing.assert_allclose(found()["trained"], shares[:, 2:].sum(axis=1))


def test_a_model_of_commands_alone_has_no_trained_score() -> None:
    alone = Head(HEAD.kernel[:, 2:], HEAD.bias[2:], ("yes", "no"))
    assert set(scores(alone, KNOWN, ("yes", "no"), FEATURES)) == {"softmax", "energy", "cosine", "mahalanobis"}


def test_prototype_scores_are_those_of_the_nearest_mean() -> None:
    values = FEATURES.astype(np.float64)
    means = [values[name == NAMES].mean(axis=0) for name in ("yes", "no")]
    cosines = [[v @ m / np.linalg.norm(v) / np.linalg.norm(m) for m in means] for v in values]
    np.testing.assert_allclose(found()["cosine"], np.max(cosines, axis=1))
    apart = np.concatenate([values[name == NAMES] - mean for name, mean in zip(("yes", "no"), means, strict=True)])
    covariance = apart.T @ apart / len(apart)
    inverse = np.linalg.inv(covariance + np.eye(5) * 1e-3 * np.trace(covariance) / 5)
    distances = [[mahalanobis(v, m, inverse) ** 2 for m in means] for v in values]
    np.testing.assert_allclose(found()["mahalanobis"], -np.min(distances, axis=1), rtol=1e-6)
    assert isinstance(KNOWN, Prototypes)


def test_the_detector_of_silence_is_the_linear_discriminant() -> None:
    values = np.concatenate([GENERATOR.normal(0, 1, (300, 3)), GENERATOR.normal((0, 1, 3), (1, 2, 0.5), (500, 3))])
    silent = np.arange(800) < 300
    speech = detector(values, silent).speech(values)
    expected = LinearDiscriminantAnalysis().fit(values, ~silent).decision_function(values)
    assert np.corrcoef(speech, expected)[0, 1] > 0.999


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Features whose unknown test words are in no other split."""
    folder = tmp_path_factory.mktemp("features") / "small"
    feature_store(folder)
    return with_words(folder, "dog")


def with_words(folder: Path, test_word: str) -> Store:
    """The store with another unknown word in its test split."""
    rows = pq.read_table(folder / "catalog.parquet").to_pylist()
    for number, row in enumerate(rows):
        is_test_word = row["split"] == "test" and row["word"] == "cat"
        row |= {"archive": "small.tar.gz", "rms": number / 1000, "word": test_word if is_test_word else row["word"]}
    write_table(str(folder / "catalog.parquet"), pa.Table.from_pylist(rows, VIEW_CATALOG_SCHEMA))
    return open_store(folder)


def test_words_of_training_are_not_unseen(store: Store, tmp_path: Path) -> None:
    assert list(unseen(store)) == ["all"] and all(name.startswith("cat/test") for name in unseen(store)["all"])
    feature_store(tmp_path / "same")
    with pytest.raises(DataError, match=r"every unknown test word is in training too: set select\.held_out"):
        unseen(with_words(tmp_path / "same", "cat"))


def test_the_command_writes_figures_that_an_independent_count_confirms(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train(dataclasses.replace(MODEL, fit=dataclasses.replace(FIT, epochs=2)), store, Path("model"))
    assert exit_code(main, store.path, "open", "model", "--false-rejects", "0.2") == 0
    with Path("open/open_set.csv").open() as file:
        rows = {row["score"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"softmax", "energy", "cosine", "mahalanobis", "trained"}
    found = predict(read_network(Path("model")), dataset.source(store), 7)
    score = found.probabilities[:, 2:].sum(axis=1)
    names = np.array(found.classes)[found.labels]
    spoken = names != "_silence_"
    commands = spoken & (names != "_unknown_")
    assert int(rows["trained"]["command_clips"]) == commands.sum()
    assert int(rows["trained"]["clips"]) == COUNTS["test"]
    assert float(rows["trained"]["auroc"]) == pytest.approx(roc_auc_score(commands[spoken], score[spoken]), abs=1e-6)
    threshold = np.quantile(score[commands], 0.2)
    passed = (score[names == "_unknown_"] >= threshold).mean()
    assert float(rows["trained"]["false_accepts"]) == pytest.approx(passed)
    with Path("open/silence.csv").open() as file:
        assert {row["detector"] for row in csv.DictReader(file)} == {"features", "loudness"}
    assert exit_code(draw, "open", "open/curves.png") == 0
    assert Path("open/curves.png").read_bytes().startswith(b"\x89PNG")

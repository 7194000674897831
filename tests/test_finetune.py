"""Claims about fine-tuning: old weights are kept, only what is named is fitted, a resumed run is the same one."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command_tools import exit_code
from corpus_tools import parameters
from training_store import CLASSES, COUNTS, feature_store
from training_tools import ALL_CHANGES, FIT, MODEL, NUMBERS
from yaml import safe_dump

from base.errors import DataError
from features.statistics import Statistics
from readers.store import Store
from reports.before_after import main as draw
from results.model import ModelDescription, read_description, write_description
from results.network_file import read_network, write_network
from results.predictions import read_predictions
from training import before_after, evaluate, finetune
from training.finetune import Finetuning, extended, with_frozen_layers
from training.fitting.checkpoint import Checkpoint
from training.inputs import Inputs
from training.models import cnn, lstm, m5
from training.statistics import pooled
from training.train import describe, train

OLD = ("_silence_", "_unknown_", "no")
"""The classes of the model that is fine-tuned; "yes", which stands between them, is new."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return feature_store(tmp_path_factory.mktemp("features") / "small")


@pytest.fixture(scope="module")
def start(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the old classes, whose weights are random."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("start")
    view = store.view
    assert view
    network = cnn.build(Inputs(view.kind, view.shape, view.step_ms, OLD, pooled([store.statistics()])), NUMBERS)
    model = dataclasses.replace(MODEL, definition=view)
    write_network(folder, network)
    write_description(folder, dataclasses.replace(describe(model, store, network, 1, 1, None), classes=OLD))
    return folder


def entry(layers: str = "dense", **fit: Any) -> Finetuning:
    return Finetuning(model="small", task="small", source="small", layers=layers, fit={"epochs": 4, **fit})  # type: ignore[arg-type]


def run(start: Path, store: Store, folder: Path, numbers: Finetuning) -> ModelDescription:
    return finetune.finetune("more", numbers, start, store, folder / "more", folder)


@pytest.fixture(scope="module")
def tuned(start: Path, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    run(start, store, folder, entry())
    return folder / "more"


def weights(folder: Path) -> dict[str, list[np.ndarray[Any, Any]]]:
    return {layer.name: layer.get_weights() for layer in read_network(folder).layers if layer.weights}


def test_only_the_last_dense_layers_are_fitted(start: Path, tuned: Path) -> None:
    before, after = weights(start), weights(tuned)
    same = {
        name for name in before if all(np.array_equal(a, b) for a, b in zip(before[name], after[name], strict=True))
    }
    assert same == {"convolution_1", "convolution_2"}


def test_all_layers_are_fitted_where_that_is_asked_for(start: Path, store: Store, tmp_path: Path) -> None:
    run(start, store, tmp_path, entry("all", epochs=1))
    before, after = weights(start), weights(tmp_path / "more")
    assert not np.array_equal(before["convolution_1"][0], after["convolution_1"][0])


def test_the_model_says_what_it_began_with(tuned: Path) -> None:
    description = read_description(tuned)
    assert description.classes == CLASSES
    assert description.parameters["finetuned"] == {"start": "small", "layers": "dense"}
    assert description.parameters["fit"]["epochs"] == 4
    assert description.validation and description.validation.clips == COUNTS["validation"]


def test_the_old_classes_keep_their_units_whatever_their_order(start: Path) -> None:
    network = read_network(start)
    copy = extended(network, OLD, CLASSES)
    features = np.random.default_rng(0).normal(-20, 5, (5, *network.input_shape[1:])).astype(np.float32)
    one, more = network.predict_on_batch(features), copy.predict_on_batch(features)
    kept = more[:, [CLASSES.index(name) for name in OLD]]
    np.testing.assert_allclose(kept / kept.sum(axis=1, keepdims=True), one, rtol=1e-5)


STATISTICS = Statistics(1, 1, *(np.full(8, value) for value in (0.0, 1.0, -1.0, 1.0)))


@pytest.mark.parametrize(
    ("network", "shape", "numbers", "fitted"),
    [
        (lstm, (6, 8), {"units": 4, "reads": "mean", "dense_units": (3,)}, {"dense_1", "probabilities"}),
        (lstm, (6, 8), {"units": 4, "reads": "last", "dense_units": ()}, {"probabilities"}),
        (
            m5,
            (800,),
            {"stages": ((4,), (4,)), "kernel_size": 8, "stride": 4, "padding": "same"},
            {"probabilities"},
        ),
    ],
)
def test_recurrent_and_normalized_layers_are_frozen(
    network: Any, shape: tuple[int, ...], numbers: dict[str, Any], fitted: set[str]
) -> None:
    built = network.build(Inputs("mfcc", shape, 10.0, OLD, _statistics(shape)), network.Numbers(**numbers))
    copy = with_frozen_layers(extended(built, OLD, CLASSES))
    assert {layer.name for layer in copy.layers if layer.trainable_weights} == fitted
    assert copy.layers[-1].units == len(CLASSES)


def _statistics(shape: tuple[int, ...]) -> Statistics:
    return STATISTICS if len(shape) == 2 else Statistics(1, 1, *(np.full(1, value) for value in (0.0, 1.0, -1.0, 1.0)))


def test_a_resumed_run_ends_with_the_same_weights(
    start: Path, store: Store, tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Checkpoint.save

    def killed(self: Checkpoint, network: keras.Model, row: dict[str, float]) -> None:
        save(self, network, row)
        if len(self.rows) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoint, "save", killed)
        run(start, store, tmp_path, entry())
    run(start, store, tmp_path, entry())
    for name in ("model.keras", "model.json", "history.csv"):
        assert (tmp_path / "more" / name).read_bytes() == (tuned / name).read_bytes()


def test_a_store_without_new_words_is_named(store: Store, tuned: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no class that is new to it"):
        run(tuned, store, tmp_path, entry())


def test_the_commands_make_a_model_its_figures_and_a_picture(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("start")
    train(dataclasses.replace(MODEL, fit=dataclasses.replace(FIT, epochs=1), augment=ALL_CHANGES), store, folder)
    network = read_network(folder)
    old = keras.Model(network.inputs, network.layers[-2].output)
    fewer = keras.layers.Dense(len(OLD), activation="softmax", name="probabilities")
    write_network(folder, keras.Model(old.inputs, fewer(old.output), name="cnn"))
    write_description(folder, dataclasses.replace(read_description(folder), classes=OLD))
    content = parameters(finetuned={"more": {"model": "small", "task": "small", "source": "small", "layers": "dense"}})
    Path("params.yaml").write_text(safe_dump(content))
    place = store.path
    assert exit_code(finetune.main, "more", folder, place, "models/more") == 0
    assert exit_code(evaluate.main, "models/more", place, "evaluation/more") == 0
    assert exit_code(before_after.main, folder, place, "evaluation/more", "changed") == 0
    assert exit_code(draw, "changed", "changed/confusion.png") == 0
    assert Path("changed/confusion.png").read_bytes().startswith(b"\x89PNG")
    with Path("changed/before_after.csv").open() as file:
        rows = {(row["model"], row["words"]): row for row in csv.DictReader(file)}
    for name, where in (("before", "changed/before"), ("after", "evaluation/more")):
        found = read_predictions(Path(where) / "predictions.parquet")
        new = [found.classes[label] == "yes" for label in found.labels]
        right = [int(a == b) for a, b in zip(found.labels, found.predictions, strict=True)]
        assert int(rows[name, "new"]["clips"]) == sum(new) and int(rows[name, "all"]["clips"]) == len(new)
        assert int(rows[name, "new"]["correct"]) == sum(hit for hit, is_new in zip(right, new, strict=True) if is_new)
        assert int(rows[name, "all"]["correct"]) == sum(right)
    assert rows["before", "new"]["correct"] == "0"
    capsys.readouterr()
    assert exit_code(finetune.main, "other", folder, place, "models/other") == 1
    assert "has no finetuned.other; it declares more" in capsys.readouterr().err

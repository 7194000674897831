"""Claims about training: it learns, repeats and resumes; the network is the one described; mistakes are named."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import f1_score
from training_store import ARCHIVES, CLASSES, COUNTS, SMALL_MFCC, clip_store, feature_store, real_length, task_of
from training_tools import ALL_CHANGES, FIT, MODEL, NO_CHANGE, NUMBERS

from base.errors import DataError
from features.views import Mfcc, Waveform, definition, version
from readers.store import Store
from results.model import ModelDescription, Validation, check_fit, read_description, read_history
from results.network_file import read_network
from training import dataset, models
from training.config import Augment, Fit, Model
from training.evaluate import predict
from training.fitting.augment import augmentation, cover, masks, shift, shifts
from training.fitting.checkpoint import Checkpoint, best_epoch, is_over
from training.fitting.epochs import epochs
from training.fitting.objective import MicroF1, learning_rate
from training.inputs import Inputs
from training.models import cnn
from training.normalization import normalization
from training.statistics import pooled
from training.train import inputs_of, train

WAVEFORM = Waveform(kind="waveform", sample_rate_hz=8000)
FEW = {"train": 4, "validation": 4, "test": 4}
ONE_EPOCH = dataclasses.replace(FIT, epochs=1)


def with_fit(**changes: Any) -> Model:
    """The model, fitted in another way."""
    return dataclasses.replace(MODEL, fit=dataclasses.replace(FIT, **changes))


def content(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return feature_store(tmp_path_factory.mktemp("features") / "small")


@pytest.fixture(scope="module")
def root(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the model was trained into models/small."""
    folder = tmp_path_factory.mktemp("project")
    train(MODEL, store, folder / "models" / "small", folder)
    return folder


@pytest.fixture(scope="module")
def trained(root: Path) -> Path:
    return root / "models" / "small"


def weights(folder: Path) -> list[np.ndarray[Any, Any]]:
    values: list[np.ndarray[Any, Any]] = read_network(folder).get_weights()
    return values


def test_training_learns_patterns_that_can_be_learned(trained: Path) -> None:
    assert read_description(trained).validation == Validation(accuracy=1.0, clips=COUNTS["validation"])


def test_a_model_says_what_it_is_and_what_it_was_trained_on(trained: Path) -> None:
    assert read_description(trained) == ModelDescription(
        name="small",
        network="cnn",
        view="small",
        view_version=version(SMALL_MFCC),
        definition=definition(SMALL_MFCC),
        source="small",
        classes=CLASSES,
        task=task_of(),
        archives=ARCHIVES,
        parameters=json.loads(json.dumps(MODEL.parameters)),
        trainable_parameters=6 * 10 + 8 * (9 * 6 + 1) + 16 * (6 * 3 * 8 + 1) + 4 * 17,
        epochs=6,
        best_epoch=read_description(trained).best_epoch,
        validation=Validation(accuracy=1.0, clips=COUNTS["validation"]),
    )


def test_the_history_has_a_row_for_each_epoch(trained: Path) -> None:
    rows = read_history(trained)
    expected = ["epoch", "loss", "accuracy", "f1", "val_loss", "val_accuracy", "val_f1", "learning_rate"]
    assert list(rows[0]) == expected
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 7)]
    assert float(rows[-1]["learning_rate"]) == pytest.approx(0.0, abs=1e-9)


def test_the_micro_f1_of_each_epoch_equals_that_of_scikit_learn_and_the_accuracy(trained: Path, store: Store) -> None:
    for row in read_history(trained):
        for split in ("", "val_"):
            assert float(row[f"{split}f1"]) == pytest.approx(float(row[f"{split}accuracy"]), abs=1e-6)
    labels, probabilities = np.array([0, 1, 1, 3, 2]), np.eye(4, dtype=np.float32)[[0, 1, 2, 2, 2]] * 0.5 + 0.125
    metric = MicroF1()
    for part in (slice(0, 3), slice(3, 5)):
        metric.update_state(labels[part], probabilities[part])
    expected = f1_score(labels, probabilities.argmax(axis=1), average="micro")
    assert float(metric.result()) == pytest.approx(expected) and 0 < expected < 1


def test_the_model_folder_holds_the_model_alone_and_logs_stand_outside(root: Path, trained: Path) -> None:
    assert set(content(trained)) == {"model.keras", "model.json", "history.csv"}
    assert not [path for path in trained.iterdir() if path.is_dir()]
    assert json.loads((root / "dvclive/metrics/small.json").read_text()) == {"val_acc": 1.0}
    with (root / "dvclive/plots/small/metrics/train_loss.tsv").open() as file:
        logged = [float(row["train_loss"]) for row in csv.DictReader(file, delimiter="\t")]
    assert logged == [float(row["loss"]) for row in read_history(trained)]
    assert {path.name for path in (root / "logs/tensorboard/small").iterdir()} == {"train", "validation"}


def test_kept_weights_are_those_of_the_best_epoch(trained: Path, store: Store) -> None:
    description, network = read_description(trained), read_network(trained)
    found = [
        (network.predict_on_batch(x).argmax(axis=1) == y.numpy())
        for x, y in dataset.ordered(dataset.source(store), "validation", 20)
    ]
    assert description.validation
    assert float(np.concatenate(found).mean()) == pytest.approx(description.validation.accuracy, abs=1e-6)


def smoothed_cross_entropy(probabilities: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    classes = probabilities.shape[1]
    targets = np.eye(classes)[labels] * (1 - FIT.label_smoothing) + FIT.label_smoothing / classes
    return float(-(targets * np.log(probabilities.astype(np.float64))).sum(axis=1).mean())


def test_each_epoch_is_validated_on_every_clip_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected: list[float] = []
    save = Checkpoint.save

    def validate_then_save(self: Checkpoint, network: keras.Model, row: dict[str, float]) -> None:
        found = [
            (network.predict_on_batch(x), y.numpy()) for x, y in dataset.ordered(dataset.source(store), "validation", 7)
        ]
        expected.append(smoothed_cross_entropy(*(np.concatenate(each) for each in zip(*found, strict=True))))
        save(self, network, row)

    monkeypatch.setattr(Checkpoint, "save", validate_then_save)
    train(with_fit(epochs=3), store, tmp_path / "m", tmp_path)
    rows = read_history(tmp_path / "m")
    assert [float(row["val_loss"]) for row in rows] == pytest.approx(expected, rel=1e-4)
    assert len(set(expected)) == 3


def test_the_same_run_twice_gives_the_same_bytes_with_augmentation_on(
    trained: Path, store: Store, tmp_path: Path
) -> None:
    train(MODEL, store, tmp_path / "again", tmp_path)
    assert content(tmp_path / "again") == content(trained)


def test_another_seed_gives_other_weights(trained: Path, store: Store, tmp_path: Path) -> None:
    train(with_fit(epochs=1, seed=1), store, tmp_path / "other", tmp_path)
    assert not np.array_equal(weights(tmp_path / "other")[0], weights(trained)[0])


class Interrupted(Exception):
    """Stands for the end of a process."""


def interrupt_after(finished: int, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Checkpoint.save

    def save_then_stop(self: Checkpoint, network: keras.Model, row: dict[str, float]) -> None:
        save(self, network, row)
        if len(self.rows) == finished:
            raise Interrupted

    monkeypatch.setattr(Checkpoint, "save", save_then_stop)


def test_an_interrupted_run_resumes_and_leaves_the_same_files_and_bytes(
    root: Path, trained: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "small"
    with monkeypatch.context() as patch:
        interrupt_after(2, patch)
        with pytest.raises(Interrupted):
            train(MODEL, store, folder, tmp_path)
    assert not (folder / "model.json").exists()
    train(MODEL, store, folder, tmp_path)
    assert content(folder) == content(trained)
    assert not [path for path in folder.iterdir() if path.is_dir()]
    assert content(tmp_path / "dvclive") == content(root / "dvclive")


def test_a_run_with_other_parameters_does_not_resume_but_starts_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(2, patch)
        with pytest.raises(Interrupted):
            train(MODEL, store, tmp_path / "m", tmp_path)
    assert train(with_fit(epochs=1, warmup_epochs=0), store, tmp_path / "m", tmp_path).epochs == 1
    assert len(read_history(tmp_path / "m")) == 1


def test_training_leaves_files_that_are_not_its_own(store: Store, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    train(with_fit(epochs=1), store, tmp_path, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_training_stops_when_no_epoch_has_been_better_for_the_given_number() -> None:
    rows = [{"val_accuracy": accuracy, "val_loss": loss} for accuracy, loss in ((0.5, 2.0), (0.8, 1.0), (0.8, 1.5))]
    assert best_epoch(rows) == 2
    assert not is_over(rows, patience_epochs=2)
    assert is_over(rows, patience_epochs=1)
    assert not is_over([], patience_epochs=1)


def test_without_validation_the_last_epoch_is_the_best_and_training_does_not_stop_early() -> None:
    rows = [{"loss": 1.0}, {"loss": 2.0}, {"loss": 3.0}]
    assert best_epoch(rows) == 3
    assert not is_over(rows, patience_epochs=1)


def test_a_fit_on_train_and_validation_keeps_the_last_epoch_and_has_no_validation_figures(
    store: Store, tmp_path: Path
) -> None:
    both = with_fit(splits=("train", "validation"), epochs=3, early_stopping_epochs=1)
    description = train(both, store, tmp_path / "m", tmp_path)
    assert (description.epochs, description.best_epoch, description.validation) == (3, 3, None)
    assert json.loads((tmp_path / "m" / "model.json").read_text())["validation"] is None
    assert list(read_history(tmp_path / "m")[0]) == ["epoch", "loss", "accuracy", "f1", "learning_rate"]
    assert list(json.loads((tmp_path / "dvclive/metrics/small.json").read_text())) == ["train_acc"]


def test_a_fit_on_two_splits_holds_each_clip_of_both_once_and_normalizes_by_both(store: Store) -> None:
    fit = dataclasses.replace(FIT, splits=("train", "validation"), epochs=1)
    found = np.concatenate([x.numpy() for x, _ in epochs_of(store, fit, NO_CHANGE)])
    expected = np.concatenate([features_of(store, split) for split in fit.splits])
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(expected, axis=0))
    statistics, flat = (
        inputs_of(dataset.source(store), fit.splits).statistics,
        expected.reshape(-1, 12).astype(np.float64),
    )
    assert (statistics.clips, statistics.values) == (len(expected), len(flat))
    for name, values in (("mean", flat.mean(axis=0)), ("std", flat.std(axis=0)), ("min", flat.min(axis=0))):
        np.testing.assert_allclose(getattr(statistics, name), values, rtol=1e-9)
    assert pooled([store.statistics()]) == store.statistics()


def test_learning_rate_warms_up_linearly_and_falls_along_half_a_cosine_to_zero() -> None:
    schedule: Any = learning_rate(
        dataclasses.replace(FIT, epochs=5, warmup_epochs=1, learning_rate=0.01), steps_per_epoch=10
    )
    rates = [float(schedule(step)) for step in (0, 5, 10, 30, 50)]
    np.testing.assert_allclose(rates, [0.0, 0.005, 0.01, 0.005, 0.0], atol=1e-9)
    constant = dataclasses.replace(FIT, learning_rate_schedule="constant", learning_rate=0.01)
    assert learning_rate(constant, steps_per_epoch=10) == 0.01


def features_of(store: Store, split: str) -> np.ndarray[Any, Any]:
    """The features of a split in the order of the shards."""
    return np.concatenate([features.numpy() for features, _ in dataset.ordered(dataset.source(store), split, 7)])


def epochs_of(store: Store, fit: Fit, augment: Augment, first_epoch: int = 0) -> tf.data.Dataset:
    """The batches of all epochs."""
    statistics = inputs_of(dataset.source(store), fit.splits).statistics
    return epochs(dataset.source(store), fit, augment, statistics, ("features",), first_epoch)


def epoch_features(store: Store, fit: Fit, augment: Augment, first_epoch: int = 0) -> list[np.ndarray[Any, Any]]:
    """The features of each epoch, in order."""
    steps = dataset.steps(store, fit.splits, fit.batch_size)
    batches = [features.numpy() for features, _ in epochs_of(store, fit, augment, first_epoch)]
    return [np.concatenate(batches[at : at + steps]) for at in range(0, len(batches), steps)]


def test_each_epoch_holds_each_clip_once_in_another_order(store: Store) -> None:
    found, whole = epoch_features(store, FIT, NO_CHANGE), features_of(store, "train")
    assert len(found) == FIT.epochs
    for epoch in found:
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(whole, axis=0))
    assert len({epoch.tobytes() for epoch in found}) == FIT.epochs


@pytest.mark.parametrize("global_seed", [0, 1])
def test_training_data_follow_from_seed_and_epoch_alone(store: Store, global_seed: int) -> None:
    tf.random.set_seed(5)
    once = epoch_features(store, FIT, ALL_CHANGES)
    tf.random.set_seed(global_seed)
    np.testing.assert_array_equal(once, epoch_features(store, FIT, ALL_CHANGES))
    np.testing.assert_array_equal(once[2:], epoch_features(store, FIT, ALL_CHANGES, first_epoch=2))
    assert not np.array_equal(once, epoch_features(store, dataclasses.replace(FIT, seed=1), ALL_CHANGES))


def test_the_pipeline_is_traced_once_and_reads_statistics_once_whatever_the_number_of_epochs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    arranged = dataset.arranged
    monkeypatch.setattr(dataset, "arranged", lambda *given: calls.append("arranged") or arranged(*given))
    statistics = inputs_of(dataset.source(store), FIT.splits).statistics
    monkeypatch.setattr(Store, "statistics", lambda *_: calls.append("statistics"))
    batches = epochs(dataset.source(store), dataclasses.replace(FIT, epochs=40), ALL_CHANGES, statistics, ("features",))
    assert len(batches) == 40 * 5 == sum(1 for _ in batches)
    assert calls == ["arranged"]


@pytest.mark.parametrize(
    "augment",
    [
        dataclasses.replace(NO_CHANGE, time_shift_ms=240),
        dataclasses.replace(NO_CHANGE, time_masks=1, time_mask_frames=12),
        dataclasses.replace(NO_CHANGE, frequency_masks=1, frequency_mask_bins=6),
        dataclasses.replace(NO_CHANGE, time_warp_frames=5),
    ],
)
def test_augmentation_changes_each_clip_and_each_epoch_in_its_own_way(tmp_path: Path, augment: Augment) -> None:
    one = feature_store(tmp_path / "one", counts={"train": 1, "validation": 1, "test": 1})
    fit = dataclasses.replace(FIT, epochs=8, shuffle_buffer=1)
    assert len({epoch.tobytes() for epoch in epoch_features(one, fit, augment)}) > 4
    clips = {"features": tf.constant(np.tile(np.arange(300, dtype=np.float32).reshape(25, 12), (12, 1, 1)))}
    changed = augmentation(augment, SMALL_MFCC, np.zeros(12))(clips, tf.constant([0, 1]))["features"].numpy()
    assert len({clip.tobytes() for clip in changed}) > 4


def test_no_augmentation_changes_nothing() -> None:
    clips = {"features": tf.random.stateless_normal((3, 25, 12), (1, 2)), "length": tf.constant([5, 6, 7])}
    changed = augmentation(NO_CHANGE, SMALL_MFCC, np.zeros(12))(clips, tf.constant([0, 1]))
    assert all(np.array_equal(changed[name], clips[name]) for name in clips)


def test_a_shift_repeats_the_edge_of_features_and_moves_the_length_with_them() -> None:
    clip = np.arange(10, dtype=np.float32).reshape(5, 2)
    later = np.array([-5, -2, 0, 1, 3], np.int32)
    lengths = np.array([4, 4, 4, 4, 5], np.int32)
    shifted = shift({"features": tf.constant(np.stack([clip] * 5)), "length": tf.constant(lengths)}, tf.constant(later))
    for found, steps in zip(shifted["features"].numpy(), later, strict=True):
        np.testing.assert_array_equal(found, clip[np.clip(np.arange(5) - steps, 0, 4)])
    assert shifted["length"].numpy().tolist() == [1, 2, 4, 5, 5]


def test_a_shift_fills_waveforms_with_zeros() -> None:
    shifted = shift({"features": tf.constant([[1.0, 2.0, 3.0]] * 4)}, tf.constant([-1, 0, 2, 3]))["features"].numpy()
    assert shifted.tolist() == [[2, 3, 0], [1, 2, 3], [0, 0, 1], [0, 0, 0]]


def test_shifts_and_masks_take_every_value_that_they_may_and_no_other() -> None:
    assert set(shifts(tf.constant([3, 4]), 500, 2).numpy().tolist()) == {-2, -1, 0, 1, 2}
    starts, widths = (each.numpy() for each in masks(tf.constant([3, 4]), 2000, size=6, widest=2))
    assert set(widths.tolist()) == {0, 1, 2}
    for width in (0, 1, 2):
        assert set(starts[widths == width].tolist()) == set(range(6 - width + 1))


@pytest.mark.parametrize(("axis", "expected"), [(1, [[9, 9], [1, 2], [1, 2]]), (2, [[9, 1], [9, 1], [9, 1]])])
def test_a_mask_covers_its_stretch_with_the_mean(axis: int, expected: list[list[int]]) -> None:
    start, width = (1, 2) if axis == 1 else (1, 1)
    mean = np.array([1, 2] if axis == 1 else [1, 1], np.float32)
    covered = cover(tf.fill((1, 3, 2), 9.0), axis, tf.constant([start]), tf.constant([width]), mean)
    assert covered.numpy()[0].tolist() == expected


def test_a_shift_in_ms_is_steps_of_the_view() -> None:
    for view, far in ((SMALL_MFCC, 3), (WAVEFORM, 960)):
        ones = {"features": tf.ones((300, *view.shape)), "length": tf.fill((300,), view.steps // 2)}
        change = augmentation(dataclasses.replace(NO_CHANGE, time_shift_ms=120), view, np.zeros(12))
        moved = change(ones, tf.constant([0, 1]))["length"].numpy() - view.steps // 2
        assert 0.9 * far <= np.abs(moved).max() <= far


def test_normalization_is_minus_each_mean_over_one_deviation_and_only_shifts_constants(store: Store) -> None:
    features = features_of(store, "train")
    flat = features.reshape(-1, 12).astype(np.float64)
    expected = (features - flat.mean(axis=0)) / np.sqrt(((flat - flat.mean(axis=0)) ** 2).mean())
    np.testing.assert_allclose(normalization(store.statistics())(features).numpy(), expected, atol=1e-4)
    constant = dataclasses.replace(store.statistics(), std=np.zeros(12))
    ahead = normalization(constant)(np.full((1, 25, 12), store.statistics().mean + 0.5, np.float32)).numpy()
    np.testing.assert_allclose(ahead, 0.5, atol=1e-4)


def test_the_default_cnn_has_the_number_of_weights_worked_out_by_hand(store: Store) -> None:
    """(7·7·1+1)·56 + ..., after two poolings of 98x40: 24·10·112 inputs to the first dense layer; without a store."""
    statistics = dataclasses.replace(store.statistics(), mean=np.zeros(40), std=np.ones(40))
    inputs = Inputs("mfcc", (98, 40), 10.0, tuple(f"class_{n}" for n in range(12)), statistics)
    numbers = cnn.Numbers(filters=(56, 112), kernel_size=7, dense_units=(256, 256), dropout=0.3)
    by_hand = 56 * 50 + 112 * (49 * 56 + 1) + 256 * (24 * 10 * 112 + 1) + 256 * 257 + 12 * 257
    assert cnn.build(inputs, numbers).count_params() == by_hand == 7_260_652


MASKED_NETWORK = '''
"""A network that averages the real frames alone."""
import keras
import numpy as np
from keras import layers
from pydantic.dataclasses import dataclass
from base.types import STRICT
from results.model import FEATURES, LENGTH


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Numbers:
    pass


def build(inputs, numbers):
    features, length = keras.Input(inputs.shape, name=FEATURES), keras.Input((), dtype="int32", name=LENGTH)
    table = layers.Embedding(inputs.shape[0] + 1, inputs.shape[0], trainable=False, name="mask")
    rows = np.tril(np.ones((inputs.shape[0] + 1, inputs.shape[0]), np.float32), -1)
    mask = table(length)
    table.set_weights([rows])
    mean = layers.Dot(1)([mask, features])
    return keras.Model([features, length], layers.Dense(len(inputs.classes), "softmax")(mean))
'''


@pytest.fixture
def masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model whose network is one more file among those of training/models."""
    (tmp_path / "networks").mkdir()
    (tmp_path / "networks" / "masked.py").write_text(MASKED_NETWORK)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path / "networks")])
    return dataclasses.replace(MODEL, network="masked", numbers=models.find("masked").Numbers())


def test_a_network_is_one_file_and_may_read_the_clips_real_steps(masked: Model, store: Store, tmp_path: Path) -> None:
    assert train(masked, store, tmp_path / "m", tmp_path).network == "masked"
    for (_, length), label in dataset.ordered(dataset.source(store), "test", 20, ("features", "length")):
        assert length.dtype == tf.int32
        expected = [-(-real_length(each) // 640) for each in label.numpy()]
        assert length.numpy().tolist() == [min(each, 25) for each in expected]
        assert 19 in length.numpy()


def test_probabilities_stay_float32_under_mixed_precision(store: Store, tmp_path: Path) -> None:
    train(with_fit(epochs=1, precision="mixed_bfloat16"), store, tmp_path, tmp_path)
    network = read_network(tmp_path)
    probabilities = network.predict_on_batch(np.zeros((1, 25, 12), np.float32))
    assert probabilities.dtype == np.float32
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    train(with_fit(epochs=1), store, tmp_path, tmp_path)
    assert read_network(tmp_path).get_layer("dense_1").dtype_policy.name == "float32"


def test_waveforms_are_read_as_numbers_from_minus_one_to_one_and_refused_by_the_cnn(tmp_path: Path) -> None:
    waveforms = feature_store(tmp_path / "waves", WAVEFORM, FEW)
    features, _ = next(iter(dataset.ordered(dataset.source(waveforms), "train", 2)))
    assert features.dtype == tf.float32 and float(tf.reduce_max(tf.abs(features))) <= 1.0
    with pytest.raises(DataError, match=r"cnn reads two-dimensional features.*waveform has shape \(8000,\)"):
        train(dataclasses.replace(MODEL, definition=WAVEFORM), waveforms, tmp_path / "model", tmp_path)


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize("splits", [("train",), ("train", "validation")])
def test_an_empty_split_is_refused_by_name(tmp_path: Path, split: str, splits: Any) -> None:
    empty = feature_store(tmp_path / "empty", counts={**COUNTS, split: 0})
    with pytest.raises(DataError, match=f"no clip in split '{split}'"):
        train(with_fit(splits=splits), empty, tmp_path / "model", tmp_path)


WIDE = dataclasses.replace(ALL_CHANGES, time_mask_frames=25)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (dataclasses.replace(MODEL, network="cnm"), r"no network 'cnm'; training/models has .*cnn"),
        (
            dataclasses.replace(MODEL, numbers=dataclasses.replace(NUMBERS, filters=(1, 1, 1, 1))),
            "4 filters mean as many poolings by 2, which leave nothing",
        ),
        (dataclasses.replace(MODEL, augment=WIDE), "time_mask_frames: got 25, expected less than 25"),
        (with_fit(learning_rate=1e30, warmup_epochs=0), "loss is not finite"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_in_one_sentence(
    store: Store, tmp_path: Path, model: Model, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        train(model, store, tmp_path / "m", tmp_path)


def test_a_network_fitted_in_half_precision_is_written_in_single_precision(store: Store, tmp_path: Path) -> None:
    fit = dataclasses.replace(FIT, epochs=1, precision="mixed_bfloat16")
    train(dataclasses.replace(MODEL, fit=fit), store, tmp_path / "model", tmp_path)
    network = read_network(tmp_path / "model")
    assert {layer.dtype_policy.name for layer in network.layers} == {"float32"}
    before = predict(network, dataset.source(store, SMALL_MFCC), 8).probabilities
    train(
        dataclasses.replace(MODEL, fit=dataclasses.replace(fit, precision="float32")),
        store,
        tmp_path / "other",
        tmp_path,
    )
    after = predict(read_network(tmp_path / "other"), dataset.source(store, SMALL_MFCC), 8).probabilities
    assert 0 < np.abs(before - after).max() < 0.2  # the weights are those that were fitted, not a first draw


def test_masks_of_waveforms_are_refused() -> None:
    with pytest.raises(DataError, match=r"masks need two-dimensional features.*set time_masks"):
        augmentation(dataclasses.replace(ALL_CHANGES, time_warp_frames=0), WAVEFORM, np.zeros(1))


def test_a_file_in_the_place_of_the_models_folder_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        train(MODEL, store, tmp_path / "file", tmp_path)


def test_a_store_of_clips_cannot_be_trained_on(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds clips, not the features of a view"):
        train(MODEL, clip_store(tmp_path / "clips", {"train": 4}), tmp_path / "m", tmp_path)


def test_an_unfinished_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a finished model"):
        read_description(tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace("keyword-spotting-model/3", "keyword-spotting-model/2"), "format 'keyword-spotting"),
        (lambda text: text.replace('"epochs": 6', '"epochs": "six"'), "not a valid description"),
        (lambda text: text[:-9], "not a valid description"),
    ],
)
def test_a_damaged_or_older_description_is_refused(trained: Path, tmp_path: Path, damage: Any, message: str) -> None:
    shutil.copytree(trained, tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text(damage((trained / "model.json").read_text()))
    with pytest.raises(DataError, match=message):
        read_description(tmp_path / "m")


def test_a_store_of_another_view_is_refused_and_the_difference_named(trained: Path, tmp_path: Path) -> None:
    other = feature_store(tmp_path / "other", Mfcc(**{**vars(SMALL_MFCC), "mel_high_hz": 7000.0}), FEW)
    with pytest.raises(DataError, match=r"view.mel_high_hz is 7000.0 in the store, 7600.0 in the model"):
        check_fit(read_description(trained), other.manifest, other.path)


def test_a_store_of_other_classes_is_refused(trained: Path, tmp_path: Path) -> None:
    other = feature_store(tmp_path / "other", counts=FEW, classes=("_silence_", "_unknown_", "no", "yes"))
    with pytest.raises(DataError, match=r"classes are .*'no', 'yes'\] in the store, .*'yes', 'no'\] in the model"):
        check_fit(read_description(trained), other.manifest, other.path)


def test_all_other_differences_are_told_and_not_refused(trained: Path, store: Store) -> None:
    model, manifest = read_description(trained), store.manifest
    assert check_fit(model, manifest, store.path) == ()
    task = task_of(counts={**COUNTS, "test": 7}, clips_sha256="2" * 64)
    others = dataclasses.replace(
        manifest,
        task=dataclasses.replace(task, seed=3, split=dataclasses.replace(task.split, method="speaker")),
        archives=(dataclasses.replace(ARCHIVES[0], file="other.tar.gz", sha256="f" * 64),),
    )
    assert check_fit(model, others, "other") == (
        "task.split.method is 'speaker' in the store, 'official' in the model",
        "task.seed is 3 in the store, 0 in the model",
        "clips.test is 7 in the store, 23 in the model",
        f"clips.manifest_sha256 is '{'2' * 64}' in the store, '{'1' * 64}' in the model",
        "archives are other.tar.gz (ffffffff) in the store, small.tar.gz (00000000) in the model",
    )

"""Claims about training: it learns, repeats and resumes; the network is the one described; mistakes are named."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from training_store import CLASSES, COUNTS, SMALL_MFCC, feature_store

import params
from features.errors import DataError
from features.store import Store
from features.views import Mfcc, Waveform, definition_hash
from params import Augment, Cnn, Fit
from training import dataset
from training.artifact import check_fit, read_info, read_network
from training.augment import masks, shift_steps, time_shift
from training.checkpoint import Checkpoint, best_epoch, is_over
from training.models import MODELS, build
from training.models.cnn import normalization
from training.train import learning_rate, train

NO_CHANGE = Augment(time_shift_ms=0, time_masks=0, time_mask_frames=0, frequency_masks=0, frequency_mask_bins=0)
ALL_CHANGES = Augment(time_shift_ms=120, time_masks=1, time_mask_frames=4, frequency_masks=1, frequency_mask_bins=2)
FIT = Fit(
    epochs=6,
    batch_size=20,
    learning_rate=0.01,
    learning_rate_schedule="cosine",
    warmup_epochs=1,
    weight_decay=0.001,
    label_smoothing=0.05,
    early_stopping_epochs=6,
    shuffle_buffer=64,
    precision="float32",
    augment=ALL_CHANGES,
    seed=0,
)
CNN = Cnn(filters=(6, 8), kernel_size=3, dense_units=(16,), dropout=0.1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return feature_store(tmp_path_factory.mktemp("features") / "small")


@pytest.fixture(scope="module")
def trained(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "cnn"
    train("cnn", store, folder, FIT, CNN)
    return folder


def weights(folder: Path) -> list[np.ndarray[Any, Any]]:
    values: list[np.ndarray[Any, Any]] = read_network(folder).get_weights()
    return values


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_training_learns_patterns_that_can_be_learned(trained: Path) -> None:
    info = read_info(trained)
    assert info.validation == {"accuracy": 1.0, "clips": COUNTS["validation"]}


def test_model_folder_says_what_the_model_is_and_holds_its_history_and_logs(trained: Path) -> None:
    info = read_info(trained)
    assert (info.model, info.view, info.classes, info.epochs) == ("cnn", "small", CLASSES, 6)
    assert info.definition_hash == definition_hash(SMALL_MFCC)
    assert info.parameters["fit"]["augment"]["time_shift_ms"] == 120
    assert [row["epoch"] for row in history(trained)] == [str(epoch) for epoch in range(1, 7)]
    assert float(history(trained)[-1]["learning_rate"]) == pytest.approx(0.0, abs=1e-9)
    assert json.loads((trained / "dvclive" / "metrics.json").read_text())["step"] == 5
    assert {path.name for path in trained.iterdir()} == {
        "model.keras", "model.json", "history.csv", "tensorboard", "dvclive"
    }  # fmt: skip


def test_kept_weights_are_those_of_the_best_epoch(trained: Path, store: Store) -> None:
    info, network = read_info(trained), read_network(trained)
    found = [
        (network.predict_on_batch(x).argmax(axis=1) == y.numpy()) for x, y in dataset.ordered(store, "validation", 20)
    ]
    assert float(np.concatenate(found).mean()) == pytest.approx(info.validation["accuracy"], abs=1e-6)


def test_the_same_run_twice_gives_the_same_bytes_with_augmentation_on(
    trained: Path, store: Store, tmp_path: Path
) -> None:
    train("cnn", store, tmp_path / "again", FIT, CNN)
    for name in ("model.keras", "model.json", "history.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (trained / name).read_bytes(), name


def test_another_seed_gives_other_weights(trained: Path, store: Store, tmp_path: Path) -> None:
    train("cnn", store, tmp_path / "other", dataclasses.replace(FIT, epochs=1, seed=1), CNN)
    assert not np.array_equal(weights(tmp_path / "other")[0], weights(trained)[0])


class Interrupted(Exception):
    """Stands for the end of a process."""


def interrupt_after(epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Checkpoint.save

    def save_then_stop(self: Checkpoint, network: keras.Model, row: dict[str, float]) -> None:
        save(self, network, row)
        if len(self.rows) == epochs:
            raise Interrupted

    monkeypatch.setattr(Checkpoint, "save", save_then_stop)


def test_an_interrupted_run_resumes_and_ends_with_the_same_bytes(
    trained: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cnn"
    with monkeypatch.context() as patch:
        interrupt_after(2, patch)
        with pytest.raises(Interrupted):
            train("cnn", store, folder, FIT, CNN)
    assert not (folder / "model.json").exists()
    train("cnn", store, folder, FIT, CNN)
    for name in ("model.keras", "model.json", "history.csv"):
        assert (folder / name).read_bytes() == (trained / name).read_bytes(), name
    assert not (folder / "checkpoint").exists()
    assert json.loads((folder / "dvclive" / "metrics.json").read_text())["step"] == 5


def test_a_run_with_other_parameters_does_not_resume_but_begins_anew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(2, patch)
        with pytest.raises(Interrupted):
            train("cnn", store, tmp_path, FIT, CNN)
    changed = dataclasses.replace(FIT, epochs=1, warmup_epochs=0)
    assert train("cnn", store, tmp_path, changed, CNN).epochs == 1
    assert len(history(tmp_path)) == 1


def test_training_leaves_files_that_are_not_its_own(store: Store, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    train("cnn", store, tmp_path, dataclasses.replace(FIT, epochs=1), CNN)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_training_stops_when_no_epoch_has_been_better_for_the_given_number() -> None:
    rows = [{"val_accuracy": accuracy, "val_loss": loss} for accuracy, loss in ((0.5, 2.0), (0.8, 1.0), (0.8, 1.5))]
    assert best_epoch(rows) == 2
    assert not is_over(rows, patience_epochs=2)
    assert is_over(rows, patience_epochs=1)
    assert not is_over([], patience_epochs=1)


def test_learning_rate_warms_up_linearly_and_falls_along_half_a_cosine_to_zero() -> None:
    schedule: Any = learning_rate(
        dataclasses.replace(FIT, epochs=5, warmup_epochs=1, learning_rate=0.01), steps_per_epoch=10
    )
    rates = [float(schedule(step)) for step in (0, 5, 10, 30, 50)]
    np.testing.assert_allclose(rates, [0.0, 0.005, 0.01, 0.005, 0.0], atol=1e-9)
    constant = dataclasses.replace(FIT, learning_rate_schedule="constant", learning_rate=0.01)
    assert learning_rate(constant, steps_per_epoch=10) == 0.01


def epochs_of(store: Store, fit: Fit, first_epoch: int = 0) -> list[np.ndarray[Any, Any]]:
    """The features of each epoch, in order."""
    steps = dataset.steps(store, "train", fit.batch_size)
    batches = [features.numpy() for features, _ in dataset.training(store, fit, first_epoch)]
    return [np.concatenate(batches[at : at + steps]) for at in range(0, len(batches), steps)]


def test_each_epoch_holds_each_clip_once_in_another_order(store: Store) -> None:
    epochs = epochs_of(store, dataclasses.replace(FIT, augment=NO_CHANGE))
    whole = np.concatenate([features.numpy() for features, _ in dataset.ordered(store, "train", 7)])
    assert len(epochs) == FIT.epochs
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch, axis=0), np.sort(whole, axis=0))
    assert not np.array_equal(epochs[0], epochs[1])


def test_training_data_follow_from_seed_and_epoch_alone(store: Store) -> None:
    once, again = epochs_of(store, FIT), epochs_of(store, FIT)
    np.testing.assert_array_equal(once, again)
    np.testing.assert_array_equal(once[2:], epochs_of(store, FIT, first_epoch=2))
    assert not np.array_equal(once, epochs_of(store, dataclasses.replace(FIT, seed=1)))


def time_shift_or_masks(augment: Augment) -> Any:
    if augment.time_shift_ms:
        return lambda clip, mean: time_shift(clip, 6)
    return lambda clip, mean: masks(clip, augment, mean)


@pytest.mark.parametrize(
    "augment",
    [
        dataclasses.replace(NO_CHANGE, time_shift_ms=240),
        dataclasses.replace(NO_CHANGE, time_masks=1, time_mask_frames=12),
        dataclasses.replace(NO_CHANGE, frequency_masks=1, frequency_mask_bins=6),
    ],
)
def test_augmentation_draws_anew_for_each_clip_and_each_epoch(tmp_path: Path, augment: Augment) -> None:
    store = feature_store(tmp_path / "one", counts={"train": 1, "validation": 1, "test": 1})
    fit = dataclasses.replace(FIT, augment=augment, epochs=8, shuffle_buffer=1)
    assert len({epoch.tobytes() for epoch in epochs_of(store, fit)}) > 4
    mean, change = np.zeros(12, np.float32), time_shift_or_masks(augment)
    clips = tf.data.Dataset.from_tensors(tf.constant(np.arange(300, dtype=np.float32).reshape(25, 12))).repeat(12)
    assert len({clip.numpy().tobytes() for clip in clips.map(lambda clip: change(clip, mean))}) > 4


def test_a_time_shift_repeats_the_edge_of_features_and_fills_waveforms_with_zeros() -> None:
    frames = tf.reshape(tf.range(1, 11, dtype=tf.float32), (5, 2))
    for _ in range(20):
        shifted = time_shift(frames, 2).numpy()
        offset = round((float(shifted[2, 0]) - 5) / 2)
        expected = frames.numpy()[np.clip(np.arange(5) + offset, 0, 4)]
        assert -2 <= offset <= 2
        np.testing.assert_array_equal(shifted, expected)
        samples = time_shift(tf.ones(5), 2).numpy()
        assert set(samples) <= {0.0, 1.0} and samples.sum() >= 3


def test_a_shift_in_ms_is_frames_of_the_hop_or_samples_of_a_waveform() -> None:
    assert shift_steps(120, SMALL_MFCC) == 3
    assert shift_steps(10, Waveform(kind="waveform", sample_rate_hz=8000)) == 80


def test_masks_cover_with_the_mean_no_more_than_asked() -> None:
    features, mean = tf.fill((25, 12), 9.0), np.full(12, 2.0, np.float32)
    for _ in range(20):
        masked = masks(features, ALL_CHANGES, mean).numpy()
        covered = np.isclose(masked, 2.0)
        assert np.isclose(masked[~covered], 9.0).all()
        assert covered.all(axis=1).sum() <= 4 and covered.all(axis=0).sum() <= 2


def test_normalization_is_minus_each_mean_over_one_deviation_and_only_shifts_constants(store: Store) -> None:
    features = np.concatenate([features.numpy() for features, _ in dataset.ordered(store, "train", 20)])
    flat = features.reshape(-1, 12).astype(np.float64)
    expected = (features - flat.mean(axis=0)) / np.sqrt(((flat - flat.mean(axis=0)) ** 2).mean())
    np.testing.assert_allclose(normalization(store.statistics())(features).numpy(), expected, atol=1e-4)
    constant = dataclasses.replace(store.statistics(), std=np.zeros(12))
    ahead = normalization(constant)(np.full((1, 25, 12), store.statistics().mean + 0.5, np.float32)).numpy()
    np.testing.assert_allclose(ahead, 0.5, atol=1e-4)


def test_the_default_cnn_has_the_number_of_weights_worked_out_by_hand(tmp_path: Path) -> None:
    """(7·7·1+1)·56 + ..., after two poolings of 98x40: 24·10·112 inputs to the first dense layer."""
    view = Mfcc(**{**vars(SMALL_MFCC), "frame_ms": 30, "hop_ms": 10, "mel_bands": 40, "coefficients": 40})
    assert view.shape == (98, 40)
    counts = {"train": 12, "validation": 1, "test": 1}
    twelve = feature_store(tmp_path / "wide", view, counts, tuple(f"class_{n}" for n in range(12)))
    network = build("cnn", twelve, Cnn(filters=(56, 112), kernel_size=7, dense_units=(256, 256), dropout=0.3))
    by_hand = 56 * 50 + 112 * (49 * 56 + 1) + 256 * (24 * 10 * 112 + 1) + 256 * 257 + 12 * 257
    assert network.count_params() == by_hand == 7_260_652


def test_the_default_parameters_name_known_models_only() -> None:
    assert set(params.load(Path(__file__).parent.parent / "params.yaml").models) <= set(MODELS)


def test_probabilities_stay_float32_under_mixed_precision(store: Store, tmp_path: Path) -> None:
    train("cnn", store, tmp_path, dataclasses.replace(FIT, epochs=1, precision="mixed_bfloat16"), CNN)
    network = read_network(tmp_path)
    probabilities = network.predict_on_batch(np.zeros((1, 25, 12), np.float32))
    assert probabilities.dtype == np.float32
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    train("cnn", store, tmp_path, dataclasses.replace(FIT, epochs=1), CNN)
    assert read_network(tmp_path).get_layer("dense_1").dtype_policy.name == "float32"


def test_a_waveform_for_the_cnn_is_refused_with_what_it_reads(tmp_path: Path) -> None:
    waveforms = feature_store(
        tmp_path / "waves", Waveform(kind="waveform", sample_rate_hz=8000), {"train": 4, "validation": 4, "test": 4}
    )
    with pytest.raises(DataError, match=r"cnn reads two-dimensional features.*waveform of shape \(8000,\)"):
        train("cnn", waveforms, tmp_path / "model", FIT, CNN)
    features, _ = next(iter(dataset.ordered(waveforms, "train", 2)))
    assert features.dtype == tf.float32 and float(tf.reduce_max(tf.abs(features))) <= 1.0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_an_empty_split_is_refused_by_name(tmp_path: Path, split: str) -> None:
    empty = feature_store(tmp_path / "empty", counts={**COUNTS, split: 0})
    with pytest.raises(DataError, match=f"no clip in split '{split}'"):
        train("cnn", empty, tmp_path / "model", FIT, CNN)


def test_mistakes_in_models_poolings_masks_and_folders_are_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no model 'cnm'"):
        train("cnm", store, tmp_path, FIT, CNN)
    with pytest.raises(DataError, match="4 poolings by 2 leave nothing"):
        train("cnn", store, tmp_path, FIT, dataclasses.replace(CNN, filters=(1, 1, 1, 1)))
    wide = dataclasses.replace(FIT, augment=dataclasses.replace(ALL_CHANGES, time_mask_frames=25))
    with pytest.raises(DataError, match="time_mask_frames: got 25, expected less than 25"):
        train("cnn", store, tmp_path, wide, CNN)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        train("cnn", store, tmp_path / "file", FIT, CNN)


def test_a_loss_that_is_not_finite_ends_in_one_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="loss is not finite"):
        train("cnn", store, tmp_path, dataclasses.replace(FIT, learning_rate=1e30, warmup_epochs=0), CNN)


def test_an_unfinished_model_and_a_store_of_other_parameters_are_refused(
    trained: Path, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="not a finished model"):
        read_info(tmp_path)
    other = Mfcc(**{**vars(SMALL_MFCC), "mel_high_hz": 7000.0})
    with pytest.raises(DataError, match=r"view.mel_high_hz is 7000.0 in the store, 7600.0 in the model"):
        check_fit(
            read_info(trained), feature_store(tmp_path / "other", other, {"train": 4, "validation": 4, "test": 4})
        )
    check_fit(read_info(trained), store)

"""Claims about changes of waveforms while a model is fitted: what they are, what they follow from, what they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from training_store import CLASSES, SMALL_MFCC, feature_store
from training_tools import ALL_CHANGES, FIT, FRESH, MODEL, NO_CHANGE

from base.errors import DataError
from features import frontend
from features.views import WHOLE_CLIPS
from readers.store import Store
from results.network_file import read_network
from training import dataset
from training.config import Augment, Model
from training.evaluate import evaluate
from training.fitting.augment import augmentation, mixed_up, warped
from training.fitting.epochs import epochs
from training.fitting.teacher import teacher
from training.fitting.waveforms import moved, silences, waveform_augmentation, with_noise
from training.statistics import statistics_of
from training.train import train

COUNTS = {"train": 24, "validation": 8, "test": 8}
SEED = tf.constant([3, 4], tf.int64)
FRESH_MODEL = dataclasses.replace(
    MODEL, source="small", fit=dataclasses.replace(FIT, epochs=3, batch_size=8), augment=FRESH
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return feature_store(tmp_path_factory.mktemp("waveforms") / "small", WHOLE_CLIPS, COUNTS)


def clips_of(store: Store, split: str) -> np.ndarray[Any, Any]:
    """The waveforms of a split in the order of the shards."""
    return np.stack([np.asarray(record["audio"]) for record in store.records(split)])


def sine(hertz: float) -> np.ndarray[Any, Any]:
    """A second of a tone at 16 kHz, half of full scale; float32, (16000,)."""
    return (16_000 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)).astype(np.float32)


def test_the_view_is_that_of_the_pipelines_though_it_is_computed_as_clips_are_read(store: Store) -> None:
    source = dataset.source(store, SMALL_MFCC)
    found = np.concatenate([features.numpy() for features, _ in dataset.ordered(source, "test", 3)])
    expected = frontend.compute(SMALL_MFCC, clips_of(store, "test"))
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_statistics_of_a_computed_view_are_those_of_its_values(store: Store) -> None:
    found = statistics_of(dataset.source(store, SMALL_MFCC), ("train", "validation"))
    clips = np.concatenate([clips_of(store, split) for split in ("train", "validation")])
    values = frontend.compute(SMALL_MFCC, clips).reshape(-1, SMALL_MFCC.width).astype(np.float64)
    assert (found.clips, found.values) == (32, len(values))
    np.testing.assert_allclose(found.mean, values.mean(axis=0), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.std, values.std(axis=0), rtol=1e-4, atol=1e-3)


def test_a_store_of_another_view_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds the view small, but a mfcc of another definition is wanted"):
        dataset.source(feature_store(tmp_path, SMALL_MFCC), dataclasses.replace(SMALL_MFCC, coefficients=10))


def test_a_clip_played_faster_has_a_higher_pitch_and_keeps_its_middle() -> None:
    clip = sine(400.0)
    faster = moved(tf.constant([clip, clip]), tf.constant([1.1, 1.0]), tf.constant([0.0, 0.0])).numpy()
    np.testing.assert_array_equal(faster[1], clip)
    spectrum = np.abs(np.fft.rfft(faster[0]))
    assert abs(int(spectrum.argmax()) - 440) <= 1
    assert not faster[0][:700].any() and not faster[0][-700:].any()
    np.testing.assert_allclose(faster[0][7_999:8_001], clip[7_999:8_001], atol=300)


def test_a_moved_clip_equals_its_interpolation_by_numpy() -> None:
    generator = np.random.default_rng(0)
    clips = generator.normal(0, 1000, (4, 16_000)).astype(np.float32)
    factors, later = np.array([0.85, 1.0, 1.15, 1.03], np.float32), np.array([-1600, 37, 0, 1600], np.float32)
    found = moved(tf.constant(clips), tf.constant(factors), tf.constant(later)).numpy()
    middle = 15_999 / 2
    for clip, factor, shift, changed in zip(clips, factors, later, found, strict=True):
        places = (np.arange(16_000) - middle - shift) * float(factor) + middle
        expected = np.interp(places, np.arange(-1, 16_001), np.pad(clip, 1), left=0, right=0)
        np.testing.assert_allclose(changed, expected, atol=12)  # float32 places: 1e-3 of a sample


def test_noise_has_the_stated_ratio_and_silence_stays_silence() -> None:
    generator = np.random.default_rng(1)
    noise = generator.normal(0, 50, (3, 16_000)).astype(np.float32)
    clips = np.stack([sine(300.0), np.zeros(16_000, np.float32), sine(500.0)])
    noise[2] = 0
    mixed = with_noise(tf.constant(clips), tf.constant(noise), tf.constant([10.0, 10.0, 10.0])).numpy()
    added = mixed[0].astype(np.float64) - clips[0]
    ratio = 10 * np.log10(np.square(clips[0].astype(np.float64)).mean() / np.square(added).mean())
    assert ratio == pytest.approx(10.0, abs=0.01)
    np.testing.assert_array_equal(mixed[1:], clips[1:])


@pytest.mark.parametrize(
    ("augment", "share"),
    [
        (dataclasses.replace(NO_CHANGE, noise_probability=0.5), 0.5),
        (dataclasses.replace(NO_CHANGE, white_noise_probability=0.3), 0.3),
        (dataclasses.replace(NO_CHANGE, gain_db=(-12.0, -6.0)), 1.0),
        (dataclasses.replace(NO_CHANGE, speed=(0.9, 1.1)), 1.0),
        (dataclasses.replace(NO_CHANGE, time_shift_ms=50), 1.0),
    ],
)
def test_the_stated_share_of_clips_is_changed_each_in_its_own_way(store: Store, augment: Augment, share: float) -> None:
    change = waveform_augmentation(augment, store, ("train",))
    clips = np.tile((sine(400.0) / 4).astype(np.int16), (400, 1))
    changed = change({"features": tf.constant(clips)}, SEED)["features"]
    assert changed.dtype == tf.int16
    differs = (changed.numpy() != clips).any(axis=1)
    assert abs(differs.mean() - share) < 0.08
    assert len({clip.tobytes() for clip in changed.numpy()[differs]}) > 0.8 * differs.sum()


def test_the_noise_is_the_silence_of_the_splits_that_are_fitted(store: Store, tmp_path: Path) -> None:
    expected = [r["audio"] for r in store.records("train") if r["label"] == CLASSES.index("_silence_")]
    np.testing.assert_array_equal(silences(store, ("train",)), np.stack(expected))
    words = feature_store(tmp_path, WHOLE_CLIPS, {"train": 4, "validation": 4, "test": 4}, ("a", "b", "yes", "no"))
    with pytest.raises(DataError, match="has no silence clip to add as noise: set noise_probability"):
        waveform_augmentation(FRESH, words, ("train",))


def test_samples_beyond_full_scale_are_clipped_and_lengths_move_with_their_clip(store: Store) -> None:
    loud = waveform_augmentation(dataclasses.replace(NO_CHANGE, gain_db=(20.0, 20.0)), store, ("train",))
    clips = np.array([[30_000, -30_000, 5] + [0] * 15_997], np.int16)
    assert loud({"features": tf.constant(clips)}, SEED)["features"].numpy()[0, :3].tolist() == [32_767, -32_768, 50]
    slow = waveform_augmentation(dataclasses.replace(NO_CHANGE, speed=(0.8, 0.8)), store, ("train",))
    lengths = {"features": tf.constant(clips), "length": tf.constant([12_000], tf.int64)}
    assert slow(lengths, SEED)["length"].numpy().tolist() == [13_000]


def test_warping_moves_one_frame_and_keeps_the_ends() -> None:
    ramp = np.tile(np.arange(11, dtype=np.float32)[:, None], (1, 2))
    found = warped(tf.constant([ramp]), tf.constant([4.0]), tf.constant([2.0])).numpy()[0, :, 0]
    np.testing.assert_allclose(found, [0, 2 / 3, 4 / 3, 2, 8 / 3, 10 / 3, 4, 5.5, 7, 8.5, 10], rtol=1e-5)
    with pytest.raises(DataError, match=r"time_warp_frames: got 20 .* at least 44 frames"):
        augmentation(dataclasses.replace(NO_CHANGE, time_warp_frames=20), SMALL_MFCC, np.zeros(12))


def test_mixup_averages_features_and_labels_with_one_weight() -> None:
    labels = tf.one_hot(tf.range(64) % 4, 4)
    features = tf.tile(labels[:, None, :], (1, 3, 1))
    inputs, targets = mixed_up({"features": features}, labels, 0.5, SEED)
    np.testing.assert_allclose(inputs["features"][:, 0].numpy(), targets.numpy(), atol=1e-6)
    np.testing.assert_allclose(targets.numpy().sum(axis=1), 1.0, atol=1e-6)
    assert ((targets.numpy() > 0.05) & (targets.numpy() < 0.95)).any()


def test_an_epoch_of_changed_waveforms_follows_from_seed_and_number_alone(store: Store) -> None:
    source = dataset.source(store, SMALL_MFCC)
    statistics = statistics_of(source, ("train",))

    def features(first: int) -> np.ndarray[Any, Any]:
        batches = epochs(source, FRESH_MODEL.fit, FRESH, statistics, ("features",), first)
        return np.concatenate([each.numpy() for each, _ in batches])

    whole = features(0)
    np.testing.assert_array_equal(whole, features(0))
    np.testing.assert_array_equal(whole[-24:], features(2))
    assert not np.array_equal(whole[:24], whole[-24:])


class Interrupted(Exception):
    """Stands for a kill."""


def test_a_killed_run_on_changed_waveforms_goes_on_to_the_same_bytes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = dataclasses.replace(FRESH_MODEL, fit=dataclasses.replace(FRESH_MODEL.fit, weight_average_decay=0.9))
    train(model, store, tmp_path / "whole", tmp_path)
    from training.fitting.checkpoint import Checkpoint

    save = Checkpoint.save

    def killed(self: Checkpoint, network: Any, row: Any) -> None:
        save(self, network, row)
        if len(self.rows) == 2:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", killed)
        with pytest.raises(Interrupted):
            train(model, store, tmp_path / "again", tmp_path)
    train(model, store, tmp_path / "again", tmp_path)
    for name in ("model.keras", "model.json", "history.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.fixture(scope="module")
def trained(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(FRESH_MODEL, store, folder / "model", folder)
    return folder / "model"


def test_a_model_on_waveforms_is_evaluated_on_waveforms_and_on_stored_features_alike(
    store: Store, trained: Path, tmp_path: Path
) -> None:
    evaluate(trained, store, tmp_path / "evaluation", 5)
    source = dataset.source(store, SMALL_MFCC)
    network = read_network(trained)
    stored = frontend.compute(SMALL_MFCC, clips_of(store, "test"))
    computed = np.concatenate([x.numpy() for x, _ in dataset.ordered(source, "test", 5)])
    np.testing.assert_allclose(network.predict_on_batch(stored), network.predict_on_batch(computed), atol=1e-4)


def test_a_pupil_is_fitted_to_what_its_teacher_says(store: Store, trained: Path, tmp_path: Path) -> None:
    source = dataset.source(store, SMALL_MFCC)
    network = read_network(trained)
    learned = teacher(network, SMALL_MFCC, CLASSES, source, 0.25, 2.0)
    clips = clips_of(store, "test")
    labels = tf.one_hot(tf.range(8) % 4, 4)
    logits = np.log(network.predict_on_batch(source.features(tf.constant(clips)).numpy())) / 2.0
    said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = learned.targets(tf.constant(clips), labels).numpy()
    np.testing.assert_allclose(targets, 0.75 * labels.numpy() + 0.25 * said, atol=1e-5)
    pupil = dataclasses.replace(FRESH_MODEL, fit=dataclasses.replace(FRESH_MODEL.fit, distillation_weight=0.5))
    train(pupil, store, tmp_path / "pupil", tmp_path, trained)
    alone = np.concatenate([w.ravel() for w in read_network(trained).get_weights()])
    assert not np.array_equal(
        alone, np.concatenate([w.ravel() for w in read_network(tmp_path / "pupil").get_weights()])
    )
    with pytest.raises(DataError, match="the teacher knows the classes a, b"):
        teacher(network, SMALL_MFCC, ("a", "b"), source, 0.5, 1.0)


def with_fit(**changes: Any) -> Model:
    """The model on stored features, fitted in another way."""
    return dataclasses.replace(MODEL, augment=ALL_CHANGES, fit=dataclasses.replace(FIT, epochs=8, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "sgd", "learning_rate": 0.05},
        {"learning_rate_schedule": "steps", "learning_rate_steps": ((4, 0.001),)},
        {"weight_average_decay": 0.8},
    ],
)
def test_each_way_of_fitting_learns(tmp_path: Path, changes: dict[str, Any]) -> None:
    small = feature_store(tmp_path / "store")
    description = train(with_fit(**changes), small, tmp_path / "model", tmp_path)
    assert description.validation is not None and description.validation.accuracy > 0.9

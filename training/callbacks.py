"""What happens around the epochs of `fit`: checkpoints, early stopping, logs and progress."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import keras
from dvclive.keras import DVCLiveCallback
from dvclive.live import Live

from command import PLAIN_PROGRESS_INTERVAL_S, say
from features.errors import DataError
from training.checkpoint import Checkpoint, Row, is_over

TENSORBOARD_FOLDER: Final = "tensorboard"
DVCLIVE_FOLDER: Final = "dvclive"


def callbacks(
    folder: Path, checkpoint: Checkpoint, patience_epochs: int, epochs: int
) -> list[keras.callbacks.Callback]:
    """All callbacks of a run, in the order in which they act.

    Args:
        folder: the model's folder; TensorBoard's and DVCLive's logs go into it.
        checkpoint: the run's checkpoint, opened.
        patience_epochs: epochs without a better one after which training ends.
        epochs: epochs of the whole run.
    """
    live = LocalLive(dir=str(folder / DVCLIVE_FOLDER), dvcyaml=False, save_dvc_exp=False)
    logs = [
        LearningRate(),
        keras.callbacks.TensorBoard(folder / TENSORBOARD_FOLDER, write_graph=False, update_freq="epoch"),
        Replayed(DVCLiveCallback(live=live), tuple(checkpoint.rows)),
        CheckpointAndStop(checkpoint, patience_epochs),
    ]
    return logs if sys.stderr.isatty() else [*logs, PlainProgress(epochs)]


class LocalLive(Live):
    """A DVCLive logger that writes into its folder and leaves the repository around it alone."""

    def _init_dvc(self) -> None:
        pass  # Live's own runs `dvc init` where there is no .dvc, and fails in a repository without a commit


class LearningRate(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the learning rate to an epoch's figures, and ends a run whose loss is no longer a number."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        logs["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if not all(math.isfinite(value) for value in logs.values()):
            raise DataError(
                f"epoch {epoch + 1}: the loss is not finite; lower train.fit.learning_rate, or use more warmup_epochs"
            )


class Replayed(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands the epochs of a resumed run's past to a callback that begins anew, then those of the present."""

    def __init__(self, callback: keras.callbacks.Callback, past: Sequence[Row]) -> None:
        super().__init__()
        self._callback = callback
        self._past = past

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._callback.on_train_begin()
        for epoch, row in enumerate(self._past):
            self._callback.on_epoch_end(epoch, dict(row))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._callback.on_epoch_end(epoch, dict(logs or {}))

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._callback.on_train_end()


class CheckpointAndStop(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves each epoch and stops when no epoch has been better for a while."""

    def __init__(self, checkpoint: Checkpoint, patience_epochs: int) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._patience_epochs = patience_epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        self._checkpoint.save(self.model, row)
        self.model.stop_training = is_over(self._checkpoint.rows, self._patience_epochs)


class PlainProgress(keras.callbacks.Callback):  # type: ignore[misc]
    """A line every ten seconds and at the end of each epoch, for where there is no terminal."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._epoch = 0
        self._spoke_at = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if time.monotonic() - self._spoke_at >= PLAIN_PROGRESS_INTERVAL_S:
            self._say(f"batch {batch + 1}/{self.params['steps']}", logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._say("done", logs)

    def _say(self, what: str, logs: Mapping[str, Any] | None) -> None:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        say(f"epoch {self._epoch}/{self._epochs}, {what}: {figures}")
        self._spoke_at = time.monotonic()

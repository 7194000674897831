"""What happens around the epochs of `fit`: checkpoints, early stopping, logs and progress."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import keras
from dvclive.live import Live

from base.command import PLAIN_PROGRESS_INTERVAL_S, say
from base.errors import DataError
from base.files import to_json, write_text
from training.config import Fit
from training.fitting.checkpoint import Checkpoint, Row, is_over

TIMES: Final = ("seconds", "cpu_seconds")
"""Figures of an epoch that differ from run to run; only the checkpoint and the log of the training have them."""

TENSORBOARD_FOLDER: Final = "logs/tensorboard"
DVCLIVE_FOLDER: Final = "dvclive"
"""Logs of all models stand in these folders of the project, outside the outputs that DVC hashes."""


def callbacks(
    logs: Path, model: str, checkpoint: Checkpoint, fit: Fit, check: Callable[[], None] = lambda: None
) -> list[keras.callbacks.Callback]:
    """All callbacks of a run, in the order in which they act.

    Args:
        logs: the folder that holds those of TensorBoard and DVCLive, the project's root.
        model: name of the model.
        checkpoint: the run's checkpoint, opened.
        fit: epochs of the whole run, and those without a better one after which it ends.
        check: raises an error where an epoch must not be kept.
    """
    tensorboard = logs / TENSORBOARD_FOLDER / model
    if not checkpoint.rows:
        shutil.rmtree(tensorboard, ignore_errors=True)
    averaging = [keras.callbacks.SwapEMAWeights()] if fit.weight_average_decay else []
    run = [
        *averaging,
        LearningRate(),
        keras.callbacks.TensorBoard(tensorboard, write_graph=False, update_freq="epoch"),
        LiveLog(LocalLive(logs / DVCLIVE_FOLDER, model), tuple(checkpoint.rows)),
        CheckpointAndStop(checkpoint, fit.early_stopping_epochs, check),
    ]
    return run if sys.stderr.isatty() else [*run, PlainProgress(fit.epochs)]


class LocalLive(Live):
    """A DVCLive logger that writes below its folder and leaves the repository around it alone.

    `metrics/MODEL.json` holds the last epoch's accuracy alone, so that `dvc metrics show` and `dvc exp show`
    fit a terminal; `plots/MODEL` has all figures of all epochs. dvc.yaml declares both folders.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self._model = model
        super().__init__(dir=str(folder), dvcyaml=False, save_dvc_exp=False)

    @property
    def metrics_file(self) -> str:
        return str(Path(self.dir) / "metrics" / f"{self._model}.json")

    @property
    def plots_dir(self) -> str:
        return str(Path(self.dir) / "plots" / self._model)

    def make_summary(self) -> None:
        names = {"val_accuracy": "val_acc"} if "val_accuracy" in self.summary else {"train_accuracy": "train_acc"}
        write_text(self.metrics_file, to_json({short: self.summary[name] for name, short in names.items()}))

    def _init_dvc(self) -> None:
        pass  # Live's own runs `dvc init` where there is no .dvc, and fails in a repository without a commit


class LearningRate(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds the learning rate to an epoch's figures, and ends a run whose loss is no longer a number."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        figures = {} if logs is None else logs
        figures["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        if not all(math.isfinite(value) for value in figures.values()):
            raise DataError(
                f"epoch {epoch + 1}: the loss is not finite; lower the model's fit.learning_rate, "
                "or use more warmup_epochs"
            )


class LiveLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Hands the figures of each epoch to DVCLive, those of a resumed run's past first."""

    def __init__(self, live: Live, past: Sequence[Row]) -> None:
        super().__init__()
        self._live = live
        self._past = past

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        for row in self._past:
            self._log(row)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._log(logs or {})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._live.end()  # type: ignore[no-untyped-call]

    def _log(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            if name not in TIMES:
                self._live.log_metric(name if name.startswith("val_") else f"train_{name}", float(value))
        self._live.next_step()  # type: ignore[no-untyped-call]


class CheckpointAndStop(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves each epoch with the time that it took, and stops when no epoch has been better for a while."""

    def __init__(self, checkpoint: Checkpoint, patience_epochs: int, check: Callable[[], None]) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._check = check
        self._patience_epochs = patience_epochs
        self._began = (0.0, 0.0)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._began = (time.monotonic(), time.process_time())

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        row["seconds"], row["cpu_seconds"] = time.monotonic() - self._began[0], time.process_time() - self._began[1]
        self._check()
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

"""What a training run leaves on disk after each epoch, so that it can be resumed and its best weights kept."""

from __future__ import annotations

import io
import json
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from base.errors import DataError
from base.files import published, to_json, write_text

Row = Mapping[str, float]
"""Figures of one epoch: loss, accuracy, learning_rate, seconds and cpu_seconds; val_loss and val_accuracy where it was
validated."""

CHECKPOINT_FOLDER: Final = "checkpoint"
_STATE_FILE: Final = "state.json"
_OWN: Final = re.compile(r"\.?(epoch-\d+\.npz|state\.json)(\.part)?")


class Checkpoint:
    """The history and the weights, optimizer included, of the last and the best epoch.

    `state.json` names what counts and is replaced whole after the weights are on disk, so that a run killed at any
    moment resumes at the last finished epoch.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        """Open what an interrupted run with the same fingerprint left; delete what any other run left.

        Args:
            folder: where to keep it.
            fingerprint: says what the run is made from; another fingerprint is another run.
        """
        self._folder = folder
        self._fingerprint = fingerprint
        self.rows: list[Row] = []
        self._random_states: list[list[int]] = []
        state = _read_state(folder / _STATE_FILE)
        if state is not None and state["fingerprint"] == fingerprint:
            self.rows, self._random_states = state["history"], state["random_states"]
        elif folder.exists():
            shutil.rmtree(folder)

    def save(self, network: keras.Model, row: Row) -> None:
        """Add a finished epoch."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.rows.append(row)
        self._save_weights(network)
        random_states = [keras.ops.convert_to_numpy(each).tolist() for each in random_variables(network)]
        state = {"fingerprint": self._fingerprint, "history": self.rows, "random_states": random_states}
        write_text(str(self._folder / _STATE_FILE), to_json(state), lasting=True)
        self._drop_weights_but({len(self.rows), best_epoch(self.rows)})

    def restore_last(self, network: keras.Model) -> None:
        """Give a compiled network the weights, the optimizer's and the dropout's state of the last epoch."""
        network.optimizer.build(network.trainable_variables)
        self._load(network, len(self.rows))
        for variable, state in zip(random_variables(network), self._random_states, strict=True):
            variable.assign(state)

    def restore_best(self, network: keras.Model) -> None:
        """Give a compiled network the weights of the best epoch, averaged where its optimizer averages them."""
        network.optimizer.build(network.trainable_variables)
        self._load(network, best_epoch(self.rows))
        network.optimizer.finalize_variable_values(network.trainable_variables)

    def remove(self) -> None:
        """Delete all of it: the run is finished; first what would send a run after a kill to the rest."""
        (self._folder / _STATE_FILE).unlink()
        shutil.rmtree(self._folder)

    def _save_weights(self, network: keras.Model) -> None:
        """Write the weights by NumPy: HDF5, which Keras writes, brings the process down on a full disk."""
        values = [keras.ops.convert_to_numpy(each) for each in _weights_of(network)]
        packed = io.BytesIO()  # NumPy's archive complains where the file under it is closed by a full disk
        np.savez(packed, *values)
        with published(str(self._weights(len(self.rows))), lasting=True) as file:
            file.write(packed.getbuffer())

    def _load(self, network: keras.Model, epoch: int) -> None:
        path = self._weights(epoch)
        try:
            with np.load(path, allow_pickle=False) as values:
                for number, variable in enumerate(_weights_of(network)):
                    variable.assign(values[f"arr_{number}"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"{path} can't be read: delete {self._folder} to train from the beginning") from error

    def _weights(self, epoch: int) -> Path:
        return self._folder / f"epoch-{epoch:05d}.npz"

    def _drop_weights_but(self, epochs: set[int]) -> None:
        kept = {self._weights(epoch) for epoch in epochs}
        for path in self._folder.glob("*.npz"):
            if path not in kept:
                path.unlink()


def foreign_checkpoint(model: Path) -> str | None:
    """A file in the checkpoint of a model's folder that no run has made, or None."""
    folder = model / CHECKPOINT_FOLDER
    found = sorted(folder.iterdir()) if folder.is_dir() else [folder] if folder.exists() else []
    return next((str(path) for path in found if not _OWN.fullmatch(path.name)), None)


def _weights_of(network: keras.Model) -> list[keras.Variable]:
    """The weights of a compiled network and the state of its optimizer, in an order that the network alone decides."""
    return [*network.weights, *network.optimizer.variables]


def random_variables(network: keras.Model) -> list[keras.Variable]:
    """The states of a network's random generators (its dropout's), which files of weights leave out."""
    weights = {id(weight) for weight in network.weights}
    return [variable for variable in network.variables if id(variable) not in weights]


def best_epoch(rows: Sequence[Row]) -> int:
    """The epoch, from 1, of highest validation accuracy (ties: of lowest validation loss, then the first).

    Without validation it is the last one.
    """
    if "val_accuracy" not in rows[-1]:
        return len(rows)
    return min(range(len(rows)), key=lambda index: (-rows[index]["val_accuracy"], rows[index]["val_loss"])) + 1


def is_over(rows: Sequence[Row], patience_epochs: int) -> bool:
    """Whether `patience_epochs` have passed since the best epoch; never without validation."""
    return bool(rows) and len(rows) - best_epoch(rows) >= patience_epochs


def _read_state(path: Path) -> dict[str, Any] | None:
    try:
        state: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    return state

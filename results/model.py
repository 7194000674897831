"""The description of a trained model, and whether a store of features can be given to it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.files import read_text, to_json, write_text
from base.types import STRICT
from features.splits import SPLITS
from features.views import WHOLE_CLIPS, View, from_definition
from results.described import is_described, read_described
from stores.lineage import Archive, Task
from stores.manifest import Manifest

FORMAT: Final = "keyword-spotting-model/3"
MODEL_FILE: Final = "model.json"
NETWORK_FILE: Final = "model.keras"
HISTORY_FILE: Final = "history.csv"
FEATURES: Final = "features"
"""Name of the input that every network has: the view's tensor, float32, (batch, *shape), un-normalized."""
LENGTH: Final = "length"
"""Name of an input that a network may have: steps of the first axis before the padding, int32, (batch,)."""
_ABSENT: Final = "absent"


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Validation:
    """How well the kept weights do on the validation split: share of its clips, 0..1, and their number."""

    accuracy: float
    clips: int


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ModelDescription:
    """What a trained model is; the last file written, so a folder without it is unfinished.

    Attributes:
        name: name of the model in params.yaml.
        network: name of its network.
        view: name of the view that it reads.
        view_version: follows from the view's definition and its mathematics.
        definition: the view's parameters.
        source: name of the view of the store that it was trained on: the same, or waveforms.
        classes: class names in order of the network's outputs.
        task: how clips were chosen, labeled and split.
        archives: the archives that the clips come from.
        parameters: the numbers of params.yaml that decided the training: fit, augment, and the network's own.
        trainable_parameters: weights of the network, without those of the normalization.
        epochs: epochs run.
        best_epoch: the epoch whose weights are kept, from 1.
        validation: how that epoch did on validation, or None where the validation split was fitted as well.
        format: of the description itself.
    """

    name: str
    network: str
    view: str
    view_version: str
    definition: dict[str, Any]
    source: str
    classes: tuple[str, ...]
    task: Task
    archives: tuple[Archive, ...]
    parameters: dict[str, Any]
    trainable_parameters: int
    epochs: int
    best_epoch: int
    validation: Validation | None
    format: str = FORMAT

    @property
    def feature_view(self) -> View:
        """The view that the model reads."""
        return from_definition(self.definition)


def foreign_file(folder: Path) -> str | None:
    """A file that has the name of a model's in a folder that holds no finished model, or None."""
    found = [folder / name for name in (MODEL_FILE, NETWORK_FILE, HISTORY_FILE) if (folder / name).exists()]
    return str(found[0]) if found and not is_described(folder / MODEL_FILE, FORMAT) else None


def write_description(folder: Path, description: ModelDescription) -> None:
    """Write model.json."""
    write_text(str(folder / MODEL_FILE), to_json(asdict(description)), lasting=True)


def read_description(folder: Path) -> ModelDescription:
    """What a finished model is.

    Raises:
        DataError: the folder holds no finished model of this format.
    """
    return read_described(folder / MODEL_FILE, ModelDescription, FORMAT, "model", "train")


def read_history(folder: Path) -> list[dict[str, str]]:
    """The rows of a model's history.csv, one for each epoch.

    Raises:
        DataError: there is none.
    """
    place = folder / HISTORY_FILE
    try:
        return list(csv.DictReader(read_text(str(place)).splitlines()))
    except FileNotFoundError as error:
        raise DataError(f"{place} is missing; train again") from error


def check_fit(model: ModelDescription, manifest: Manifest, place: str) -> tuple[str, ...]:
    """Make sure that a model can read a store and that both mean the same classes.

    Args:
        model: the model.
        manifest: the store's.
        place: the store, for the error.

    Returns:
        In what else the store differs from the one that the model was trained on, one text each: the task, the split,
        the clips, the archives.

    Raises:
        DataError: the views or the classes differ; the message names each difference.
    """
    found = [] if manifest.view == WHOLE_CLIPS else _other_view(model, manifest)
    if manifest.classes != model.classes:
        found.append(f"classes are {list(manifest.classes)} in the store, {list(model.classes)} in the model")
    if found or manifest.task is None:
        raise DataError(
            f"{place} can't be given to the model {model.name}: {'; '.join(found)}; "
            "train on this store, or make it again with the model's view and classes"
        )
    store_task, model_task = _choices(manifest.task), _choices(model.task)
    return (
        *differences("task", model_task, store_task),
        *differences("clips", _clips(model.task), _clips(manifest.task)),
        *_other_archives(model.archives, manifest.archives),
    )


def _other_view(model: ModelDescription, manifest: Manifest) -> list[str]:
    found = differences("view", model.definition, manifest.definition or {"kind": "clips"})
    if not found and manifest.version != model.view_version:
        return [f"the view's version is {manifest.version} in the store, {model.view_version} in the model"]
    return found


def _choices(task: Task) -> dict[str, Any]:
    """What a task asks for, without its classes and what came of it."""
    chosen = asdict(task)
    return {key: value for key, value in chosen.items() if key not in ("classes", "counts", "clips_manifest_sha256")}


def _clips(task: Task) -> dict[str, Any]:
    """What a task found: the clips of each split, and the store that it chose them from."""
    counts: dict[str, int] = {split: sum(task.counts.get(split, {}).values()) for split in SPLITS}
    return {**counts, "manifest_sha256": task.clips_manifest_sha256}


def _other_archives(model: Sequence[Archive], store: Sequence[Archive]) -> list[str]:
    if {each.sha256 for each in model} == {each.sha256 for each in store}:
        return []
    return [f"archives are {_named(store)} in the store, {_named(model)} in the model"]


def _named(archives: Sequence[Archive]) -> str:
    return ", ".join(f"{each.file} ({each.sha256[:8]})" for each in archives) or "none"


def differences(name: str, model: Mapping[str, Any], store: Mapping[str, Any]) -> list[str]:
    """Where two tables of values differ, one text for each key; tables within them are compared likewise.

    Args:
        name: what to call the tables.
        model, store: the two.
    """
    found: list[str] = []
    for key in dict.fromkeys((*model, *store)):
        one, other = model.get(key, _ABSENT), store.get(key, _ABSENT)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += differences(f"{name}.{key}", one, other)
        elif _plain(one) != _plain(other):
            found.append(f"{name}.{key} is {_plain(other)!r} in the store, {_plain(one)!r} in the model")
    return found


def _plain(value: Any) -> Any:
    """A value as JSON has it: lists for tuples."""
    return json.loads(json.dumps(value))

"""A trained model on disk: the network, what it reads and tells apart, and the check that a store fits it."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import keras
from pydantic import TypeAdapter, ValidationError

from features.errors import DataError
from features.metadata import to_json
from features.store import Store
from features.views import definition, definition_hash

FORMAT: Final = "keyword-spotting-model/1"
MODEL_FILE: Final = "model.json"
NETWORK_FILE: Final = "model.keras"
HISTORY_FILE: Final = "history.csv"
_OLDEST_DATE: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ModelInfo:
    """What a trained model is; the last file written, so a folder without it is unfinished.

    Attributes:
        model: name of the network.
        view: name of the store that it was trained on.
        definition: the view's parameters.
        definition_hash: SHA-256 of those.
        classes: class names in order of the network's outputs.
        task: how clips were chosen, labelled and split.
        source: the archives that the store was made from.
        parameters: the sections of params.yaml that decided the training.
        trainable_parameters: weights of the network, without those of the normalization.
        epochs: epochs run.
        best_epoch: the epoch whose weights are kept, from 1.
        validation: accuracy and clips of the validation split at that epoch.
    """

    model: str
    view: str
    definition: dict[str, Any]
    definition_hash: str
    classes: tuple[str, ...]
    task: dict[str, Any]
    source: dict[str, Any]
    parameters: dict[str, Any]
    trainable_parameters: int
    epochs: int
    best_epoch: int
    validation: dict[str, float]
    format: str = FORMAT


def describe(name: str, store: Store, network: keras.Model, parameters: dict[str, Any], **result: Any) -> ModelInfo:
    """The description of a model trained on a store.

    Args:
        name: name of the network.
        store: the store that it was trained on.
        network: the trained network.
        parameters: the sections of params.yaml that decided the training.
        result: `epochs`, `best_epoch` and `validation`.
    """
    assert store.view is not None
    return ModelInfo(
        model=name,
        view=store.manifest.name,
        definition=definition(store.view),
        definition_hash=definition_hash(store.view),
        classes=store.classes,
        task=store.manifest.task,
        source=store.manifest.source,
        parameters=parameters,
        trainable_parameters=sum(weight.shape.num_elements() for weight in network.trainable_weights),
        **result,
    )


def write_model(folder: Path, info: ModelInfo, network: keras.Model) -> None:
    """Write the network, then model.json, each whole or not at all; equal content gives equal bytes.

    Args:
        folder: the model's folder.
        info: what the model is.
        network: the trained network; its optimizer is left out.
    """
    saved = folder / f"saved-{NETWORK_FILE}"
    keras.Model(network.inputs, network.outputs, name=network.name).save(saved)
    _write(folder / NETWORK_FILE, _reproducible(saved.read_bytes()))
    saved.unlink()
    _write(folder / MODEL_FILE, to_json(asdict(info)).encode())


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def _reproducible(archive: bytes) -> bytes:
    """A .keras file without what differs from run to run: dates, and memory addresses that serve as names."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for name in sorted(old.namelist()):
            content = old.read(name)
            if name.endswith(".json"):
                content = _numbered(re.sub(rb'(, )?"date_saved": "[^"]*"', b"", content))
            new.writestr(zipfile.ZipInfo(name, _OLDEST_DATE), content)
    return out.getvalue()


def _numbered(config: bytes) -> bytes:
    """Keras's configuration with its shared objects numbered in order of appearance."""
    numbers: dict[bytes, int] = {}
    return re.sub(
        rb'("shared_object_id": )(\d+)',
        lambda found: found[1] + str(numbers.setdefault(found[2], len(numbers) + 1)).encode(),
        config,
    )


def read_info(folder: Path) -> ModelInfo:
    """What a finished model is.

    Raises:
        DataError: the folder holds no finished model of this format.
    """
    place = folder / MODEL_FILE
    try:
        info = TypeAdapter(ModelInfo).validate_python(json.loads(place.read_text()))
    except FileNotFoundError as error:
        raise DataError(f"{folder} is not a finished model: it has no {MODEL_FILE}; run train") from error
    except (ValueError, ValidationError) as error:
        raise DataError(f"{place} is not a valid description of a model: {error}; train again") from error
    if info.format != FORMAT:
        raise DataError(f"{place}: format {info.format!r}, expected {FORMAT!r}; train again")
    return info


def read_network(folder: Path) -> keras.Model:
    """The network of a finished model, for prediction.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return keras.saving.load_model(folder / NETWORK_FILE, compile=False, safe_mode=True)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{folder / NETWORK_FILE} can't be read: {error}; train again") from error


def check_fit(info: ModelInfo, store: Store) -> None:
    """Whether a store was made with the parameters that the model was trained with.

    Args:
        info: the model.
        store: the store to give it.

    Raises:
        DataError: view, classes or task differ; the message names each difference.
    """
    pairs: tuple[tuple[str, Any, Any], ...] = (
        ("view", info.definition, store.manifest.definition or {"kind": "clips"}),
        ("task", {**info.task, "classes": list(info.classes)}, {**store.manifest.task, "classes": list(store.classes)}),
    )
    found = [text for name, model, other in pairs for text in differences(name, model, other)]
    if found:
        raise DataError(
            f"{store.path} was made with other parameters than the model's: {'; '.join(found)}; "
            "train on this store, or make it again with the model's parameters"
        )


def differences(name: str, model: dict[str, Any], store: dict[str, Any]) -> list[str]:
    """Where two sections of parameters differ, one text for each key.

    Args:
        name: what to call the section.
        model, store: the two sections.
    """
    absent = "absent"
    keys = dict.fromkeys((*model, *store))
    return [
        f"{name}.{key} is {store.get(key, absent)!r} in the store, {model.get(key, absent)!r} in the model"
        for key in keys
        if _plain(model.get(key, absent)) != _plain(store.get(key, absent))
    ]


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))

"""The file of a trained network, in Keras's format: equal networks give equal bytes."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Final

import keras

from base.claim import WORK_FOLDER, remove_empty
from base.errors import DataError
from base.files import published
from results.model import NETWORK_FILE

_OLDEST_DATE: Final = (1980, 1, 1, 0, 0, 0)


def write_network(folder: Path, network: keras.Model) -> None:
    """Write a network without its optimizer, whole or not at all.

    Args:
        folder: the model's folder.
        network: the trained network.
    """
    scratch = folder / WORK_FOLDER / NETWORK_FILE
    scratch.parent.mkdir(parents=True, exist_ok=True)
    try:
        keras.Model(network.inputs, network.outputs, name=network.name).save(scratch)
        content = _reproducible(scratch.read_bytes())
    finally:
        scratch.unlink(missing_ok=True)
        remove_empty(str(scratch.parent))
    with published(str(folder / NETWORK_FILE), lasting=True) as file:
        file.write(content)


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


def read_network(folder: Path) -> keras.Model:
    """The network of a finished model, for prediction.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return keras.saving.load_model(folder / NETWORK_FILE, compile=False, safe_mode=True)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{folder / NETWORK_FILE} can't be read: {error}; train again") from error

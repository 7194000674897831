"""What the interface and the page say of a model: its classes, its view, its thresholds and how well it does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from base.errors import DataError
from results.parity import PARITY_FILE, read_parity
from serving.model import Model
from serving.web.limits import Limits

_RUN: Final = "litert_network"
"""The format that the server runs."""


def facts(folder: Path, model: Model, limits: Limits, recording: bool) -> dict[str, Any]:
    """A model for its users; nothing of this machine is in it.

    Args:
        folder: of the export.
        model: it, opened.
        limits: the bounds of a file.
        recording: whether takes of new words may be recorded.

    Raises:
        DataError: the table of accuracies is missing or damaged.
    """
    export, view = model.export, model.export.feature_view
    return {
        "name": export.model,
        "network": export.network,
        "classes": list(export.classes),
        "view": {"name": export.view, "version": export.view_version, "title": view.title, "shape": list(view.shape)},
        "thresholds": dict(model.thresholds),
        "accuracy": accuracy(folder),
        "limits": {
            "file_bytes": limits.file_bytes,
            "file_seconds": limits.file_seconds,
            "file_channels": limits.file_channels,
        },
        "recording": recording,
    }


def accuracy(folder: Path) -> dict[str, Any]:
    """Accuracy on the test clips of the format that the server runs, with its 95 % interval and the number of clips.

    Raises:
        DataError: the table is missing or damaged.
    """
    for each in read_parity(folder):
        if each.name == _RUN:
            return {"share": each.accuracy, "low": each.low, "high": each.high, "clips": each.clips}
    raise DataError(f"{folder / PARITY_FILE} has no line of {_RUN}: export the model again")

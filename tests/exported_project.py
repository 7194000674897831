"""A folder with clips, features, a small trained model and its export, for the tests of what uses exports."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from command_tools import exit_code
from corpus_tools import ROOT

from readers.store import open_store
from serving import export
from training.config import load_model
from training.evaluate import evaluate
from training.train import train

MODEL = {"network": "cnn", "view": "mfcc", "source": "mfcc", "filters": [4, 6], "kernel_size": 5, "dense_units": [8]}


def commanded(folder: Path, *arguments: object) -> int:
    """Run `serving.export` in a folder; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", str(ROOT))  # of the processes that it starts
        return exit_code(export.main, *arguments)


def exported_project(finished: Path, folder: Path) -> Path:
    """Fill a folder: clips/, features/mfcc/, model/ trained for two epochs, evaluation/ and export/.

    Args:
        finished: a folder with the stores and params.yaml.
        folder: an empty one.

    Returns:
        The folder.
    """
    content = yaml.safe_load((finished / "params.yaml").read_text())
    content["models"] = {"tiny": {**MODEL, "dropout": 0.0, "fit": {"epochs": 2, "batch_size": 8}}}
    content["export"] |= {"calibration_clips": 10, "latency_runs": 3, "max_points_lost": 50}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    for name in ("clips", "features"):
        shutil.copytree(finished / name, folder / name)
    store = open_store(folder / "features/mfcc")
    train(load_model("tiny", folder / "params.yaml"), store, folder / "model", folder)
    evaluate(folder / "model", store, folder / "evaluation", 16)
    assert commanded(folder, "model", "features/mfcc", "clips", "evaluation", "export") == 0
    return folder

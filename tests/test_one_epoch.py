"""Each model of docs/models.md is fitted for an epoch on a small synthetic corpus, from waveforms to a file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from conftest import run_here
from corpus_tools import ROOT
from test_models_page import ROWS, loaded

from base import params
from readers.store import Store, open_store
from training.train import train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`"),
]


@pytest.fixture(scope="module")
def waveforms(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthesized digits, and silence for noise, from which every view can be computed."""
    folder = tmp_path_factory.mktemp("synthetic")
    content = params.read_yaml(ROOT / "params.yaml")
    content["corpus"]["synthesis"] = {"speakers": 3, "noise_seconds": 10, "seed": 0}
    content["select"]["tasks"]["digits"]["silence"] = True
    content["select"] |= {"task": "digits", "split": {"method": "random", "ratio": [1, 1, 3], "salt": ""}}
    (folder / "params.yaml").write_text(json.dumps(content))
    stages = (
        ("corpus", "raw"),
        ("ingest", "raw", "clips"),
        ("select", "clips", "selection.parquet"),
        ("extract", "clips", "selection.parquet", "waveform"),
    )
    with pytest.MonkeyPatch.context() as patch:
        for stage in stages:
            assert run_here(patch, folder, *stage) == 0
    return open_store(folder / "waveform")


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Operations run as they are called: of an epoch of two batches, graphs would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("name", ROWS)
def test_an_epoch_gives_a_model(name: str, waveforms: Store, tmp_path: Path) -> None:
    model = loaded(name, tmp_path, source="waveform")
    fit = dataclasses.replace(model.fit, epochs=1, batch_size=8, splits=("train", "validation"))
    description = train(dataclasses.replace(model, fit=fit), waveforms, tmp_path / "model", tmp_path)
    assert (description.epochs, description.classes) == (1, waveforms.classes)
    assert (tmp_path / "model" / "model.keras").exists()

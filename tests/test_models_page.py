"""The models of docs/models.md and of systems/ can be declared as shown, and are as large as the page's table says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from corpus_tools import ROOT
from ruamel.yaml import YAML

from base import params
from features.statistics import Statistics
from features.views import definition, from_definition
from systems.entry import names, read
from training import models
from training.config import Model, load_model
from training.inputs import Inputs

PAGE: Final = (ROOT / "docs" / "models.md").read_text()
ROW: Final = re.compile(r"^\| `(\w+)` \| `(\w+)` \| ([\d ×]+) \| (\d+) \| ([\d,]+) \| ([\d,]+) \|", re.MULTILINE)
ROWS: Final = {row[0]: row[1:] for row in ROW.findall(PAGE)}


def blocks() -> list[dict[str, Any]]:
    """What the page shows of params.yaml, and what the systems put there."""
    shown = [YAML(typ="safe", pure=True).load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    return shown + [read(name).params for name in names()]


def entries() -> dict[str, Any]:
    """All entries of `models`."""
    return {name: entry for block in blocks() for name, entry in block.get("models", {}).items()}


def views() -> dict[str, Any]:
    """All views, those of the page too."""
    declared = params.read_yaml(ROOT / "params.yaml")["extract"]["views"]
    return declared | {
        name: view for block in blocks() if "extract" in block for name, view in block["extract"]["views"].items()
    }


def loaded(name: str, folder: Path, **changes: Any) -> Model:
    """A model of the page as params.yaml would declare it, some keys of its entry changed."""
    content = params.read_yaml(ROOT / "params.yaml")
    content["extract"]["views"] = views()
    (folder / "params.yaml").write_text(json.dumps({**content, "models": {name: {**entries()[name], **changes}}}))
    return load_model(name, folder / "params.yaml")


def test_the_table_has_a_row_for_each_entry_and_the_entries_show_each_network() -> None:
    assert set(ROWS) == set(entries())
    files = {path.stem for path in (ROOT / "training" / "models").glob("*.py")} - {"__init__"}
    assert {entry["network"] for entry in entries().values()} == files


@pytest.mark.parametrize("name", ROWS)
def test_a_model_of_the_page_can_be_built_and_is_as_large_as_its_row_says(name: str, tmp_path: Path) -> None:
    view_name, size, classes, parameters, trained = ROWS[name]
    model, view = loaded(name, tmp_path), from_definition(views()[view_name])
    assert model.view == view_name and model.definition == view
    assert " × ".join(map(str, view.shape)) == size
    mean, one = np.zeros(view.width), np.ones(view.width)
    statistics = Statistics(clips=1, values=view.shape[0], mean=mean, std=one, min=-one, max=one)
    labels = tuple(f"class_{number}" for number in range(int(classes)))
    inputs = Inputs(view.kind, view.shape, view.step_ms, labels, statistics, definition(view))
    network = models.find(model.network).build(inputs, model.numbers)
    found = sum(weight.shape.num_elements() for weight in network.trainable_weights)
    assert (f"{network.count_params():,}", f"{found:,}") == (parameters, trained)

"""Claims about the parameters of models: recipes and overrides, checked as a whole, every mistake named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from base import params
from base.errors import DataError
from features.views import LogMel
from training import models
from training.config import load_model
from training.models.cnn import Numbers

ROOT = Path(__file__).parent.parent
CNN = {
    "network": "cnn",
    "view": "mfcc",
    "source": "mfcc",
    "filters": [2],
    "kernel_size": 3,
    "dense_units": [],
    "dropout": 0.0,
}
CONTENT: dict[str, Any] = {
    "models": {
        "cnn": CNN,
        "twin": {
            **CNN,
            "view": "logmel",
            "source": "waveform",
            "kernel_size": 5,
            "fit": {"learning_rate": 0.5},
            "augment": {"time_masks": 0},
        },
    },
    "train": {**params.read_yaml(ROOT / "params.yaml")["train"], "recipe": "quick"},
    "distilled": {},
    "extract": params.read_yaml(ROOT / "params.yaml")["extract"],
}
CONTENT["train"]["recipes"] = {"quick": {"fit": {"epochs": 3, "learning_rate": 0.1}}, "long": {}}


def written(folder: Path, change: Any = None) -> Path:
    """A params.yaml with the content above, changed."""
    content = copy.deepcopy(CONTENT)
    if change:
        change(content)
    (folder / "params.yaml").write_text(json.dumps(content))
    return folder / "params.yaml"


def test_two_models_of_one_network_stand_side_by_side_on_two_views(tmp_path: Path) -> None:
    path = written(tmp_path)
    cnn, twin = load_model("cnn", path), load_model("twin", path)
    assert (cnn.name, cnn.network, cnn.view) == ("cnn", "cnn", "mfcc")
    assert (twin.name, twin.network, twin.view, twin.source) == ("twin", "cnn", "logmel", "waveform")
    assert isinstance(twin.definition, LogMel)
    assert cnn.numbers == Numbers(filters=(2,), kernel_size=3, dense_units=(), dropout=0.0)
    assert twin.numbers.kernel_size == 5


def test_a_recipe_overrides_the_numbers_of_training_and_a_model_those_of_the_recipe(tmp_path: Path) -> None:
    path = written(tmp_path)
    cnn, twin = load_model("cnn", path), load_model("twin", path)
    assert (cnn.fit.epochs, cnn.fit.learning_rate, cnn.augment.time_masks) == (3, 0.1, 1)
    assert (twin.fit.epochs, twin.fit.learning_rate, twin.augment.time_masks) == (3, 0.5, 0)
    long = load_model("cnn", written(tmp_path, lambda content: content["train"].update(recipe="long")))
    assert (long.fit.epochs, long.fit.learning_rate) == (15, 0.001)


def set_in(*keys: str, value: Any) -> Any:
    """A change of the content: the value at a path of keys."""

    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("models", "cnn", "fitler", value=3), "models.cnn.fitler is not a known key"),
        (set_in("models", "cnn", "filters", value=[]), "models.cnn.filters: "),
        (set_in("models", "cnn", "dropout", value=1.0), "models.cnn.dropout: got 1.0"),
        (set_in("models", "cnn", "fit", value={"epoch": 3}), "models.cnn.fit.epoch is not a known key"),
        (set_in("models", "cnn", "fit", value={"epochs": 0}), "models.cnn.fit.epochs: got 0"),
        (set_in("models", "cnn", "fit", value=3), "models.cnn.fit: got 3"),
        (set_in("models", "cnn", "augment", value={"shift": 3}), "models.cnn.augment.shift is not a known key"),
        (set_in("models", "cnn", "fit", value={"splits": ["test"]}), r"splits: got \['test'\], expected \[train\] or"),
        (set_in("models", "cnn", "network", value="cnm"), "no network 'cnm'; training/models has .*cnn"),
        (set_in("models", "cnn", "network", value="../cnn"), "models.cnn.network: "),
        (set_in("models", "Cnn", value={}), "models.Cnn"),
        (
            set_in("models", "cnn", "source", value="logmel"),
            "source: got 'logmel', expected the view 'mfcc' itself or 'w",
        ),
        (set_in("models", "cnn", "view", value="mfc"), "source: got 'mfcc'"),
        (
            lambda content: content["models"]["cnn"].update(view="mfc", source="mfc"),
            "has no view 'mfc'; extract.views declares mfcc, ",
        ),
        (
            set_in("models", "cnn", "augment", value={"noise_probability": 0.5}),
            "models.cnn: noise_probability changes waveforms, but .* mfcc: give it source: waveform",
        ),
        (
            set_in("models", "cnn", "augment", value={"speed": [1.1, 0.9]}),
            r"speed: got \[1.1, 0.9\], expected the lower",
        ),
        (
            set_in("models", "cnn", "fit", value={"learning_rate_schedule": "steps"}),
            "learning_rate_steps: expected pairs",
        ),
        (
            set_in(
                "models",
                "cnn",
                "fit",
                value={"learning_rate_schedule": "steps", "learning_rate_steps": [[3, 0.1], [2, 0.01]]},
            ),
            r"learning_rate_steps: got the epochs \[3, 2\], expected them to grow",
        ),
        (set_in("train", "recipe", value="slow"), "recipe: got 'slow', expected one of train.recipes: quick, long"),
        (set_in("train", "recipes", "quick", value={"fti": {}}), "train.recipes.quick.fti is not a known key"),
        (set_in("train", "recipes", "quick", value={"fit": {"x": 1}}), "train.recipes.quick.fit.x is not a known key"),
        (set_in("train", "fit", "epochs", value=0), "train.fit.epochs: got 0"),
        (
            set_in("models", "cnn", "teacher", value="twin"),
            "models.cnn: got the teacher twin and fit.distillation_weight 0.0, expected both under distilled",
        ),
        (lambda content: content["train"]["fit"].pop("seed"), "train.fit.seed is missing: add it"),
        (lambda content: content["models"]["cnn"].pop("view"), "models.cnn.view is missing: add it"),
        (lambda content: content["models"]["cnn"].pop("filters"), "models.cnn.filters is missing: add it"),
        (lambda content: content["models"].pop("cnn"), "has no model 'cnn'; models and distilled declare twin"),
    ],
)
def test_each_mistake_is_named_with_its_place(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_model("cnn", written(tmp_path, change))


def test_the_models_of_the_project_can_be_loaded_under_each_recipe(tmp_path: Path) -> None:
    content = params.read_yaml(ROOT / "params.yaml")
    for recipe in content["train"]["recipes"]:
        content["train"]["recipe"] = recipe
        (tmp_path / "params.yaml").write_text(json.dumps(content))
        for name in content["models"]:
            assert load_model(name, tmp_path / "params.yaml").view in content["views"]


def test_a_network_is_found_by_the_name_of_its_file() -> None:
    files = {path.stem for path in (ROOT / "training" / "models").glob("*.py")} - {"__init__"}
    for name in files:
        assert models.find(name).Numbers and models.find(name).build
    with pytest.raises(DataError, match="there is no network '__init__'"):
        models.find("__init__")

"""How models are trained: the sections `train` and `models` of params.yaml."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from base import params
from base.errors import DataError
from base.types import STRICT, Name, PositiveFloat, PositiveInt, Seed
from features.splits import SplitName
from training import models

SECTION: Final = "models"
_FITTED_SPLITS: Final = (("train",), ("train", "validation"))


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Fit:
    """How a network's weights are found.

    Attributes:
        splits: [train], or [train, validation] for a final model: then no split is left to judge an epoch by, so there
            is no early stopping, and the last epoch's weights are kept.
        learning_rate: its highest value, in the schedule "cosine" after `warmup_epochs` of linear growth.
        early_stopping_epochs: epochs without a better one on validation after which training ends.
        shuffle_buffer: clips to shuffle among.
        precision: of the network's layers; weights, loss and probabilities are float32.
    """

    splits: tuple[SplitName, ...]
    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    learning_rate_schedule: Literal["constant", "cosine"]
    warmup_epochs: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    early_stopping_epochs: PositiveInt
    shuffle_buffer: PositiveInt
    precision: Literal["float32", "mixed_bfloat16"]
    seed: Seed

    @model_validator(mode="after")
    def _splits_can_be_fitted(self) -> Fit:
        if self.splits not in _FITTED_SPLITS:
            raise ValueError(f"splits: got {list(self.splits)}, expected [train] or [train, validation]")
        return self

    @property
    def validates(self) -> bool:
        """Whether the validation split is kept apart to judge each epoch."""
        return "validation" not in self.splits


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Augment:
    """Random changes of the clips that are fitted; zero turns each off.

    Attributes:
        time_shift_ms: a clip moves by up to this time, earlier or later.
        time_masks, time_mask_frames: how many stretches of time are hidden, and how long they are at most.
        frequency_masks, frequency_mask_bins: likewise for bands of coefficients.
    """

    time_shift_ms: Annotated[int, Field(ge=0, le=500)]
    time_masks: Annotated[int, Field(ge=0, le=10)]
    time_mask_frames: Annotated[int, Field(ge=0, le=100)]
    frequency_masks: Annotated[int, Field(ge=0, le=10)]
    frequency_mask_bins: Annotated[int, Field(ge=0, le=100)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Overrides:
    """Values that take the place of some in `train.fit` and `train.augment`, by the same keys."""

    fit: dict[str, Any] = Field(default_factory=dict)
    augment: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Train:
    """Features to model: the numbers of training, and the recipes that override some, one of which is in use."""

    recipe: Name
    recipes: dict[Name, Overrides]
    fit: Fit
    augment: Augment

    @model_validator(mode="after")
    def _recipe_is_declared(self) -> Train:
        if self.recipe not in self.recipes:
            raise ValueError(f"recipe: got {self.recipe!r}, expected one of train.recipes: {', '.join(self.recipes)}")
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Instance(Overrides):
    """What every entry of `models` has, whatever its network: the numbers of the network stand next to these keys."""

    network: Name
    view: Name


_SHARED_KEYS: Final = tuple(Instance.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model to train, with all numbers that decide its training.

    Attributes:
        name: its key in `models`.
        network: name of the network, a file of `training/models`.
        view: name of the view that it reads.
        fit, augment: those of `train`, overridden by the recipe in use, then by the model's own.
        numbers: the network's own, of the type `Numbers` in its file.
    """

    name: str
    network: str
    view: str
    fit: Fit
    augment: Augment
    numbers: Any

    @property
    def parameters(self) -> dict[str, Any]:
        """The numbers as JSON can hold them."""
        return {"fit": asdict(self.fit), "augment": asdict(self.augment), "numbers": asdict(self.numbers)}


def load_model(name: str, path: Path = params.PARAMS_FILE) -> Model:
    """Read one model of params.yaml.

    Args:
        name: a key of `models`.
        path: the YAML file.

    Raises:
        DataError: there is no such model or network, a key is unknown or missing, or a value has a wrong type or range.
    """
    train: Train = params.load("train", Train, path)
    entries: dict[str, dict[str, Any]] = params.load(SECTION, dict[Name, dict[str, Any]], path)
    if name not in entries:
        raise DataError(f"{path} has no model {name!r}; models declares {', '.join(entries)}")
    section, entry = f"{SECTION}.{name}", entries[name]
    shared = {key: value for key, value in entry.items() if key in _SHARED_KEYS}
    instance: Instance = params.check(shared, section, Instance, path)
    network = models.find(instance.network)
    own = {key: value for key, value in entry.items() if key not in _SHARED_KEYS}
    fit, augment = train.fit, train.augment
    for place, overrides in ((f"train.recipes.{train.recipe}", train.recipes[train.recipe]), (section, instance)):
        fit = params.check({**asdict(fit), **overrides.fit}, f"{place}.fit", Fit, path)
        augment = params.check({**asdict(augment), **overrides.augment}, f"{place}.augment", Augment, path)
    return Model(
        name=name,
        network=instance.network,
        view=instance.view,
        fit=fit,
        augment=augment,
        numbers=params.check(own, section, network.Numbers, path),
    )

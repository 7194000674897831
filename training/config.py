"""How models are trained: the sections `train` and `models` of params.yaml."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from base import params
from base.errors import DataError
from base.types import STRICT, Name, PositiveFloat, PositiveInt, Seed
from features.splits import SplitName
from features.views import View
from training import models

SECTION: Final = "models"
DISTILLED_SECTION: Final = "distilled"
WAVEFORM: Final = "waveform"
"""The source of models whose view is computed while they are fitted: the view of whole clips at 16 kHz."""

Speed: TypeAlias = Annotated[float, Field(ge=0.5, le=2)]
Decibels: TypeAlias = Annotated[float, Field(ge=-60, le=60)]

_FITTED_SPLITS: Final = (("train",), ("train", "validation"))


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Fit:
    """How a network's weights are found.

    Attributes:
        splits: [train], or [train, validation] for a final model: then no split is left to judge an epoch by, so there
            is no early stopping, and the last epoch's weights are kept.
        optimizer: "adamw" (Loshchilov and Hutter, 2019; without weight decay it is Adam), or "sgd" with a momentum of
            0.9; both decay weights apart from the gradient, by the learning rate times `weight_decay` at each batch.
        learning_rate: its highest value, in the schedule "cosine" after `warmup_epochs` of linear growth.
        learning_rate_steps: for the schedule "steps": [epoch, learning rate after it] pairs, in order.
        weight_average_decay: 0 keeps the weights as they are; above, what is validated and kept is their exponential
            moving average, which keeps this share of itself at each batch.
        distillation_weight: share of the teacher's probabilities in what is fitted, 0 without a teacher.
        distillation_temperature: above 1 the teacher's probabilities are taken closer together (Hinton et al., 2015).
        early_stopping_epochs: epochs without a better one on validation after which training ends.
        shuffle_buffer: clips to shuffle among.
        precision: of the network's layers while they are fitted; weights, loss and probabilities are float32, and so is
            the network that is written. `finetune` fits in float32.
        gradient_histograms: whether TensorBoard gets histograms of the gradients of each epoch.
    """

    splits: tuple[SplitName, ...]
    epochs: PositiveInt
    batch_size: PositiveInt
    optimizer: Literal["adamw", "sgd"]
    learning_rate: PositiveFloat
    learning_rate_schedule: Literal["constant", "cosine", "steps"]
    learning_rate_steps: tuple[tuple[PositiveInt, PositiveFloat], ...]
    warmup_epochs: Annotated[int, Field(ge=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    weight_average_decay: Annotated[float, Field(ge=0, lt=1)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    distillation_weight: Annotated[float, Field(ge=0, le=1)]
    distillation_temperature: Annotated[float, Field(ge=1, le=100)]
    early_stopping_epochs: PositiveInt
    shuffle_buffer: PositiveInt
    precision: Literal["float32", "mixed_bfloat16"]
    gradient_histograms: bool
    seed: Seed

    @model_validator(mode="after")
    def _splits_can_be_fitted(self) -> Fit:
        if self.splits not in _FITTED_SPLITS:
            raise ValueError(f"splits: got {list(self.splits)}, expected [train] or [train, validation]")
        return self

    @model_validator(mode="after")
    def _steps_are_in_order(self) -> Fit:
        if (self.learning_rate_schedule == "steps") != bool(self.learning_rate_steps):
            raise ValueError("learning_rate_steps: expected pairs for the schedule steps, and [] for any other")
        epochs = [epoch for epoch, _ in self.learning_rate_steps]
        if epochs != sorted(set(epochs)):
            raise ValueError(f"learning_rate_steps: got the epochs {epochs}, expected them to grow")
        return self

    @property
    def validates(self) -> bool:
        """Whether the validation split is kept apart to judge each epoch."""
        return "validation" not in self.splits


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Augment:
    """Random changes of the clips that are fitted, drawn for each clip in each epoch; zero turns each off.

    Those of waveforms, `speed` to `gain_db`, need a model whose source is the waveform.

    Attributes:
        time_shift_ms: a clip moves by up to this time, earlier or later.
        speed: [lowest, highest] factor by which a clip is played faster, its pitch with it, around its middle.
        noise_probability: share of clips to which a silence clip of the split is added.
        white_noise_probability: share of clips to which white noise is added.
        noise_snr_db: [lowest, highest] ratio of the clip's power to that of the noise.
        gain_db: [lowest, highest] change of loudness; what leaves the range of samples is clipped.
        time_warp_frames: the middle of a clip moves by up to so many frames, what is on both sides is stretched.
        mixup: alpha of mixup (Zhang et al., 2018): features and labels of two clips are averaged with a weight from
            Beta(alpha, alpha).
        time_masks, time_mask_frames: how many stretches of time are hidden, and how long they are at most.
        frequency_masks, frequency_mask_bins: likewise for bands of coefficients.
    """

    time_shift_ms: Annotated[int, Field(ge=0, le=500)]
    speed: tuple[Speed, Speed]
    noise_probability: Annotated[float, Field(ge=0, le=1)]
    white_noise_probability: Annotated[float, Field(ge=0, le=1)]
    noise_snr_db: tuple[Decibels, Decibels]
    gain_db: tuple[Decibels, Decibels]
    time_warp_frames: Annotated[int, Field(ge=0, le=100)]
    mixup: Annotated[float, Field(ge=0, le=10)]
    time_masks: Annotated[int, Field(ge=0, le=10)]
    time_mask_frames: Annotated[int, Field(ge=0, le=100)]
    frequency_masks: Annotated[int, Field(ge=0, le=10)]
    frequency_mask_bins: Annotated[int, Field(ge=0, le=100)]

    @model_validator(mode="after")
    def _ranges_are_in_order(self) -> Augment:
        for name in ("speed", "noise_snr_db", "gain_db"):
            lowest, highest = getattr(self, name)
            if lowest > highest:
                raise ValueError(f"{name}: got [{lowest}, {highest}], expected the lower number first")
        return self

    @property
    def of_waveforms(self) -> tuple[str, ...]:
        """The keys that are on and ask for waveforms."""
        on = {
            "speed": self.speed != (1.0, 1.0),
            "noise_probability": self.noise_probability > 0,
            "white_noise_probability": self.white_noise_probability > 0,
            "gain_db": self.gain_db != (0.0, 0.0),
        }
        return tuple(name for name, is_on in on.items() if is_on)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Overrides:
    """Values that take the place of some in `train.fit` and `train.augment`, by the same keys."""

    fit: dict[str, Any] = Field(default_factory=dict)
    augment: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Train:
    """Features to model: the numbers of training, and the recipes that override some, one of which is in use.

    Attributes:
        cache: a local folder that keeps what is read of remote stores for the epochs to come, or None.
        recipe: name of the recipe in use.
        recipes: what each puts in the place of other numbers.
        fit, augment: the numbers.
    """

    cache: Annotated[str, Field(min_length=1)] | None
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
    """What every entry of `models` has, whatever its network: the numbers of the network stand next to these keys.

    Attributes:
        network: name of the network.
        view: name of the view that the network reads.
        source: name of the stored view that training and evaluation read: the same, or `waveform`, from which they
            compute the view themselves, after random changes.
        teacher: name of the model that it learns from, for `distilled`; its fit has a `distillation_weight`.
    """

    network: Name
    view: Name
    source: Name
    teacher: Name | None = None

    @model_validator(mode="after")
    def _source_has_the_view(self) -> Instance:
        if self.source not in (self.view, WAVEFORM):
            raise ValueError(f"source: got {self.source!r}, expected the view {self.view!r} itself or {WAVEFORM!r}")
        return self


_SHARED_KEYS: Final = tuple(Instance.__dataclass_fields__)


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model to train, with all numbers that decide its training.

    Attributes:
        name: its key in `models`.
        network: name of the network, a file of `training/models`.
        view: name of the view that the network reads.
        source: name of the stored view that training reads.
        definition: of the view.
        fit, augment: those of `train`, overridden by the recipe in use, then by the model's own.
        numbers: the network's own, of the type `Numbers` in its file.
    """

    name: str
    network: str
    view: str
    source: str
    definition: View
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
        name: a key of `models` or of `distilled`.
        path: the YAML file.

    Raises:
        DataError: there is no such model, network or view, a key is unknown or missing, or a value has a wrong type or
            range.
    """
    train: Train = params.load("train", Train, path)
    section, entry = _entry(name, path)
    shared = {key: value for key, value in entry.items() if key in _SHARED_KEYS}
    instance: Instance = params.check(shared, section, Instance, path)
    network = models.find(instance.network)
    own = {key: value for key, value in entry.items() if key not in _SHARED_KEYS}
    fit, augment = train.fit, train.augment
    for place, overrides in ((f"train.recipes.{train.recipe}", train.recipes[train.recipe]), (section, instance)):
        fit = params.check({**asdict(fit), **overrides.fit}, f"{place}.fit", Fit, path)
        augment = params.check({**asdict(augment), **overrides.augment}, f"{place}.augment", Augment, path)
    if (instance.teacher is not None) != (fit.distillation_weight > 0):
        raise DataError(
            f"{path}: {section}: got the teacher {instance.teacher} and fit.distillation_weight "
            f"{fit.distillation_weight}, expected both under {DISTILLED_SECTION}, and neither under {SECTION}"
        )
    if instance.source == instance.view and augment.of_waveforms:
        raise DataError(
            f"{path}: {section}: {augment.of_waveforms[0]} changes waveforms, but the model reads the stored view "
            f"{instance.source}: give it source: {WAVEFORM}"
        )
    return Model(
        name=name,
        network=instance.network,
        view=instance.view,
        source=instance.source,
        definition=_view(instance.view, path),
        fit=fit,
        augment=augment,
        numbers=params.check(own, section, network.Numbers, path),
    )


def cache_folder(path: Path = params.PARAMS_FILE) -> str | None:
    """The folder that keeps what is read of remote stores, or None.

    Raises:
        DataError: a key of the section is unknown or missing, or a value has a wrong type or range.
    """
    train: Train = params.load("train", Train, path)
    return train.cache


def _entry(name: str, path: Path) -> tuple[str, dict[str, Any]]:
    """The place of a model in the file, and what stands there."""
    declared: list[str] = []
    for section in (SECTION, DISTILLED_SECTION):
        entries: dict[str, dict[str, Any]] = params.load(section, dict[Name, dict[str, Any]], path)
        if name in entries:
            return f"{section}.{name}", entries[name]
        declared += entries
    raise DataError(f"{path} has no model {name!r}; models and distilled declare {', '.join(declared)}")


def _view(name: str, path: Path) -> View:
    views: dict[str, View] = params.load("extract.views", dict[Name, View], path)
    if name not in views:
        raise DataError(f"{path} has no view {name!r}; extract.views declares {', '.join(views)}")
    return views[name]

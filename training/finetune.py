"""The stage finetune: a trained model learns more words, by default in its last dense layers alone."""

from __future__ import annotations

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports that take seconds

from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import click
import keras
from keras import layers
from pydantic.dataclasses import dataclass

from base import command, params
from base.errors import DataError
from base.types import STRICT, Name
from readers.store import Store, open_store
from results.model import ModelDescription, read_description
from results.network_file import read_network
from training import dataset, models
from training.config import Augment, Fit, Model, Overrides
from training.train import fingerprint, fit_and_write, inputs_of, prepare

SECTION: Final = "finetuned"
Layers: TypeAlias = Literal["dense", "all"]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Finetuning(Overrides):
    """An entry of `finetuned`: a trained model that learns the words of a wider task.

    `fit` and `augment` hold what differs from the numbers that the model was trained with.

    Attributes:
        model: name of the model to begin with.
        task: the task that has its classes and the new words.
        source: the stored view to read, the model's own or `waveform`.
        layers: "dense" for the dense layers after the last layer of another kind, or "all".
    """

    model: Name
    task: Name
    source: Name
    layers: Layers


@dataclass(frozen=True, kw_only=True)
class FinetunedModel(Model):
    """A model that begins with the weights of another one: `start` is its name, `layers` what is fitted."""

    start: str
    layers: Layers

    @property
    def parameters(self) -> dict[str, Any]:
        """The numbers as JSON can hold them."""
        return {**super().parameters, "finetuned": {"start": self.start, "layers": self.layers}}


@click.command()
@click.argument("name")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("store")
@click.argument("folder", type=click.Path(path_type=Path))
def main(name: str, model: Path, store: str, folder: Path) -> None:
    """Teach the trained model in the folder MODEL the new classes of STORE; write the result into FOLDER.

    NAME is the entry of `finetuned` in params.yaml. STORE has the model's classes and others. An interrupted run is
    resumed when the command is given again.
    """
    entries: dict[str, Finetuning] = params.load(SECTION, dict[Name, Finetuning])
    if name not in entries:
        raise DataError(f"{params.PARAMS_FILE} has no {SECTION}.{name}; it declares {', '.join(entries) or 'none'}")
    features = open_store(store)
    if features.name != entries[name].source:
        raise DataError(f"{SECTION}.{name} reads {entries[name].source}, but {store} holds {features.name}")
    description = finetune(name, entries[name], model, features, folder)
    outcome = (
        f"validation accuracy {description.validation.accuracy:.1%} of {description.validation.clips:,} clips"
        if description.validation
        else "validation was fitted as well"
    )
    command.say(f"{folder}: epoch {description.best_epoch} of {description.epochs} is kept, {outcome}")


def finetune(
    name: str, numbers: Finetuning, start: Path, store: Store, folder: Path, logs: Path = Path()
) -> ModelDescription:
    """Teach a trained model more classes, and write it as `training.train` writes a model.

    Args:
        name: of the new model.
        numbers: which layers are fitted, and how.
        start: folder of a finished model.
        store: features of its view or waveforms, with its classes and new ones.
        folder: where to write.
        logs: the project's root.

    Returns:
        What model.json says.

    Raises:
        DataError: the model is unfinished, or the store lacks one of its classes or has none that is new.
    """
    before = read_description(start)
    check_classes(before, store)
    model = finetuned_model(name, numbers, before, store.name)
    prepare(model.fit)
    source = dataset.source(store, model.definition)
    inputs = inputs_of(source, model.fit.splits)
    network = extended(read_network(start), before.classes, store.classes)
    fitted = network if numbers.layers == "all" else with_frozen_layers(network)
    run = fingerprint(store, model, start)
    return fit_and_write(network, fitted, model, source, inputs, folder, logs, run)


def check_classes(before: ModelDescription, store: Store) -> None:
    """Make sure that a store has all classes of a model and at least one more.

    Raises:
        DataError: it has not.
    """
    absent = [name for name in before.classes if name not in store.classes]
    if absent or len(store.classes) == len(before.classes):
        found = f"lacks its classes {', '.join(absent)}" if absent else "has no class that is new to it"
        raise DataError(
            f"{store.path} {found}: the model {before.name} needs a store of a task with its classes, which are "
            f"{', '.join(before.classes)}, and new words"
        )


def finetuned_model(name: str, numbers: Finetuning, before: ModelDescription, source: str) -> FinetunedModel:
    """The model to fit: that of a description, with what differs.

    Raises:
        DataError: the numbers of the description or of the entry have a wrong type or range.
    """
    place, own = f"{SECTION}.{name}", before.parameters
    fit = {**own["fit"], "distillation_weight": 0.0, **numbers.fit}
    return FinetunedModel(
        name=name,
        network=before.network,
        view=before.view,
        source=source,
        definition=before.feature_view,
        fit=params.check(fit, f"{place}.fit", Fit),
        augment=params.check({**own["augment"], **numbers.augment}, f"{place}.augment", Augment),
        numbers=params.check(own["numbers"], place, models.find(before.network).Numbers),
        start=before.name,
        layers=numbers.layers,
    )


def extended(network: keras.Model, old: tuple[str, ...], new: tuple[str, ...]) -> keras.Model:
    """A copy of a network that tells more classes apart; what it has learned of the old ones stays.

    Args:
        network: its last layer is dense, with a unit for each old class.
        old, new: class names in order of label; `new` has all of `old`.

    Returns:
        A network of the same layers with the same weights. The units of the new classes have random weights.
    """
    last = network.layers[-1]
    if not isinstance(last, layers.Dense) or last.units != len(old):
        raise DataError(f"the network {network.name} does not end in a dense layer of its {len(old)} classes")

    def copied(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        return type(layer).from_config({**config, "units": len(new)} if layer is last else config)

    copy = keras.models.clone_model(network, clone_function=copied)
    for layer in network.layers[:-1]:
        copy.get_layer(layer.name).set_weights(layer.get_weights())
    places = [new.index(name) for name in old]
    weights = copy.layers[-1].get_weights()
    for value, learned in zip(weights, last.get_weights(), strict=True):
        value[..., places] = learned
    copy.layers[-1].set_weights(weights)
    return copy


def with_frozen_layers(network: keras.Model) -> keras.Model:
    """A copy of a network, weights in the same order, in which only the last dense layers can be fitted.

    They are the dense layers behind the last layer with weights of another kind. Frozen batch normalization keeps
    its averages.
    """
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    others = [index for index, layer in enumerate(copy.layers) if layer.weights and type(layer) is not layers.Dense]
    for layer in copy.layers[: max(others, default=-1) + 1]:
        layer.trainable = False
    return copy


if __name__ == "__main__":
    command.run(main)

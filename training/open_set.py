"""The command open_set: how well words that no training saw are told from commands, by several scores of each model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import keras
import numpy as np
import numpy.typing as npt

from base import command
from base.errors import DataError
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from readers.store import Store, open_store
from results.evaluation import write_csv
from results.metrics import roc, wilson_interval
from results.model import ModelDescription, read_description
from results.network_file import read_network
from training import dataset
from training.dataset import Source
from training.evaluate import classify
from training.open_set_scores import Floats, Head, Prototypes, prototypes, scores
from training.silence import Detector, detector, summaries

SCORES_FILE: Final = "open_set.csv"
CURVES_FILE: Final = "curves.csv"
SILENCE_FILE: Final = "silence.csv"
COLUMNS: Final = (
    "model", "score", "unseen_words", "unknown_clips", "command_clips", "auroc", "false_accepts", "low", "high",
    "threshold", "set_false_accepts", "set_false_rejects", "accuracy", "macro_recall", "clips",
)  # fmt: skip
_ALL: Final = "all"
_BATCH_CLIPS: Final = 256
_CURVE_POINTS: Final = 201

Chosen = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Clips:
    """The clips of a split as a model sees them, in order of id.

    Attributes:
        ids: ids of the clips.
        names: the class of each in the store.
        words: the command that the model takes each for.
        scores: by name of the score, float64, (clips,); higher for commands.
    """

    ids: tuple[str, ...]
    names: npt.NDArray[np.str_]
    words: npt.NDArray[np.str_]
    scores: dict[str, Floats]

    @property
    def unknown(self) -> Chosen:
        """Which clips are unknown words."""
        return np.equal(self.names, UNKNOWN_CLASS)

    @property
    def commands(self) -> Chosen:
        """Which clips are commands."""
        return ~np.isin(self.names, (UNKNOWN_CLASS, SILENCE_CLASS))


@dataclass(frozen=True)
class Rates:
    """The rates that thresholds are chosen for, shares in 0..1: unknown words accepted, commands rejected."""

    false_accepts: float
    false_rejects: float


@click.command()
@click.argument("store")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--false-accepts", default=0.05, show_default=True, type=click.FloatRange(0, 1), help="Validation rate.")
@click.option("--false-rejects", default=0.05, show_default=True, type=click.FloatRange(0, 1), help="Test rate.")
@click.option(
    "--silence-rejects", default=0.01, show_default=True, type=click.FloatRange(0, 1), help="Validation rate."
)
def main(
    store: str,
    folder: Path,
    models: tuple[Path, ...],
    false_accepts: float,
    false_rejects: float,
    silence_rejects: float,
) -> None:
    """Measure MODELS on the unknown words of STORE that its train and validation splits do not have; write into FOLDER.

    STORE has the classes silence and unknown next to the commands of each model, which may know them alone. A detector
    of silence stands in front of all; it may take --silence-rejects of the validation commands. A score's threshold
    lets --false-accepts of the validation's unknown words pass. Besides, unknown words that pass are counted where
    --false-rejects of the test commands are rejected.
    """
    features = open_store(store)
    check_classes(features)
    rows, curves = [], []
    rates = Rates(false_accepts, false_rejects)
    groups = unseen(features)
    heard = silence_detector(features, silence_rejects, folder)
    for place in models:
        description = read_description(place)
        validation, test = clips_of(
            description, read_network(place), dataset.source(features, description.feature_view)
        )
        for name in test.scores:
            rows += list(figures(description.name, name, validation, test, groups, heard, rates))
            curves += list(curve(description.name, name, test, groups[_ALL]))
    write_csv(folder / SCORES_FILE, COLUMNS, rows)
    write_csv(folder / CURVES_FILE, ("model", "score", "false_rejects", "false_accepts"), curves)
    for row in rows:
        values = dict(zip(COLUMNS, row, strict=True))
        command.say(
            f"{values['model']}, {values['score']}, {values['unseen_words']}: AUROC {values['auroc']:.3f}, "
            f"{values['false_accepts']:.1%} of {values['unknown_clips']} unknown words pass where {false_rejects:.0%} "
            f"of {values['command_clips']} commands are rejected"
        )


def check_classes(store: Store) -> None:
    """Make sure that a store has silence and unknown words.

    Raises:
        DataError: it has not.
    """
    if absent := [name for name in (SILENCE_CLASS, UNKNOWN_CLASS) if name not in store.classes]:
        raise DataError(f"{store.path} has no class {' and '.join(absent)}: give a store of a task that has them")


def unseen(store: Store) -> dict[str, frozenset[str]]:
    """The unknown test clips whose word is in no train or validation clip, by archive, and of all archives.

    Raises:
        DataError: there is none.
    """
    table = store.catalog(("id", "word", "split", "label", "archive")).to_pylist()
    unknown = store.classes.index(UNKNOWN_CLASS)
    seen = {row["word"] for row in table if row["split"] != "test"}
    kept = [row for row in table if row["split"] == "test" and row["label"] == unknown and row["word"] not in seen]
    if not kept:
        raise DataError(f"{store.path}: every unknown test word is in training too: set select.held_out")
    archives = sorted({row["archive"] for row in kept})
    by_archive = {name: frozenset(row["id"] for row in kept if row["archive"] == name) for name in archives}
    return {_ALL: frozenset(row["id"] for row in kept), **(by_archive if len(archives) > 1 else {})}


def silence_detector(store: Store, rejects: float, folder: Path) -> Chosen:
    """Which test clips, in order of id, a detector takes for silence; what it finds goes into a table.

    Args:
        store: features.
        rejects: share of validation commands that it may take for silence.
        folder: where the table goes; it has the loudness alone as well, with a threshold for the same rate.
    """
    found: dict[str, tuple[tuple[str, ...], npt.NDArray[np.str_], Floats]] = {}
    for split in ("train", "validation", "test"):
        ids, labels, values = summaries(store, split)
        found[split] = (ids, np.array(store.classes)[labels], values)
    loudness = {row["id"]: row["rms"] for row in store.catalog(("id", "rms")).to_pylist()}
    heard: Detector = detector(found["train"][2], found["train"][1] == SILENCE_CLASS)
    scored = {
        split: {"features": heard.speech(values), "loudness": np.array([loudness[name] for name in ids])}
        for split, (ids, _, values) in found.items()
    }
    rows, chosen = [], {}
    silent, commands = found["test"][1] == SILENCE_CLASS, _command(found["test"][1])
    for name in ("features", "loudness"):
        threshold = float(np.quantile(scored["validation"][name][_command(found["validation"][1])], rejects))
        chosen[name] = scored["test"][name] < threshold
        caught, lost = int(chosen[name][silent].sum()), int(chosen[name][commands].sum())
        rows.append((name, threshold, caught, int(silent.sum()), lost, int(commands.sum())))
    columns = ("detector", "threshold", "silence_found", "silence_clips", "commands_lost", "command_clips")
    write_csv(folder / SILENCE_FILE, columns, rows)
    return chosen["features"]


def _command(names: npt.NDArray[np.str_]) -> Chosen:
    return ~np.isin(names, (SILENCE_CLASS, UNKNOWN_CLASS))


def clips_of(description: ModelDescription, network: keras.Model, source: Source) -> tuple[Clips, Clips]:
    """The validation and the test clips of a store as a model sees them.

    Raises:
        DataError: the model has a class that the store lacks, or the store a command that the model lacks.
    """
    store = source.store
    commands = [name for name in store.classes if name not in (SILENCE_CLASS, UNKNOWN_CLASS)]
    if absent := sorted({*description.classes, *commands} - {*store.classes} | {*commands} - {*description.classes}):
        raise DataError(f"{store.path} and the model {description.name} do not share the classes {', '.join(absent)}")
    head = Head.of(network, description.classes)
    body = keras.Model(network.inputs, network.layers[-1].input)
    ids, labels, features = classify(body, source, _BATCH_CLIPS, "train")
    names = np.array(store.classes)
    known: Prototypes = prototypes(features, names[labels], commands)
    found = []
    for split in ("validation", "test"):
        ids, labels, features = classify(body, source, _BATCH_CLIPS, split)
        words = np.array(commands)[head.logits(features)[:, head.places(commands)].argmax(axis=1)]
        found.append(Clips(ids, names[labels], words, scores(head, known, commands, features)))
    return found[0], found[1]


def figures(
    model: str,
    score: str,
    validation: Clips,
    test: Clips,
    groups: dict[str, frozenset[str]],
    silent: Chosen,
    rates: Rates,
) -> Iterator[tuple[object, ...]]:
    """The figures of a score, a row of `COLUMNS` for each group of unseen words.

    Args:
        model, score: names.
        validation, test: the clips.
        groups: ids of unseen unknown test clips by name.
        silent: the test clips that the detector takes for silence.
        rates: what thresholds are chosen for.
    """
    value = test.scores[score]
    threshold = float(np.quantile(validation.scores[score][validation.unknown], 1 - rates.false_accepts))
    at_rejects = float(np.quantile(value[test.commands], rates.false_rejects))
    decided = np.where(silent, SILENCE_CLASS, np.where(value > threshold, test.words, UNKNOWN_CLASS))
    rejected = test.commands & (value <= threshold)
    for name, ids in groups.items():
        chosen = np.isin(test.ids, list(ids))
        compared = chosen | test.commands
        curve = roc(test.commands[compared], value[compared])
        if curve is None:
            raise DataError(f"{name}: there is no command or no unseen word in the test split")
        passed = int((value[chosen] >= at_rejects).sum())
        measured = chosen | ~test.unknown
        right = decided[measured] == test.names[measured]
        classes = [right[test.names[measured] == each].mean() for each in sorted(set(test.names[measured]))]
        yield (
            model, score, name, int(chosen.sum()), int(test.commands.sum()), curve.area, passed / int(chosen.sum()),
            *wilson_interval(passed, int(chosen.sum())), threshold, float((value[chosen] > threshold).mean()),
            float(rejected.sum() / test.commands.sum()), float(right.mean()), float(np.mean(classes)), len(right),
        )  # fmt: skip


def curve(model: str, score: str, test: Clips, ids: frozenset[str]) -> Iterator[tuple[object, ...]]:
    """Points (model, score, false rejects, false accepts), shares in 0..1, over all rates of false rejects."""
    value, chosen = test.scores[score], np.isin(test.ids, list(ids))
    for rate in np.linspace(0, 1, _CURVE_POINTS):
        threshold = np.quantile(value[test.commands], rate)
        yield model, score, round(float(rate), 4), float((value[chosen] >= threshold).mean())


if __name__ == "__main__":
    command.run(main)

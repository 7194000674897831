"""Makes the stream of a split and lets an export listen to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from base.errors import DataError
from base.files import write_text
from features.labels import UNKNOWN_CLASS
from features.splits import SplitName
from readers.belonging import check_belonging
from readers.store import Store, open_store
from serving.model import Model, open_model
from serving.stream_test.hearing import Scores, heard, word_scores
from serving.stream_test.plan import Plan, as_csv, plan
from serving.stream_test.probabilities import probabilities
from serving.stream_test.scoring import Outcome, score
from serving.stream_test.settings import Rules, StreamNumbers, fitting
from serving.stream_test.speech import recordings
from serving.stream_test.utterances import Material, gather


class Listened(NamedTuple):
    """A stream and what a model says of it.

    Attributes:
        stream: the manifest.
        material: what the stream is made of.
        scores: of the words in each window.
        rules: how it was listened to, and what counts.
    """

    stream: Plan
    material: Material
    scores: Scores
    rules: Rules

    def outcome(self, thresholds: Mapping[str, float]) -> Outcome:
        """What thresholds make of it; a word without one is never heard."""
        return score(self.stream, heard(self.scores, thresholds, self.rules.listening), self.rules)

    def outcome_of_one(self, threshold: float) -> Outcome:
        """What one threshold for all words makes of it."""
        return self.outcome(dict.fromkeys(self.scores.words, threshold))


@dataclass(frozen=True)
class Listener:
    """An export, and the stores that streams are made of.

    Attributes:
        export: folder of the export.
        model: it, opened.
        features: the store of the task.
        clips: the store of clips that the features were made from.
        numbers: what streams are made of.
        rules: how they are listened to, and what counts.
        words: those that the model listens for; its others are unknown ones.
        workers: processes, one core each.
    """

    export: Path
    model: Model
    features: Store
    clips: Store
    numbers: StreamNumbers
    rules: Rules
    words: tuple[str, ...]
    workers: int

    def listen(self, split: SplitName, speech: Path | None, folder: Path) -> Listened:
        """Make the stream of a split and listen to it.

        Args:
            split: whose clips.
            speech: folder of recordings without any of the words, or None.
            folder: where to write the manifest, SPLIT.csv, and to keep what is done.

        Raises:
            DataError: the split has too little to make a stream of, or a recording is not usable.
        """
        material = relabeled(gather(self.features, self.clips, split), self.words)
        stream = plan(material, recordings(speech, split) if speech else (), self.numbers, self.rules, split)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(str(folder / f"{split}.csv"), as_csv(stream))
        listening, kept = self.rules.listening, folder / "probabilities" / split
        said = probabilities(self.export, stream, material.audio, listening.step_ms, self.workers, kept)
        scores = word_scores(said, self.model.export.classes, self.words, listening)
        return Listened(stream, material, scores, self.rules)


def listener(
    export: Path, features: str, clips: str, numbers: StreamNumbers, rules: Rules, word: str | None, workers: int
) -> Listener:
    """Open an export and its stores.

    Args:
        export: folder of the export.
        features: path of the store that the model was trained on.
        clips: path of the store of clips that the features were made from.
        numbers: what streams are made of.
        rules: how they are listened to, and what counts; the step is made to fit the model's view.
        word: the only one to listen for, or None for all.
        workers: processes, one core each.

    Raises:
        DataError: they do not belong together, or the model has no such word.
    """
    model, store, recorded = open_model(export), open_store(features), open_store(clips)
    check_belonging(recorded, store)
    if model.export.classes != store.classes:
        raise DataError(
            f"the model {model.export.model} has the classes {', '.join(model.export.classes)}, {store.path} has "
            f"{', '.join(store.classes)}: give the store that the model was trained on"
        )
    if word is not None and word not in model.words:
        raise DataError(f"the model has no word {word!r}; it has {', '.join(model.words)}")
    fitted = fitting(rules, model.export.feature_view)
    return Listener(export, model, store, recorded, numbers, fitted, (word,) if word else model.words, workers)


def relabeled(material: Material, words: tuple[str, ...]) -> Material:
    """Material in which every word but some is an unknown one."""
    utterances = (each if each.word in words else each._replace(word=UNKNOWN_CLASS) for each in material.utterances)
    return material._replace(utterances=tuple(utterances))

"""An export, opened to decode clips and to listen, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from features.labels import SILENCE_CLASS, UNKNOWN_CLASS
from serving import runtimes
from serving.description import Export, read_export
from serving.recognizer import Listening, Recognizer
from serving.runtimes import FromFeatures, features_of
from serving.tested import read_thresholds
from serving.windows import windows

Clips = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Model:
    """An export and its network.

    Attributes:
        export: what it says of itself.
        network: from one clip's features to probabilities.
        thresholds: for each word the averaged probability from which on it is heard in a stream.
    """

    export: Export
    network: FromFeatures
    thresholds: Mapping[str, float]

    @property
    def words(self) -> tuple[str, ...]:
        """The classes that are words."""
        return tuple(name for name in self.export.classes if name not in (SILENCE_CLASS, UNKNOWN_CLASS))

    def probabilities(self, clips: Clips) -> Floats:
        """From clips, int16, (clips, 16000), to probabilities, float32, (clips, classes)."""
        return np.stack([self.network(each) for each in features_of(self.export.feature_view, clips)])

    def recognizer(self, listening: Listening) -> Recognizer:
        """A recognizer at the beginning of a stream.

        Args:
            listening: its times.

        Raises:
            DataError: the times do not fit the view.
        """
        cut = windows(self.export.feature_view, listening.step_ms)
        return Recognizer(cut, self.network, self.export.classes, self.thresholds, listening)


def open_model(folder: Path, tested: Path | None = None) -> Model:
    """Open an export for decoding.

    Args:
        folder: of the export.
        tested: stream.json of a stream test that chose the thresholds; without it all words have that of the export.

    Raises:
        DataError: it is unfinished or damaged, its network can't be run by itself, or the test is one of another model.
    """
    export = read_export(folder)
    if "litert_network" not in export.models:
        raise DataError(f"{folder} can't be listened with: {export.omitted.get('litert_network', 'no network')}")
    words = tuple(name for name in export.classes if name not in (SILENCE_CLASS, UNKNOWN_CLASS))
    thresholds = read_thresholds(tested, words) if tested else dict.fromkeys(words, export.threshold.value)
    return Model(export, runtimes.network(folder, export), thresholds)

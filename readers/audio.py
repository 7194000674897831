"""The audio of some clips out of a store of clips, by their ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from features.views import CLIP_SAMPLES
from readers.store import Store


def audio_of(clips: Store, ids: Sequence[str]) -> npt.NDArray[np.int16]:
    """The samples of some clips, 32 kB each in memory, in one pass over the store.

    Args:
        clips: a finished store of clips.
        ids: of the clips, each once.

    Returns:
        int16, (clips, 16000), in the order of the ids.

    Raises:
        DataError: a clip is not in the store.
    """
    places = {name: place for place, name in enumerate(ids)}
    audio = np.empty((len(ids), CLIP_SAMPLES), np.int16)
    for split in clips.splits:
        for record in clips.records(split):
            if (place := places.pop(str(record["id"]), None)) is not None:
                audio[place] = record["audio"]
    if places:
        raise DataError(
            f"{clips.path} has no clip {min(places)!r} ({len(places)} of {len(ids)} are missing): "
            "give the clips that the features were made from"
        )
    return audio

"""The records that stores hold: a clip, or a clip's features in a view."""

from __future__ import annotations

from typing import Final

from features import clip_id
from features.views import CLIP_SAMPLES, View
from stores.schema import Field, RecordSpec

CLIP_RECORD: Final = RecordSpec(
    (
        Field("audio", "int16", (CLIP_SAMPLES,), "samples at 16 kHz, zero after the clip's real length"),
        Field("id", "text", meaning=clip_id.MEANING),
        Field("length", "integer", meaning="samples before padding; the mask is range(16000) < length"),
        Field("speaker", "text", meaning="the speaker's id, empty for silence"),
        Field("word", "text", meaning="the word spoken, _silence_ for background noise"),
    )
)


CLIPS_VERSION: Final = "1.0.0"
"""Version of the store of clips; changes with `CLIP_RECORD` or with what a clip is."""


def view_record(view: View) -> RecordSpec:
    """The record of a clip's features in a view: id, label, real length and the tensor."""
    fields = (
        Field("id", "text", meaning=clip_id.MEANING),
        Field("label", "label", meaning="index into the class names"),
        Field("length", "integer", meaning=f"samples before padding, counted at {view.length_rate_hz:,} Hz"),
        Field(view.tensor_name, view.dtype, view.shape, view.meaning),
    )
    return RecordSpec(tuple(sorted(fields, key=lambda field: field.name)))

"""A view is a named way of looking at a clip, with all its facts: what params.yaml declares and manifests record."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field, TypeAdapter

from features.views.base import CLIP_SAMPLES as CLIP_SAMPLES
from features.views.base import FULL_SCALE as FULL_SCALE
from features.views.base import SAMPLE_RATE_HZ as SAMPLE_RATE_HZ
from features.views.base import Axis as Axis
from features.views.base import BaseView as BaseView
from features.views.base import Waveform as Waveform
from features.views.micro import Micro as Micro
from features.views.spectral import LogMel as LogMel
from features.views.spectral import MelView as MelView
from features.views.spectral import Mfcc as Mfcc
from features.views.spectral import Pcen as Pcen
from features.views.spectral import SpectralView as SpectralView
from features.views.spectral import Spectrogram as Spectrogram

View: TypeAlias = Annotated[Waveform | Spectrogram | LogMel | Mfcc | Pcen | Micro, Field(discriminator="kind")]


WHOLE_CLIPS: Final = Waveform(kind="waveform", sample_rate_hz=SAMPLE_RATE_HZ)
"""The view of all samples as they are, from which every other view can be computed."""


def definition(view: View) -> dict[str, Any]:
    """The view's parameters as a JSON object, the form stored in manifests.

    Parameters at their default are left out, so a parameter that is added with a default changes no stored definition.
    """
    values = {field.name: getattr(view, field.name) for field in fields(view)}
    return {field.name: values[field.name] for field in fields(view) if values[field.name] != field.default}


def from_definition(parameters: dict[str, Any]) -> View:
    """The view with these parameters; the inverse of `definition`.

    Raises:
        ValueError: they are not those of a view.
    """
    view: View = TypeAdapter(View).validate_json(json.dumps(parameters))
    return view


def version(view: View) -> str:
    """The version of a view's stores, as TensorFlow Datasets writes versions: x.y.z, all three whole numbers.

    It follows from the definition, so it changes exactly when the definition does: x is the revision of the
    mathematics, y and z are digits of the hash of the parameters. Versions have no order beyond x.
    """
    digits = int(definition_hash(view), 16)
    return f"{view.revision}.{digits % 10**6}.{digits // 10**6 % 10**6}"


def definition_hash(view: View) -> str:
    """SHA-256 (hex) of the view's definition as canonical JSON; equal exactly when the parameters are."""
    canonical = json.dumps(definition(view), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()

"""From the bytes of an untrusted file to what it says: bounds first, then the code of `python -m serving.predict`."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any, Final

from base.errors import DataError
from features.audio_file import HIGHEST_RATE_HZ, LOWEST_RATE_HZ, AudioError, AudioFile
from serving.model import Model
from serving.predict import decode_recording
from serving.recognizer import Listening
from serving.web.limits import Limits, Refused

_BLOCK_FRAMES: Final = 1 << 14
_UNKNOWN_FORMS: Final = ("not_wave", "encoding")
_FORMS: Final = "WAV, FLAC, Ogg Vorbis, Opus or MP3"


def answer(model: Model, data: bytes, listening: Listening, limits: Limits) -> dict[str, Any]:
    """What a file says, as the interface gives it: seconds, the most probable classes, the words heard and when.

    Args:
        model: what decodes it.
        data: the whole file.
        listening: the times by which a file longer than a second is listened to.
        limits: the bounds.

    Raises:
        Refused: it is too long, of an unknown form, damaged, or beyond another bound.
    """
    if not data:
        raise Refused(422, f"The body is empty: send an audio file, {_FORMS}.")
    check_bounds(data, limits)
    try:
        recording = AudioFile(data)
    except AudioError as error:
        raise refusal(error) from error
    found = asdict(decode_recording(model, "", recording, listening))
    del found["file"]
    return {**found, "thresholds": dict(model.thresholds)}


def refusal(error: AudioError) -> Refused:
    """The refusal of a file that is not usable."""
    if error.reason in _UNKNOWN_FORMS:
        return Refused(415, f"This is no audio that can be read: send {_FORMS}.")
    if error.reason == "too_long":
        return Refused(413, "The audio is too long.")
    return Refused(422, f"The audio can't be decoded: {error}.")


def check_bounds(data: bytes, limits: Limits) -> None:
    """Make sure that the audio of a file is within the bounds, without holding more than a block of it.

    The length in a header is not believed: frames are counted as they unpack. What libsndfile can't open is left to
    `features.audio_file`, which says why.

    Raises:
        Refused: too many channels, a rate out of range, or too long.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.channels > limits.file_channels:
                raise Refused(422, f"The audio has {file.channels} channels, at most {limits.file_channels} are read.")
            if not LOWEST_RATE_HZ <= file.samplerate <= HIGHEST_RATE_HZ:
                expected = f"{LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz"
                raise Refused(422, f"The audio has a rate of {file.samplerate} Hz, expected {expected}.")
            left = limits.file_seconds * file.samplerate
            while read := len(file.read(_BLOCK_FRAMES, dtype="int16", always_2d=True)):
                left -= read
                if left < 0:
                    raise Refused(413, f"The audio is longer than {limits.file_seconds:g} seconds.")
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        return


def check_listening(model: Model, listening: Listening) -> None:
    """Make sure that a model can be listened with.

    Raises:
        DataError: the times do not fit its view.
    """
    try:
        model.recognizer(listening)
    except DataError as error:
        raise DataError(f"{error}; give another --step-ms") from error

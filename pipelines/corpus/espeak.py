"""Words to sound: eSpeak NG speaks in a process of its own, so that what it says depends on nothing said before.

The library keeps state between utterances (the phase of the voice's flutter, of its noise and echo) and has no call
that resets it. A new process is the reset. This file is both sides: `speak` starts it as a script and asks, `_answer`
speaks. It imports the standard library alone, which keeps the start of that process near 20 ms.
"""

from __future__ import annotations

import ctypes
import json
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

SAMPLE_RATE_HZ = 22_050
FASTEST_WPM = 450
TIMEOUT_S = 120

_SYNCHRONOUS_OUTPUT = 2
_DO_NOT_EXIT_ON_ERROR = 1 << 15
_UTF8_TEXT = 1
_RATE, _PITCH, _PITCH_RANGE = 1, 3, 4
_SEED = 1
_LENGTH = struct.Struct("<I")
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class SpeechError(RuntimeError):
    """The library could not be loaded or did not speak."""


@dataclass(frozen=True)
class Utterance:
    """One text and how it is said.

    Attributes:
        text: what is said.
        rate_wpm: words a minute, 80 to 450.
        pitch: base pitch, 0 to 99; 50 is the voice's own.
        pitch_range: liveliness of the pitch, 0 (monotone) to 99.
    """

    text: str
    rate_wpm: int
    pitch: int
    pitch_range: int


@dataclass(frozen=True)
class Engine:
    """Where the shared library and its data folder lie."""

    library: Path
    data: Path


def speak(engine: Engine, voice: str, utterances: Sequence[Utterance]) -> list[bytes]:
    """Let one voice speak.

    Args:
        engine: the library.
        voice: eSpeak's name of a language and a variant, such as "en-us+f2".
        utterances: what to say; the sound of one depends on the ones before it, and on nothing else.

    Returns:
        For each utterance its sound at 22,050 Hz, 16-bit little-endian mono PCM.

    Raises:
        SpeechError: the library does not load, does not know the voice, or stopped.
    """
    request = {"library": str(engine.library), "voice": voice, "utterances": [asdict(one) for one in utterances]}
    # The library cuts paths off at 160 characters: it gets its data folder as the working directory, by a short name.
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve())],
            input=json.dumps(request).encode(),
            capture_output=True,
            cwd=engine.data,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SpeechError(f"no answer within {TIMEOUT_S} s") from error
    if done.returncode:
        raise SpeechError(done.stderr.decode(errors="replace").strip() or f"stopped with code {done.returncode}")
    return list(_unpack(done.stdout))


def _unpack(packed: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(packed):
        (length,) = _LENGTH.unpack_from(packed, position)
        position += _LENGTH.size
        yield packed[position : position + length]
        position += length


def _answer() -> None:
    request = json.load(sys.stdin)
    utterances = [Utterance(**one) for one in request["utterances"]]
    for sound in _say_all(request["library"], request["voice"], utterances):
        sys.stdout.buffer.write(_LENGTH.pack(len(sound)) + sound)


def _say_all(library_path: str, voice: str, utterances: Sequence[Utterance]) -> Iterator[bytes]:
    blocks: list[bytes] = []

    def collect(samples: object, count: int, _events: object) -> int:
        if count > 0:
            blocks.append(ctypes.string_at(samples, 2 * count))  # type: ignore[arg-type]
        return 0

    callback = _Callback(collect)
    library = _load(library_path, callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        sys.exit(f"eSpeak NG has no voice {voice!r}")
    for utterance in utterances:
        blocks.clear()
        _say(library, utterance)
        yield b"".join(blocks)


def _load(path: str, callback: object) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        sys.exit(str(error))
    rate = library.espeak_Initialize(_SYNCHRONOUS_OUTPUT, 0, b".", _DO_NOT_EXIT_ON_ERROR)
    if rate != SAMPLE_RATE_HZ:
        sys.exit(f"eSpeak NG started with a sample rate of {rate} Hz, expected {SAMPLE_RATE_HZ}")
    library.espeak_SetSynthCallback(callback)
    # Without this the noise in a voice is seeded by the clock.
    library.espeak_ng_SetRandSeed(ctypes.c_long(_SEED))
    return library


def _say(library: ctypes.CDLL, utterance: Utterance) -> None:
    library.espeak_SetParameter(_RATE, utterance.rate_wpm, 0)
    library.espeak_SetParameter(_PITCH, utterance.pitch, 0)
    library.espeak_SetParameter(_PITCH_RANGE, utterance.pitch_range, 0)
    text = utterance.text.encode()
    status = library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, _UTF8_TEXT, None, None)
    if status or library.espeak_Synchronize():
        sys.exit(f"eSpeak NG did not say {utterance.text!r}")


if __name__ == "__main__":
    _answer()

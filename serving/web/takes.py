"""Takes of new words on disk: a folder for each word and files that the server names, for the plain-words layout."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from features.audio import encode_audio
from features.views import CLIP_SAMPLES, SAMPLE_RATE_HZ
from serving.web.limits import Refused

Samples = npt.NDArray[np.int16]

TAKE_BYTES: Final = 2 * CLIP_SAMPLES
MOST_WORDS: Final = 10
MOST_TAKES: Final = 100
_WORD: Final = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+)*")
_LONGEST_WORD: Final = 30
_QUIETEST_PEAK: Final = 300
"""Of a take; below it nothing was said, 41 dB under full scale."""
_FILE: Final = re.compile(r"(\d{4})\.wav")


class Takes:
    """The takes in a folder."""

    def __init__(self, folder: Path, known: tuple[str, ...]) -> None:
        """Look at a folder, which is made where it is missing.

        Args:
            folder: for the words.
            known: words that need no takes, since the model has them.
        """
        self._folder, self._known = folder, known
        folder.mkdir(parents=True, exist_ok=True)

    def words(self) -> dict[str, list[int]]:
        """Word → numbers of its takes."""
        places = sorted(place for place in self._folder.iterdir() if place.is_dir() and _WORD.fullmatch(place.name))
        found = {place.name: self._numbers(place) for place in places}
        return {word: numbers for word, numbers in found.items() if numbers}

    def add(self, word: str, body: bytes) -> int:
        """Keep a take.

        Args:
            word: what was said.
            body: one second of little-endian samples of 16 bits at 16 kHz.

        Returns:
            Its number.

        Raises:
            Refused: the word is none, or known; the body is no such second, or silent; or there are enough.
        """
        place = self._place(word)
        if len(body) != TAKE_BYTES:
            raise Refused(422, f"A take is one second: {TAKE_BYTES} bytes, and not {len(body)}.")
        samples = np.frombuffer(body, "<i2").astype(np.int16)
        if np.abs(samples.astype(np.int32)).max() < _QUIETEST_PEAK:
            raise Refused(422, "The take is silent: come nearer to the microphone.")
        words = self.words()
        if place.name not in words and len(words) >= MOST_WORDS:
            raise Refused(422, f"There are {MOST_WORDS} words already: delete the takes of one of them.")
        numbers = words.get(place.name, [])
        if len(numbers) >= MOST_TAKES:
            raise Refused(422, f"There are {MOST_TAKES} takes of this word already.")
        number = max(numbers, default=0) + 1
        place.mkdir(exist_ok=True)
        (place / f"{number:04d}.part").write_bytes(encode_audio(samples, SAMPLE_RATE_HZ))
        (place / f"{number:04d}.part").rename(place / f"{number:04d}.wav")
        return number

    def read(self, word: str, number: int) -> bytes:
        """A take as a WAV file.

        Raises:
            Refused: there is no such take.
        """
        return self._file(word, number).read_bytes()

    def delete(self, word: str, number: int) -> None:
        """Delete a take, and the word's folder with its last one.

        Raises:
            Refused: there is no such take.
        """
        file = self._file(word, number)
        file.unlink()
        if not self._numbers(file.parent):
            file.parent.rmdir()

    def _file(self, word: str, number: int) -> Path:
        numbers = self.words().get(self._place(word).name, [])
        if number not in numbers:
            raise Refused(404, "There is no such take.")
        return self._place(word) / f"{number:04d}.wav"

    def _place(self, word: str) -> Path:
        name = unicodedata.normalize("NFC", word.strip().lower())
        if len(name) > _LONGEST_WORD or not _WORD.fullmatch(name):
            raise Refused(422, f"A word has letters only, and at most {_LONGEST_WORD} of them.")
        if name in self._known:
            raise Refused(422, "The model knows this word already: take another one.")
        return self._folder / name

    def _numbers(self, place: Path) -> list[int]:
        matches = (_FILE.fullmatch(path.name) for path in place.iterdir())
        return sorted(int(match[1]) for match in matches if match)

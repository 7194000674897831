"""Listening to standard input: the words of the recognizer, as they come; sources that are not there."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_tools import exit_code
from corpus_tools import environment
from hypothesis import given
from hypothesis import strategies as st
from test_recognizer import CLASSES, STREAM, VIEWS, network

from serving import listen
from serving.listen import raw_blocks
from serving.recognizer import Listening, Recognizer
from serving.windows import windows


@dataclass(frozen=True)
class Listener:
    """Stands where an export would: hears tones by the energy of their bands."""

    words: tuple[str, ...] = ("low", "high")
    thresholds: Mapping[str, float] = field(default_factory=lambda: {"low": 0.8, "high": 0.8})

    def recognizer(self, listening: Listening) -> Recognizer:
        cut = windows(VIEWS["logmel"], listening.step_ms)
        return Recognizer(cut, network, CLASSES, self.thresholds, listening)


@pytest.fixture
def tones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(listen, "open_model", lambda folder, tested: Listener())
    standard_input = io.TextIOWrapper(io.BytesIO(STREAM.astype("<i2").tobytes()))
    monkeypatch.setattr(sys, "stdin", standard_input)
    yield
    standard_input.close()


def test_words_of_standard_input_are_said_with_their_times(tones: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(listen.main, "export", "-", "--average-ms", 120, "--json") == 0
    heard = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["word"] for each in heard] == ["low", "high"]
    assert all(set(each) == {"word", "time_s", "score"} and each["score"] >= 0.8 for each in heard)


def test_people_get_a_line_for_each_word(tones: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(listen.main, "export", "-", "--average-ms", 120) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == ["low", "high"]


def test_a_threshold_that_nothing_reaches_hears_nothing(tones: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(listen.main, "export", "-", "--threshold", 1.0) == 0
    assert capsys.readouterr().out == ""


def test_another_source_is_refused(tones: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(listen.main, "export", "talk.wav") == 1
    assert "error: source 'talk.wav': expected microphone, or - for standard input" in capsys.readouterr().err


def test_a_missing_microphone_ends_in_a_sentence(tmp_path: Path) -> None:
    code = "from serving.listen import microphone_blocks; from base.errors import DataError\n"
    code += "try: next(microphone_blocks())\nexcept DataError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    expected = ("the microphone needs the package sounddevice", "no microphone can be listened to")
    assert done.stdout.startswith(expected)


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content, self._sizes = content, sizes

    def read(self, size: int = -1) -> bytes:
        count = min(self._sizes.pop(0) if self._sizes else 1, size)
        found, self._content = self._content[:count], self._content[count:]
        return found


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=40))
def test_samples_are_whole_however_the_bytes_come(content: bytes, sizes: list[int]) -> None:
    stream: Any = Trickle(content, sizes)
    found = [block for block in raw_blocks(stream) if len(block)]
    expected = np.frombuffer(content[: len(content) // 2 * 2], "<i2")
    np.testing.assert_array_equal(np.concatenate(found) if found else np.empty(0), expected)

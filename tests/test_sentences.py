"""Sentences by synthetic voices: none has a word that must not be said, and equal arguments give equal bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_tools import exit_code
from scipy.io import wavfile

from base.errors import DataError
from pipelines import sentences
from pipelines.corpus.synthesis import WORDS


def said(seed: int, *without: str, count: int = 500) -> list[str]:
    texts = sentences.sentences(np.random.default_rng(seed), without)
    return [next(texts) for _ in range(count)]


def words(texts: list[str]) -> set[str]:
    return {word.strip(".,!?").lower() for text in texts for word in text.split()}


def test_no_word_of_speech_commands_is_said() -> None:
    assert not words(said(0)) & set(WORDS)


def test_further_words_are_left_out() -> None:
    assert {"letters", "river"} <= words(said(1))
    assert not words(said(1, "letters", "River")) & {"letters", "river"}


def test_sentences_begin_with_a_capital_differ_and_end() -> None:
    texts = said(2)
    assert len(set(texts)) > 490 and all(text[0].isupper() and text[-1] in ".!?" for text in texts)
    assert said(2) == texts != said(3)


def test_words_without_which_nothing_can_be_said_are_refused() -> None:
    with pytest.raises(DataError, match="no sentence is left"):
        said(0, *words(said(0)))


def test_the_command_writes_a_file_for_each_voice_of_equal_bytes_each_time(tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert exit_code(sentences.main, tmp_path / name, "--hours", 0.004, "--voices", 2) == 0
    files = sorted((tmp_path / "first").iterdir())
    assert len(files) == 2
    for path in files:
        rate, samples = wavfile.read(path)
        assert rate == 16_000 and len(samples) == round(0.004 * 3600 / 2 * 16_000)
        assert abs(int(np.abs(samples.astype(int)).max()) - 16_384) < 20
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()

"""Claims about the synthetic words of other languages: repeatable, in the official layout, held-out languages apart."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from conftest import Call
from corpus_tools import write_parameters

from features import clip_id
from pipelines.corpus import corpus, foreign
from pipelines.corpus.foreign import HELD_OUT_WORDS, Foreign, training_words
from pipelines.corpus.synthesis import WORDS
from pipelines.layouts import Utterance
from pipelines.layouts.speech_commands import LAYOUT

SMALL = Foreign(speakers=2, words=4, seed=0)


@pytest.fixture
def few_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_LATIN", ("nl",))
    monkeypatch.setattr(foreign, "_OTHER_SCRIPTS", ("ru",))
    monkeypatch.setattr(foreign, "HELD_OUT_WORDS", {"tr": ("ev", "gökyüzü")})


def names(path: Path) -> list[str]:
    with tarfile.open(path) as archive:
        return [member.name.removeprefix("./") for member in archive if member.name.endswith(".wav")]


def test_speakers_say_as_many_words_as_asked_for_and_the_same_ones_again(few_languages: None, tmp_path: Path) -> None:
    for number in range(2):
        foreign.write_training_words(tmp_path / f"{number}.tar.gz", SMALL)
    assert (tmp_path / "0.tar.gz").read_bytes() == (tmp_path / "1.tar.gz").read_bytes()
    found = [clip_id.parse(name.removesuffix(".wav")) for name in names(tmp_path / "0.tar.gz")]
    assert len(found) == len({each.speaker for each in found}) * SMALL.words == 2 * SMALL.speakers * SMALL.words
    assert {each.word.partition("-")[0] for each in found if each.word} == {"nl", "ru"}


def test_every_speaker_of_a_held_out_language_says_its_words(few_languages: None, tmp_path: Path) -> None:
    foreign.write_held_out_words(tmp_path / "held.tar.gz", SMALL)
    found = names(tmp_path / "held.tar.gz")
    assert sorted(name.partition("/")[0] for name in found) == ["tr-ev", "tr-ev", "tr-gökyüzü", "tr-gökyüzü"]
    assert all(isinstance(LAYOUT.role(name), Utterance) for name in found)


def test_no_language_of_training_is_held_out() -> None:
    spoken = {*foreign._LATIN, *foreign._OTHER_SCRIPTS}
    assert not {name.partition("-")[0] for name in spoken} & set(HELD_OUT_WORDS)
    assert len(HELD_OUT_WORDS) == 8 and all(len(set(words)) == 32 for words in HELD_OUT_WORDS.values())


@pytest.mark.parametrize("seed", range(3))
def test_no_made_up_word_is_written_like_a_command(seed: int) -> None:
    said = [word for own in training_words("nl", Foreign(speakers=40, words=28, seed=seed)) for word in own]
    assert len(said) == 40 * 28 and not set(said) & set(WORDS)
    assert sum(word.isdigit() for word in said) == len(said) / 2


def test_the_stage_makes_both_archives(few_languages: None, tmp_path: Path, call: Call) -> None:
    sources = [corpus.FOREIGN, corpus.HELD_OUT]
    write_parameters(tmp_path, corpus__sources=sources, corpus__foreign={"speakers": 1, "words": 1, "seed": 0})
    assert call(tmp_path, "corpus", "raw").code == 0
    described = json.loads((tmp_path / "raw/corpus.json").read_text())["archives"]
    assert [each["source"] for each in described] == sources
    assert {each["license"] for each in described} == {"CC0-1.0"}

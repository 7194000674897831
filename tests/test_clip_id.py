"""Ids of clips are written and read in one place, and ids of different corpora never collide."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_tools import ROOT
from hypothesis import given
from hypothesis import strategies as st

from features import clip_id
from features.clip_id import ClipId

words = st.from_regex(r"[^/_@.\n][^/_@\n]{0,8}", fullmatch=True)
speakers = st.from_regex(r"[^/_@\n]{1,8}", fullmatch=True)
numbers = st.integers(0, 10**6)


@given(words, speakers, numbers)
def test_an_utterance_says_its_word_and_speaker(word: str, speaker: str, number: int) -> None:
    assert clip_id.parse(clip_id.utterance(word, speaker, number)) == ClipId(word, speaker)
    assert clip_id.parse(clip_id.ready_unknown(word, speaker, number)) == ClipId(word, speaker, ready=True)


@given(st.from_regex(r"[^/\n]{1,12}", fullmatch=True), st.integers(0, 10**9))
def test_cut_silence_says_its_recording_and_start(recording: str, start: int) -> None:
    assert clip_id.parse(clip_id.cut_silence(recording, start)) == ClipId("_silence_", None, recording, start)


@given(words, speakers, numbers, st.from_regex(r"[a-z]{1,9}", fullmatch=True), numbers)
def test_a_copy_says_what_its_parent_says_and_which_it_is(
    word: str, speaker: str, number: int, kind: str, copy: int
) -> None:
    for parent in (clip_id.utterance(word, speaker, number), clip_id.cut_silence(speaker, number)):
        said = clip_id.parse(parent)
        assert said.parent is None
        assert clip_id.parse(clip_id.copy(parent, kind, copy)) == replace(said, parent=parent)


@given(words, st.text(min_size=1, max_size=8).filter(lambda name: "/" not in name), st.sampled_from(["c", "my-words"]))
def test_a_named_clip_says_its_word_alone(word: str, name: str, corpus: str) -> None:
    assert clip_id.parse(clip_id.named(word, name, corpus)) == ClipId(word)
    assert clip_id.parse(clip_id.named(None, name, corpus)) == ClipId()


def test_a_named_clip_has_a_corpus() -> None:
    with pytest.raises(ValueError, match="needs the name of its corpus"):
        clip_id.named("yes", "a", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes/0a7c2a8d_nohash_1", ClipId("yes", "0a7c2a8d")),
        ("_unknown_/bird_0a7c2a8d_nohash_1", ClipId("bird", "0a7c2a8d", ready=True)),
        ("_silence_/1024", ClipId("_silence_", ready=True)),
        ("_silence_/pink_noise_00016000", ClipId("_silence_", None, "pink_noise", 16_000)),
        ("zero/george@digits_nohash_7", ClipId("zero", "george@digits")),
        ("yes/ann_1@my-words", ClipId("yes")),
        ("_clip_/1f@hey-snips", ClipId()),
        ("anything else", ClipId()),
        ("yes/speaker", ClipId()),
    ],
)
def test_each_form_says_what_it_says(text: str, expected: ClipId) -> None:
    assert clip_id.parse(text) == expected


@given(words, speakers, numbers, st.sampled_from(["", "digits", "mswc"]), st.sampled_from(["", "digits", "mswc"]))
def test_equal_names_in_two_corpora_are_two_clips_of_two_speakers(
    word: str, speaker: str, number: int, one: str, other: str
) -> None:
    ids = [clip_id.utterance(word, clip_id.of_corpus(speaker, corpus), number) for corpus in (one, other)]
    assert (ids[0] == ids[1]) == (one == other)
    assert (clip_id.parse(ids[0]).speaker == clip_id.parse(ids[1]).speaker) == (one == other)


@pytest.mark.parametrize("corpus", ["spoken_digits", "a/b", "A", "x@y"])
def test_a_corpus_whose_ids_could_not_be_read_is_refused(corpus: str) -> None:
    with pytest.raises(ValueError, match="expected a name of a-z, 0-9 and -"):
        clip_id.of_corpus("george", corpus)


def test_no_other_file_knows_how_an_id_is_written() -> None:
    """Layouts know how paths are written, and the synthetic corpora write such paths."""
    allowed = {"features/clip_id.py", "pipelines/layouts/speech_commands.py"}
    allowed |= {"pipelines/corpus/synthesis.py", "pipelines/corpus/foreign.py"}
    rooms = ("features", "stores", "readers", "results", "pipelines", "training", "reports", "registry")
    found = {
        path.relative_to(ROOT).as_posix()
        for room in rooms
        for path in Path(ROOT, room).rglob("*.py")
        if re.search(r"_nohash_[^\"'in]|:08d\}", path.read_text())
    }
    assert found <= allowed, found - allowed

"""A file's path alone says what it is in the official layout, and ids are written and read in one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.layouts import Background, Other, Role, SplitList, Utterance
from pipelines.layouts.speech_commands import LAYOUT

EXPECTED: dict[str, Role] = {
    "yes/0a7c2a8d_nohash_1.wav": Utterance("yes/0a7c2a8d_nohash_1", "yes", "0a7c2a8d"),
    "straße/x_nohash_10.wav": Utterance("straße/x_nohash_10", "straße", "x"),
    "_silence_/1024.wav": Utterance("_silence_/1024", "_silence_", ""),
    "_silence_/1024.wav.wav": Utterance("_silence_/1024", "_silence_", ""),
    "_unknown_/bird_0a7c2a8d_nohash_1.wav": Utterance("_unknown_/bird_0a7c2a8d_nohash_1", "bird", "0a7c2a8d"),
    "_unknown_/bird_0a7c2a8d_nohash_1.wav.wav": Utterance("_unknown_/bird_0a7c2a8d_nohash_1", "bird", "0a7c2a8d"),
    "_background_noise_/pink_noise.wav": Background("pink_noise"),
    "_background_noise_/0a_nohash_1.wav": Background("0a_nohash_1"),
    "validation_list.txt": SplitList("validation"),
    "testing_list.txt": SplitList("test"),
    "README.md": Other("document"),
    "LICENSE": Other("document"),
    "_background_noise_/README.md": Other("document"),
    "yes/testing_list.txt": Other("document"),
    "yes/0a7c2a8d.wav": Other("unexpected_name"),
    "yes/0a7c2a8d_nohash_1.WAV": Other("unexpected_name"),
    "yes/0a7c2a8d_nohash_1.wav.wav": Other("unexpected_name"),
    "yes/0a7c2a8d_nohash_x.wav": Other("unexpected_name"),
    "corpus/yes/0a7c2a8d_nohash_1.wav": Other("unexpected_name"),
    "0a7c2a8d_nohash_1.wav": Other("unexpected_name"),
    "/yes/0a7c2a8d_nohash_1.wav": Other("unexpected_name"),
    "../0a7c2a8d_nohash_1.wav": Other("unexpected_name"),
    "../yes/0a7c2a8d_nohash_1.wav": Other("unexpected_name"),
    "_unknown_/0a7c2a8d_nohash_1.wav": Other("unexpected_name"),
    "_else_/0a7c2a8d_nohash_1.wav": Other("unexpected_name"),
    "yes/._0a7c2a8d_nohash_1.wav": Other("unexpected_name"),
    "yes/0a7c2a8d_nohash_1.wav\n": Other("document"),
}


@pytest.mark.parametrize("path", EXPECTED)
@pytest.mark.parametrize("lead", ["", "./"])
def test_each_path_has_its_role(path: str, lead: str) -> None:
    assert LAYOUT.role(lead + path) == EXPECTED[path]


@pytest.mark.parametrize("path", [path for path in EXPECTED if "/" in path])
def test_slashes_may_lean_backward(path: str) -> None:
    assert LAYOUT.role(path.replace("/", "\\")) == EXPECTED[path]


@given(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.from_regex(r"[0-9a-f]{8}", fullmatch=True), st.integers(0, 99))
def test_the_path_of_an_utterance_is_its_id(word: str, speaker: str, number: int) -> None:
    name = f"{word}/{speaker}_nohash_{number}"
    assert LAYOUT.role(f"{name}.wav") == Utterance(name, word, speaker)


@given(st.text(max_size=40))
def test_every_path_has_a_role_and_no_id_climbs_out_of_its_folder(path: str) -> None:
    role = LAYOUT.role(path)
    if isinstance(role, Utterance):
        assert role.id.count("/") == 1 and not role.id.startswith(".")


def test_a_list_names_ids_whatever_its_line_ends_and_slashes() -> None:
    text = "yes/0a_nohash_0.wav\r\n./no/0b_nohash_1.wav\n\n  up\\0c_nohash_2.wav  \nlast/0d_nohash_3.wav"
    assert LAYOUT.listed_ids(text) == ["yes/0a_nohash_0", "no/0b_nohash_1", "up/0c_nohash_2", "last/0d_nohash_3"]

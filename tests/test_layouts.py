"""A file's path alone says what it is in each layout, and a layout is found by the names in an archive."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from miniatures import MINIATURES

from features import clip_id
from pipelines import layouts
from pipelines.layouts import Background, ClipList, Listed, Other, Role, Utterance
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
    "validation_list.txt": ClipList(),
    "testing_list.txt": ClipList(),
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
    expected = ["yes/0a_nohash_0", "no/0b_nohash_1", "up/0c_nohash_2", "last/0d_nohash_3"]
    assert list(LAYOUT.listed("./testing_list.txt", text)) == [Listed(each, "test") for each in expected]


def named(layout: str) -> layouts.Layout:
    """A layout as it is for an archive of the corpus "c"."""
    found = layouts.find(layout)
    corpus = "c" if found.corpus_name is None else found.corpus_name
    return dataclasses.replace(found, corpus=corpus, speaker="(?P<speaker>s[0-9])")


ROLES: dict[str, dict[str, Role]] = {
    "words": {
        "yes/a.wav": Utterance("yes/a@c", "yes", ""),
        "top/in/yes/a_s1.FLAC": Utterance("yes/top-in-a_s1@c", "yes", "s1@c"),
        "gru\u0308n/a.mp3": Utterance("gr\u00fcn/a@c", "gr\u00fcn", ""),
        "yes\\a.ogg": Utterance("yes/a@c", "yes", ""),
        "x/_background_noise_/rain.opus": Background("rain@c"),
        "a.wav": Other("unexpected_name"),
        "../yes/a.wav": Other("unexpected_name"),
        "/yes/a.wav": Other("unexpected_name"),
        "_silence_/a.wav": Other("unexpected_name"),
        "__MACOSX/yes/._a.wav": Other("document"),
        "yes/.a.wav": Other("document"),
        "yes/a.txt": Other("document"),
    },
    "spoken_digits": {
        "recordings/7_jackson_32.wav": Utterance("seven/jackson@digits_nohash_32", "seven", "jackson@digits"),
        "a/b/recordings/0_x_0.wav": Utterance("zero/x@digits_nohash_0", "zero", "x@digits"),
        "recordings/10_x_0.wav": Other("unexpected_name"),
        "7_jackson_32.wav": Other("unexpected_name"),
        "recordings/metadata.py": Other("document"),
    },
    "mswc": {
        "en/clips/don\u2019t/common_voice_en_1__2.opus": Utterance(
            "don\u2019t/common_voice_en_1__2@mswc", "don\u2019t", ""
        ),
        "clips/yes/a.opus": Utterance("yes/a@mswc", "yes", ""),
        "en_splits.csv": ClipList(),
        "splits/en/en_dev.csv": ClipList(),
        "en/version.txt": Other("document"),
        "en/yes/a.opus": Other("unexpected_name"),
    },
    "listed": {
        "dataset/zoom in/0001_s2_01.wav": Utterance("_clip_/zoom in-0001_s2_01@c", None, "s2@c"),
        "a.wav": Utterance("_clip_/a@c", None, ""),
        "val.csv": ClipList(),
        "labels.csv": Other("document"),
        "background_noise/street.wav": Background("street@c"),
    },
    "hey_snips": {
        "x/audio_files/1f-2.wav": Utterance("_clip_/1f-2@hey-snips", None, ""),
        "dev.json": ClipList(),
        "audio_files/a/b.wav": Other("unexpected_name"),
        "other.json": Other("document"),
    },
    "unlabeled": {
        "a/b c.mp3": Utterance("_clip_/a-b c@c", "_unlabeled_", ""),
        "s3.wav": Utterance("_clip_/s3@c", "_unlabeled_", "s3@c"),
        "a.txt": Other("document"),
    },
    "noise": {"a/b.ogg": Background("a-b@c"), "a.md": Other("document")},
    "musan": {
        "musan/noise/free-sound/noise-free-sound-0001.wav": Background("noise-free-sound-0001@musan"),
        "musan/speech/us-gov/speech-us-gov-0001.wav": Other("human_voice"),
        "musan/music/rfm/ANNOTATIONS": ClipList(),
        "musan/speech/us-gov/ANNOTATIONS": Other("document"),
        "musan/noise/noise-free-sound-0001.wav": Other("unexpected_name"),
    },
    "demand": {
        "DKITCHEN/ch01.wav": Background("DKITCHEN@demand"),
        "x/TBUS/ch16.wav": Other("other_channel"),
        "DKITCHEN/notes.wav": Other("unexpected_name"),
    },
    "fsd50k": {
        "FSD50K.eval_audio/37.wav": Background("37@fsd50k"),
        "FSD50K.ground_truth/eval.csv": ClipList(),
        "FSD50K.ground_truth/vocabulary.csv": Other("document"),
        "FSD50K.audio/37.wav": Other("unexpected_name"),
    },
}


def test_every_layout_has_its_examples() -> None:
    assert {*ROLES, "speech_commands"} == set(layouts.names())


@pytest.mark.parametrize(("layout", "path"), [(layout, path) for layout, roles in ROLES.items() for path in roles])
def test_each_path_has_its_role_in_each_layout(layout: str, path: str) -> None:
    assert named(layout).role(path) == named(layout).role(f"./{path}") == ROLES[layout][path]


segments = st.text("ab_.-@ ü1\n", min_size=1, max_size=6)


@given(
    st.sampled_from([name for name in ROLES if name != "spoken_digits"]),
    st.lists(st.one_of(segments, st.sampled_from(["clips", "audio_files", "..", ""])), min_size=1, max_size=4),
    st.sampled_from(["", ".wav", ".opus", ".csv"]),
)
def test_every_path_has_a_role_and_an_id_says_the_word_and_no_speaker(
    layout: str, parts: list[str], ending: str
) -> None:
    role = named(layout).role("/".join(parts) + ending)
    if isinstance(role, Utterance):
        said = clip_id.parse(role.id)
        assert role.id.count("/") == 1 and said.speaker is None and not said.ready
        assert said.word == (None if role.word in (None, "_unlabeled_") else role.word)


@pytest.mark.parametrize("name", MINIATURES)
def test_a_layout_is_found_in_whatever_order_the_files_come(name: str) -> None:
    small = MINIATURES[name]()
    paths = [path for path, _ in small.files]
    is_noise = small.source.get("role") == "noise"
    assert layouts.recognize(paths, is_noise) == layouts.recognize(paths[::-1], is_noise) == small.layout


def test_nothing_to_hear_is_of_no_layout() -> None:
    assert layouts.recognize(["README.md", "a/.b.wav", "__MACOSX/a/b.wav"], False) is None


def test_a_split_is_said_by_the_name_of_a_list() -> None:
    splits = {"train.csv": "train", "a/en_dev.csv": "validation", "VAL.csv": "validation", "x/test.json": "test"}
    assert {path: layouts.partition(path) for path in [*splits, "labels.csv"]} == {**splits, "labels.csv": None}

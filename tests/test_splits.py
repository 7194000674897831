"""A clip's split is a pure function of its name: the official one as published, or the speaker's hash."""

from __future__ import annotations

import re
from collections import Counter
from hashlib import blake2b
from pathlib import Path

import pytest
from corpus_tools import which_set
from hypothesis import given
from hypothesis import strategies as st

from features.splits import SPLITS, hash64, speaker_split
from pipelines.ingest.archive import read_members
from pipelines.layouts import ClipList, Listed, Utterance
from pipelines.layouts.speech_commands import LAYOUT
from pipelines.layouts.speech_commands import which_set as published

SPEAKERS = [f"{number:08x}" for number in range(0, 40_000_000, 1_999)]
ratios = st.tuples(*[st.integers(1, 200)] * 3)


@given(st.text(max_size=30), st.integers(0, 99))
def test_the_official_function_is_the_published_one(speaker: str, number: int) -> None:
    name = f"yes/{speaker}_nohash_{number}.wav"
    if "/" not in speaker and "\n" not in speaker:
        assert published(name) == which_set(name)


def test_the_official_division_is_80_10_10() -> None:
    counts = Counter(published(f"{speaker}_nohash_0.wav") for speaker in SPEAKERS)
    shares = [counts[split] / len(SPEAKERS) for split in SPLITS]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)


@given(st.from_regex("[0-9a-f]{8}", fullmatch=True), st.integers(0, 99), st.sampled_from(["yes", "./no", "up"]))
def test_a_speaker_stays_in_one_published(speaker: str, number: int, word: str) -> None:
    assert published(f"{word}/{speaker}_nohash_{number}.wav") == published(f"{speaker}_nohash_0")


def test_the_official_function_gives_the_lists_of_the_real_archive(real_archive: Path) -> None:
    listed: dict[str, str | None] = {}
    clips: list[str] = []
    with real_archive.open("rb") as file:
        for member in read_members(file, real_archive.name):
            match LAYOUT.role(member.name):
                case ClipList():
                    said = LAYOUT.listed(member.name, (member.data or b"").decode())
                    listed |= {each.id: each.split for each in said if isinstance(each, Listed)}
                case Utterance(clip_id):
                    clips.append(clip_id)
    assert len(clips) > 1_000 and len(listed) > 100
    assert {name: published(name) for name in clips} == {name: listed.get(name, "train") for name in clips}


@given(ratios, st.text(max_size=8), st.sampled_from(SPEAKERS))
def test_the_speaker_split_is_a_point_of_the_salted_hash(ratio: tuple[int, int, int], salt: str, speaker: str) -> None:
    digest = blake2b(f"{salt}\x1f{speaker}".encode(), digest_size=8).digest()
    point = int.from_bytes(digest, "big") % sum(ratio)
    borders = [ratio[0], ratio[0] + ratio[1], sum(ratio)]
    assert speaker_split(speaker, ratio, salt) == SPLITS[next(n for n, border in enumerate(borders) if point < border)]


@pytest.mark.parametrize("ratio", [(80, 10, 10), (1, 1, 1), (6, 3, 1)])
def test_the_share_of_each_split_is_its_share_of_the_ratio(ratio: tuple[int, int, int]) -> None:
    counts = Counter(speaker_split(speaker, ratio, "salt") for speaker in SPEAKERS)
    assert [counts[split] / len(SPEAKERS) for split in SPLITS] == pytest.approx(
        [n / sum(ratio) for n in ratio], abs=0.015
    )


def test_another_salt_divides_otherwise() -> None:
    divisions = [[speaker_split(speaker, (1, 1, 1), salt) for speaker in SPEAKERS[:200]] for salt in ("", "a")]
    assert divisions[0] != divisions[1]


@given(st.lists(st.text("ab1", max_size=3), min_size=1, max_size=3), st.lists(st.text("ab1", max_size=3), max_size=3))
def test_the_hash_tells_its_parts_apart(left: list[str], right: list[str]) -> None:
    assert (hash64(*left) == hash64(*right)) == (left == right or (left == [""] and not right))
    assert 0 <= hash64(*left) < 2**64


def test_the_hash_is_that_of_blake2b() -> None:
    assert hash64("gain", 3, "x") == int.from_bytes(blake2b(b"gain\x1f3\x1fx", digest_size=8).digest(), "big")


def test_no_module_of_the_pipelines_uses_pythons_salted_hash() -> None:
    for file in (Path(__file__).parent.parent / "pipelines").rglob("*.py"):
        assert not re.search(r"(?<![\w.])hash\(", file.read_text()), file

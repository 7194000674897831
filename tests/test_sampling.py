"""Clips are chosen by name and seed alone, in the numbers that the parameters ask for."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from corpus_tools import parameters, speakers, which_set
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from features.splits import SPLITS, speaker_split
from pipelines.select.config import Select
from pipelines.select.sampling import (
    Candidate,
    Group,
    candidate,
    is_from_right_archive,
    lowest,
    sample_size,
    sample_sizes,
    task_classes,
    threshold,
)

ranks = st.lists(st.integers(0, 2**63 - 1), unique=True, max_size=40)


def select_of(**changes: Any) -> Select:
    content = parameters(**{f"select__{key}": value for key, value in changes.items()})["select"]
    select: Select = TypeAdapter(Select).validate_json(json.dumps(content))
    return select


def row(clip_id: str, split: str | None = None, **more: Any) -> dict[str, Any]:
    """A row of the catalog as `ingest` writes it for a clip of the main archive."""
    word, _, name = clip_id.partition("/")
    spoken = {"word": word, "speaker": name.partition("_")[0], "split": split or which_set(clip_id)}
    return {"id": clip_id, **spoken, "recording": None, "start": None, "recording_samples": None, **more}


def silence_row(recording: str, start: int, samples: int) -> dict[str, Any]:
    clip_id = f"_silence_/{recording}_{start:08d}"
    return row(clip_id, speaker=None, split=None, recording=recording, start=start, recording_samples=samples)


def rows(words: tuple[str, ...] = ("yes", "no", "cat", "dog"), clips: int = 3) -> list[dict[str, Any]]:
    spoken = [row(f"{word}/{who}_nohash_{n}") for word in words for who in speakers() for n in range(clips)]
    return spoken + [silence_row("hum", start, 640_000) for start in range(0, 624_000, 8_000)]


def class_counts(clips: list[Candidate]) -> Counter[tuple[str, str]]:
    return Counter((each.split, each.class_name) for each in clips)


def choose(table: list[dict[str, Any]], select: Select, test_archive: bool = False) -> list[Candidate]:
    """The whole selection in one go, without Beam and tables."""
    classes = task_classes(select.classes, {r["word"] for r in table})
    found = [each for row_ in table if (each := candidate(row_, select))]
    usable = [each for each in found if is_from_right_archive(each.class_name, each.split, each.ready, test_archive)]
    counts = Counter((each.split, each.class_name) for each in usable)
    sizes = sample_sizes(select, counts, [name for name in classes if name[0] != "_"])
    limits = {}
    for group, size in sizes.items():
        of_group = [each.rank for each in usable if Group(each.split, each.class_name) == group]
        limits[group] = threshold(lowest([np.array(of_group, np.uint64)], size), size)
    return [each for each in usable if each.rank <= limits.get(Group(each.split, each.class_name), 0)]


@given(st.lists(ranks, max_size=5), st.integers(0, 50))
def test_the_lowest_ranks_are_those_of_a_global_sort_part_by_part(parts: list[list[int]], size: int) -> None:
    kept = np.empty(0, np.uint64)
    for part in parts:
        kept = lowest((kept, np.array(part, np.uint64)), size)
    everything = sorted(rank for part in parts for rank in part)
    assert sorted(kept.tolist()) == everything[:size]
    limit = threshold(kept, size)
    if len(set(everything)) == len(everything):
        assert [rank for rank in everything if rank <= limit] == everything[:size]


@pytest.mark.parametrize(
    ("rule", "expected"), [("mean", 20), ("all", 500), (0, 0), (7, 7), (0.0, 0), (0.1, 4), (1.0, 40), (0.26, 10)]
)
def test_a_sample_is_as_large_as_its_rule_says(rule: Any, expected: int) -> None:
    counts = {"yes": 30, "no": 10, "cat": 1_000, "_silence_": 500}
    assert sample_size(rule, counts, "_silence_", ("yes", "no")) == expected


def test_a_word_without_a_clip_counts_in_the_mean() -> None:
    assert sample_size("mean", {"yes": 30}, "_silence_", ("yes", "no", "up")) == 10


def test_the_mean_of_no_words_is_none() -> None:
    assert sample_size("mean", {}, "_silence_", ()) == 0


@pytest.mark.parametrize(("unknown", "silence"), [("mean", "mean"), (5, 0), (0.5, 0.25), (10**6, 10**6)])
def test_each_split_gets_the_clips_that_were_asked_for(unknown: Any, silence: Any) -> None:
    select = select_of(unknown=unknown, silence=silence)
    counts = class_counts(choose(rows(), select))
    available = class_counts(choose(rows(), select_of(unknown=10**6, silence=10**6)))
    for split in SPLITS:
        words = [counts[split, word] for word in ("yes", "no")]
        assert words == [3 * [which_set(f"{who}_nohash_0") for who in speakers()].count(split)] * 2
        for name, rule in (("_unknown_", unknown), ("_silence_", silence)):
            size = sum(words) // 2 if rule == "mean" else rule if rule >= 1 else round(rule * sum(words))
            assert counts[split, name] == min(size, available[split, name])


def test_each_split_may_have_a_rule_of_its_own_and_all_means_all() -> None:
    select = select_of(unknown={"train": "all", "validation": 3, "test": "mean"})
    counts, available = class_counts(choose(rows(), select)), class_counts(choose(rows(), select_of(unknown=10**6)))
    found = {split: counts[split, "_unknown_"] for split in SPLITS}
    mean = (counts["test", "yes"] + counts["test", "no"]) // 2
    assert found == {"train": available["train", "_unknown_"], "validation": 3, "test": mean}
    assert class_counts(choose(rows(), select_of(unknown="all"))) == available


def test_samples_are_those_of_lowest_rank() -> None:
    few, more = (choose(rows(), select_of(unknown=size, silence=size)) for size in (4, 5))
    everything = choose(rows(), select_of(unknown=10**6, silence=10**6))
    assert set(few) < set(more) < set(everything)
    for split in SPLITS:
        pool = sorted(each.rank for each in everything if (each.split, each.class_name) == (split, "_unknown_"))
        kept = sorted(each.rank for each in few if (each.split, each.class_name) == (split, "_unknown_"))
        assert kept == pool[:4]


def test_another_seed_chooses_other_unknowns_and_the_same_words() -> None:
    one, other = ({each.id for each in choose(rows(), select_of(unknown=5, seed=seed))} for seed in (0, 1))
    assert one != other
    assert {name for name in one if name[:3] in ("yes", "no/")} == {
        name for name in other if name[:3] in ("yes", "no/")
    }


@pytest.mark.parametrize("method", ["official", "speaker", "random"])
def test_clips_added_elsewhere_change_no_other_clips_split_class_or_rank(method: str) -> None:
    split = {"method": method, "ratio": [2, 1, 1], "salt": "x"}
    select = select_of(split=split, unknown=10**6, silence=10**6)
    more = [row(f"tree/{who}{n}_nohash_0") for who in speakers() for n in range(3)] + [silence_row("new", 0, 64_000)]
    table = more + rows()
    random.Random(0).shuffle(table)
    known = {each["id"] for each in rows()}
    assert {each for each in choose(table, select) if each.id in known} == set(choose(rows(), select))


@given(st.tuples(*[st.integers(1, 9)] * 3), st.text(max_size=3))
def test_no_speaker_stands_in_two_splits(ratio: tuple[int, int, int], salt: str) -> None:
    select = select_of(split={"method": "speaker", "ratio": list(ratio), "salt": salt}, unknown=10**6)
    splits_of: dict[str, set[str]] = {}
    for each in choose(rows(clips=2), select):
        if each.class_name != "_silence_":
            splits_of.setdefault(each.id.split("/")[1].split("_")[0], set()).add(each.split)
    assert splits_of == {who: {speaker_split(who, ratio, salt)} for who in speakers()}


def test_the_random_method_divides_each_clip_on_its_own_and_spreads_every_speaker() -> None:
    select = select_of(split={"method": "random", "ratio": [2, 1, 1], "salt": "x"})
    ann = [row(f"yes/ann_nohash_{n}", speaker="ann", split="train") for n in range(400)]
    splits = Counter(each.split for one in ann if (each := candidate(one, select)))
    assert [splits[split] / 400 for split in SPLITS] == pytest.approx([0.5, 0.25, 0.25], abs=0.08)


def test_the_official_method_takes_the_catalogs_split() -> None:
    listed = [row("yes/0a_nohash_0", split="validation"), row("yes/0b_nohash_0", split="test")]
    found = [candidate(each, select_of()) for each in listed]
    assert [each.split for each in found if each] == ["validation", "test"]


def test_a_silence_across_a_border_and_a_word_that_no_class_takes_are_left_out() -> None:
    select = select_of(task="digits")
    assert candidate(row("cat/0a_nohash_0"), select) is None
    assert candidate(silence_row("hum", 0, 640_000), select) is None
    assert candidate(silence_row("hum", 310_000, 640_000), select_of()) is None


def test_the_official_test_archive_gives_test_silence_and_unknowns_and_nothing_else() -> None:
    ready = [
        row("_silence_/1024", split="test", speaker=None, word="_silence_"),
        row("_unknown_/cat_0a_nohash_0", split="test", word="cat", speaker="0a"),
        row("_unknown_/yes_0a_nohash_0", split="test", word="yes", speaker="0a"),
    ]
    select = select_of(unknown=10**6, silence=10**6)
    chosen = choose(rows() + ready, select, test_archive=True)
    sampled = {each.id for each in chosen if each.split == "test" and each.class_name in ("_silence_", "_unknown_")}
    assert sampled == {"_silence_/1024", "_unknown_/cat_0a_nohash_0"}
    rest = {each for each in choose(rows(), select) if each.split != "test" or each.class_name in ("yes", "no")}
    assert {each for each in chosen if each.id not in sampled} == rest


def test_a_task_of_all_words_has_them_in_alphabetical_order() -> None:
    select = select_of()
    assert task_classes(select.tasks["words"], ["yes", "no", "_silence_", "cat"]) == ("_silence_", "cat", "no", "yes")
    assert task_classes(select.tasks["small"], ["zebra"]) == ("_silence_", "_unknown_", "yes", "no")


@pytest.mark.parametrize("method", ["official", "speaker"])
def test_where_a_corpus_has_no_division_speakers_stay_together_and_clips_of_nobody_are_spread(method: str) -> None:
    select = select_of(split={"method": method, "ratio": [2, 1, 1], "salt": ""})
    ann = [row(f"yes/{n}@c", speaker="ann@c", split=None) for n in range(40)]
    nobody = [row(f"yes/{n}@d", speaker=None, split=None) for n in range(40)]
    split_of = {each.id: each.split for one in (*ann, *nobody) if (each := candidate({**one, "split": None}, select))}
    assert len(split_of) == 80 and len({split_of[one["id"]] for one in ann}) == 1
    assert {split_of[one["id"]] for one in nobody} == {"train", "validation", "test"}


def test_the_official_division_is_kept_beside_a_corpus_without_one() -> None:
    select = select_of(split={"method": "official", "ratio": [2, 1, 1], "salt": ""})
    for split in ("train", "validation", "test"):
        found = candidate(row("yes/a_nohash_0", split=split), select)
        assert found and found.split == split


def test_clips_without_a_label_are_no_word_of_a_task_of_all_words() -> None:
    select = select_of(tasks={"small": {"words": "all", "silence": False, "unknown": False}})
    assert task_classes(select.classes, ["yes", "_unlabeled_", "_silence_"]) == ("yes",)
    assert candidate(row("_clip_/1@c", word="_unlabeled_", speaker=None), select) is None

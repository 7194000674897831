"""Archives and descriptions that contradict themselves: what is said of them, and that nothing is taken in silence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Call
from corpus_tools import assert_refused, clips_of, prepare, speakers, table, tar_gz, voice, wav, write_raw

from base.command import printable
from base.errors import DataError
from features.labels import is_line
from pipelines.archives import read_corpus

TRAIN, VALIDATION, TEST = speakers()[0], speakers()[8], speakers()[11]
GOOD = [(f"yes/{who}_nohash_0.wav", wav(voice(n))) for n, who in enumerate(speakers())]


def reasons(folder: Path) -> dict[str, str]:
    return {row["path"]: row["reason"] for row in table(folder / "clips" / "rejects.parquet")}


def test_ready_silence_and_unknown_words_count_in_a_test_archive_alone(tmp_path: Path, call: Call) -> None:
    ready = [("_silence_/x.wav", wav(voice(90))), (f"_unknown_/cat_{TEST}_nohash_0.wav", wav(voice(91)))]
    prepare(tmp_path, [*GOOD, *ready], ingest__max_reject_fraction=0.5)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert len(clips_of(tmp_path / "clips")) == len(GOOD)
    assert reasons(tmp_path) == dict.fromkeys((name for name, _ in ready), "ready_clip")
    prepare(tmp_path / "two", GOOD, ready)
    assert call(tmp_path / "two", "ingest", "raw", "clips").code == 0
    assert len(clips_of(tmp_path / "two" / "clips")) == len(GOOD) + 2


def test_a_whole_archive_of_ready_clips_that_is_no_test_archive_is_refused(tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, [*GOOD[:2], ("_silence_/x.wav", wav(voice(90)))])
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), "_silence_/x.wav: ready_clip", "give this one role: test")


def test_a_clip_that_two_lists_put_into_different_splits_is_rejected(tmp_path: Path, call: Call) -> None:
    both, (other, _) = GOOD[0][0], GOOD[1]
    lists = [
        ("validation_list.txt", f"{both}\n{both}\n".encode()),
        ("testing_list.txt", f"{other}\n{both}\n".encode()),
    ]
    prepare(tmp_path, [*GOOD, *lists], ingest__max_reject_fraction=0.1)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    (reject,) = table(tmp_path / "clips" / "rejects.parquet")
    assert (reject["path"], reject["reason"]) == (both, "listed_twice")
    assert "validation_list.txt has split validation, testing_list.txt has test" in reject["detail"]
    splits = {row["id"]: row["split"] for row in table(tmp_path / "clips" / "catalog.parquet")}
    assert splits.pop(other[:-4]) == "test" and set(splits.values()) == {"train"}


def test_clips_that_lists_name_and_no_archive_has_are_counted_and_one_is_named(tmp_path: Path, call: Call) -> None:
    absent = "".join(f"no/{TRAIN}_nohash_{n}.wav\n" for n in range(7))
    prepare(tmp_path, [*GOOD, ("testing_list.txt", f"{GOOD[0][0]}\n{absent}".encode())])
    outcome = call(tmp_path, "ingest", "raw", "clips")
    assert outcome.code == 0
    said = [line for line in outcome.stderr.splitlines() if line.startswith("warning")]
    assert len(said) == 1 and "no archive has 7 of the clips that lists name, such as no/" in said[0]
    assert said[0].endswith("of testing_list.txt")


UNPRINTABLE = ("ye\ns", "ye\u2028s", "ye\x1b[2Js", "yes ", "y\x85es", "\x7f")


def test_names_that_do_not_fit_a_line_become_no_clip(tmp_path: Path, call: Call) -> None:
    bad = [(f"{word}/{TRAIN}_nohash_{n}.wav", wav(voice(n))) for n, word in enumerate(UNPRINTABLE)]
    bad.append((f"yes/{TRAIN}\nx_nohash_0.wav", wav(voice(50))))
    noise = ("_background_noise_/hum\nrain.wav", wav(voice(51, 20_000)))
    prepare(tmp_path, [*GOOD, *bad, noise], ingest__max_reject_fraction=0.5, ingest__silence__hop_ms=1000)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert len(clips_of(tmp_path / "clips")) == len(GOOD)
    assert len(reasons(tmp_path)) == len(bad) + 1
    assert set(reasons(tmp_path).values()) == {"unprintable_name"}


@pytest.mark.parametrize("name", ["", " ", " a", "a\n", "\ud800", "a\rb", "\u2029"])
def test_what_is_no_line_of_its_own(name: str) -> None:
    assert not is_line(name)


@pytest.mark.parametrize("name", ["yes", "hey snips", "да", "_silence_", "कुत्ता", "a\u200db", "😀"])
def test_words_of_every_script_are_lines(name: str) -> None:
    assert is_line(name)


@pytest.mark.parametrize("word", ["a\nb", "_silence_", "_unknown_", "a\x1b[1m"])
def test_a_list_with_a_word_that_can_be_none_is_refused(word: str, tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, [("clips/a.wav", wav(voice(1))), ("train.csv", f'file,class\nclips/a.wav,"{word}"\n'.encode())])
    archive = tar_gz([("clips/a.wav", wav(voice(1))), ("train.csv", f'file,class\na.wav,"{word}"\n'.encode())])
    write_raw(tmp_path / "raw", {"archive0.tar.gz": archive}, layout="listed", corpus="mine")
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), "train.csv is not the list", "the word", "can't be one")


def test_words_of_a_task_are_lines(tmp_path: Path, call: Call) -> None:
    classes = {"words": ["yes", "n\no"], "silence": False, "unknown": False}
    prepare(tmp_path, GOOD, select__tasks__small=classes)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert_refused(call(tmp_path, "select", "clips", "selection.parquet"), "words name 'n\\no'")


WRONG: dict[str, Any] = {
    "no table": [],
    "null": None,
    "archives of another type": {"archives": "archive0.tar.gz"},
    "an archive of another type": {"archives": [3]},
    "negative bytes": {"bytes": -1},
    "bytes as text": {"bytes": "12"},
    "bytes as a fraction": {"bytes": 1.5},
    "no hash": {"sha256": "0" * 63},
    "a path": {"file": "../archive0.tar.gz"},
    "an unknown role": {"role": "train"},
    "a number as source": {"source": 1},
    "a layout that is a path": {"layout": "../layouts"},
    "a corpus that spoils ids": {"layout": "words", "corpus": "A B"},
    "a broken expression": {"speaker": "("},
    "an expression without a group": {"speaker": "(.*)"},
    "an unknown key": {"colour": "red"},
    "a key too few": {"role": ...},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_corpus_description_of_wrong_types_is_refused_in_one_short_sentence(what: str, tmp_path: Path) -> None:
    write_raw(tmp_path, {"archive0.tar.gz": b"x"})
    described = json.loads((tmp_path / "corpus.json").read_text())
    if isinstance(WRONG[what], dict) and "archives" not in WRONG[what]:
        described["archives"][0] |= WRONG[what]
        described["archives"] = [{k: v for k, v in each.items() if v is not ...} for each in described["archives"]]
    else:
        described = WRONG[what]
    (tmp_path / "corpus.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match=r"corpus\.json does not describe archives \(") as caught:
        read_corpus(str(tmp_path))
    assert len(str(caught.value)) < 600 and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 10, "", "\x00", '{"archives": []}', '"\xff'])
def test_a_corpus_description_that_is_no_json_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "corpus.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"corpus\.json describes no archive|corpus\.json does not describe archives"):
        read_corpus(str(tmp_path))


def test_an_archive_of_another_size_than_described_is_refused(tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, GOOD[:1])
    write_raw(tmp_path / "raw", {"archive0.tar.gz": tar_gz(GOOD[:1])}, bytes=10**30)
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), "bytes, but corpus.json says 10000")


def test_a_message_can_not_steer_a_terminal() -> None:
    assert printable("bad\x1b[2J\n name \ud800 \u2028é") == r"bad\x1b[2J name \ud800 é"


def test_an_unknown_layout_is_named(tmp_path: Path, call: Call) -> None:
    prepare(tmp_path, GOOD[:1])
    write_raw(tmp_path / "raw", {"archive0.tar.gz": tar_gz(GOOD[:1])}, layout="absent")
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), "there is no layout 'absent'")

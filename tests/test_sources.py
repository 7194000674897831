"""Several sources at once are one corpus: ids never collide, and the same audio in two archives is kept once."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import ONE_WORKER, Call
from corpus_tools import (
    assert_refused,
    contents,
    corpus_clips,
    corpus_files,
    environment,
    kill_at,
    run_stage,
    table,
    tar_gz,
    voice,
    wav,
    write_parameters,
)
from miniatures import encoded, spoken_digits, write_archive

Files = list[tuple[str, bytes]]


def ingested(folder: Path, call: Call, sources: dict[str, Files], **changes: object) -> Path:
    """The store of clips of some archives in folder/given, by the command lines."""
    for name, files in sources.items():
        write_archive(folder / "given" / name, files)
    write_parameters(folder, corpus__sources=[f"given/{name}" for name in sources], **changes)
    for stage, *arguments in (("corpus", "raw"), ("ingest", "raw", "clips")):
        outcome = call(folder, stage, *arguments)
        assert outcome.code == 0, outcome.stderr
    return folder / "clips"


def shards(store: Path) -> dict[str, str]:
    return {name: sha256 for name, sha256 in contents(store).items() if "tfrecord" in name}


def rejects(store: Path) -> dict[str, tuple[str, str]]:
    return {row["path"]: (row["reason"], row["archive"]) for row in table(store / "rejects.parquet")}


@pytest.mark.parametrize("names", [("a.tgz", "b.zip"), ("b.tar.gz", "a")], ids=["tgz and zip", "tar.gz and folder"])
def test_two_halves_of_an_archive_are_the_whole(
    names: tuple[str, str], finished: Path, tmp_path: Path, call: Call
) -> None:
    given = [(name.removeprefix("./"), data) for name, data in corpus_files()]
    store = ingested(tmp_path, call, {names[0]: given[::2], names[1]: given[1::2]})
    assert shards(store) == shards(finished / "clips")
    mine, whole = (table(each / "catalog.parquet") for each in (store, finished / "clips"))
    assert [{**row, "archive": ""} for row in mine] == [{**row, "archive": ""} for row in whole]
    assert len({row["archive"] for row in mine}) == 2


def test_one_folder_and_its_tar_and_zip_give_the_same_shards(tmp_path: Path, call: Call) -> None:
    given = [(f"{n}/{k}.wav", wav(voice(10 * n + k, 8_000))) for n in range(2) for k in range(4)]
    found = [shards(ingested(tmp_path / name, call, {name: given})) for name in ("words", "words.tgz", "words.zip")]
    assert found[0] == found[1] == found[2] and len(found[0]) == 3


def test_the_hash_of_a_folder_is_that_of_its_names_and_contents_alone(tmp_path: Path, call: Call) -> None:
    given = [("yes/a.wav", b"1"), ("no/b.wav", b"2"), ("no/.hidden", b"3")]
    described = []
    for place, files in (("one", given), ("two", given[::-1]), ("three", [("yes/a.wav", b"1"), ("no/b.wav", b"4")])):
        write_archive(tmp_path / place / "given", files)
        os.utime(tmp_path / place / "given/yes/a.wav", (0, len(described)))
        write_parameters(tmp_path / place, corpus__sources=["given"])
        assert call(tmp_path / place, "corpus", "raw").code == 0
        described += json.loads((tmp_path / place / "raw/corpus.json").read_text())["archives"]
    one, two, three = described
    assert one == two and one["file"] == "given.tar" and one["layout"] == "words"
    assert one["sha256"] != three["sha256"]


def test_the_same_audio_in_two_archives_is_kept_once_under_its_first_name(tmp_path: Path, call: Call) -> None:
    one, other, own, quiet = voice(1), voice(2), voice(3), np.zeros(8_000, np.int16)
    store = ingested(
        tmp_path,
        call,
        {
            "first.zip": [("yes/a.wav", wav(one)), ("yes/twice.wav", wav(one)), ("no/b.wav", wav(quiet))],
            "second": [("yes/a.flac", encoded(one, "flac")), ("no/c.wav", wav(quiet)), ("no/d.wav", wav(own))],
            "third.tgz": [("no/e.wav", wav(own)), ("no/f.wav", wav(other))],
        },
    )
    assert {row["id"] for row in table(store / "catalog.parquet")} == {
        "yes/a@first", "yes/twice@first", "no/b@first", "no/c@second", "no/d@second", "no/f@third"
    }  # fmt: skip
    found = {row["path"]: row for row in table(store / "rejects.parquet")}
    assert {path: row["reason"] for path, row in found.items()} == {
        "yes/a.flac": "same_audio",
        "no/e.wav": "same_audio",
    }
    assert found["yes/a.flac"]["detail"] == "the same audio is kept as yes/a@first, of first.zip"
    assert found["no/e.wav"]["detail"] == "the same audio is kept as no/d@second, of second.tar"


def test_a_name_in_two_archives_is_kept_once_and_other_audio_of_it_is_told(tmp_path: Path, call: Call) -> None:
    first = [("yes/a_nohash_0.wav", wav(voice(1))), ("yes/b_nohash_0.wav", wav(voice(2)))]
    second = [first[0], ("yes/b_nohash_0.wav", wav(voice(3))), ("yes/c_nohash_0.wav", wav(voice(2)))]
    store = ingested(tmp_path, call, {"1.zip": first, "2.zip": second}, ingest__max_reject_fraction=0.5)
    assert {row["id"] for row in table(store / "catalog.parquet")} == {"yes/a_nohash_0", "yes/b_nohash_0"}
    assert rejects(store) == {
        "yes/a_nohash_0.wav": ("repeated", "2.zip"),
        "yes/b_nohash_0.wav": ("id_taken", "2.zip"),
        "yes/c_nohash_0.wav": ("same_audio", "2.zip"),
    }


def test_equal_names_in_two_corpora_are_two_clips_of_two_speakers(tmp_path: Path, call: Call) -> None:
    for name in ("given/one", "given/other"):
        write_archive(tmp_path / name, [("yes/ann_1.wav", wav(voice(len(name))))])
    sources = [{"path": name, "speaker": "(?P<speaker>[a-z]+)_"} for name in ("given/one", "given/other")]
    write_parameters(tmp_path, corpus__sources=sources)
    assert call(tmp_path, "corpus", "raw").code == call(tmp_path, "ingest", "raw", "clips").code == 0
    rows = {row["id"]: row["speaker"] for row in table(tmp_path / "clips/catalog.parquet")}
    assert rows == {"yes/ann_1@one": "ann@one", "yes/ann_1@other": "ann@other"}


def two_sources(folder: Path) -> None:
    """A params.yaml and a raw folder of two archives that share audio."""
    given = corpus_files()
    renamed = [(name.replace("_nohash_0", "_nohash_7"), data) for name, data in given[1:30]]
    for name, files in (("a.tar.gz", given), ("b.tar.gz", renamed)):
        write_archive(folder / "given" / name, files)
    write_parameters(folder, corpus__sources=["given/a.tar.gz", "given/b.tar.gz"])


def test_two_sources_killed_between_steps_and_taken_up_by_two_workers_give_the_same_bytes(
    tmp_path: Path, call: Call
) -> None:
    two_sources(tmp_path)
    assert call(tmp_path, "corpus", "raw").code == call(tmp_path, "ingest", "raw", "whole").code == 0
    command = [sys.executable, "-m", "pipelines.ingest", "raw", "clips", ONE_WORKER]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    kill_at(process, tmp_path / "clips" / "_work", "*/fingerprint-*.json")
    assert not (tmp_path / "clips" / "manifest.json").exists()
    assert run_stage(tmp_path, "ingest", "raw", "clips", "--direct_num_workers=2").code == 0
    assert contents(tmp_path / "clips") == contents(tmp_path / "whole")
    assert [reason for reason, _ in rejects(tmp_path / "whole").values()] == ["same_audio"] * 29
    found = {row["id"] for row in table(tmp_path / "whole/catalog.parquet") if not row["recording"]}
    assert found == set(corpus_clips())


def test_a_damaged_file_of_a_zip_archive_is_rejected_and_a_damaged_list_stops_the_stage(
    tmp_path: Path, call: Call
) -> None:
    sound = wav(voice(1, 4_000))
    for flipped, name in ((sound, "words"), (b"SET,LINK,VALID,SPEAKER\n", "lists")):
        files = [("xx/clips/yes/a.wav", sound), ("xx/clips/no/b.opus", encoded(voice(2, 4_000), "opus"))]
        files += [("xx/xx_splits.csv", b"SET,LINK,VALID,SPEAKER\nTRAIN,yes/a.wav,True,s\nDEV,no/b.opus,True,t\n")]
        place = tmp_path / name / "given/xx.zip"
        place.parent.mkdir(parents=True)
        with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as archive:
            for path, data in files:
                archive.writestr(path, data)
        content = bytearray(place.read_bytes())
        content[content.index(flipped) + len(flipped) // 2] ^= 1
        place.write_bytes(content)
        write_parameters(tmp_path / name, corpus__sources=["given/xx.zip"], ingest__max_reject_fraction=0.5)
        assert call(tmp_path / name, "corpus", "raw").code == 0
    assert call(tmp_path / "words", "ingest", "raw", "clips").code == 0
    assert rejects(tmp_path / "words/clips") == {"xx/clips/yes/a.wav": ("damaged", "xx.zip")}
    assert_refused(call(tmp_path / "lists", "ingest", "raw", "clips"), "xx/xx_splits.csv lists clips and can't be read")


WRONG_LISTS = {
    "another header": (b"a,b\n1,2\n", "its header 'a,b' lacks SET, LINK, VALID, SPEAKER"),
    "a short line": (b"SET,LINK,VALID,SPEAKER\nTRAIN,yes/a.opus\n", "line 2 has fewer fields than the header"),
    "another set": (b"SET,LINK,VALID,SPEAKER\nX,yes/a.opus,True,s\n", "SET 'X' and LINK 'yes/a.opus', expected TRAIN"),
    "another link": (b"SET,LINK,VALID,SPEAKER\nDEV,a.opus,True,s\n", "SET 'DEV' and LINK 'a.opus', expected TRAIN"),
    "nothing": (b"", "its header '' lacks SET"),
}


@pytest.mark.parametrize("what", WRONG_LISTS)
def test_a_list_that_is_none_stops_the_stage_in_one_sentence(what: str, tmp_path: Path, call: Call) -> None:
    content, message = WRONG_LISTS[what]
    write_archive(tmp_path / "given/xx.tgz", [("xx/clips/yes/a.opus", b""), ("xx/xx_splits.csv", content)])
    write_parameters(tmp_path, corpus__sources=["given/xx.tgz"])
    assert call(tmp_path, "corpus", "raw").code == 0
    assert_refused(call(tmp_path, "ingest", "raw", "clips"), "xx/xx_splits.csv is not the list that", message)


def test_a_wrong_layout_ends_in_one_sentence_that_says_what_the_archive_looks_like(tmp_path: Path, call: Call) -> None:
    spoken_digits().write(tmp_path / "given")
    write_parameters(tmp_path, corpus__sources=[{"path": "given/digits.tar.gz", "layout": "hey_snips"}])
    assert call(tmp_path, "corpus", "raw").code == 0
    assert_refused(
        call(tmp_path, "ingest", "raw", "clips"),
        "digits.tar.gz has no clip named audio_files/anything.wav, with train.json; it begins with: release-1.0/README",
        "and looks like the layout spoken_digits; its layout in corpus.sources is hey_snips, the layouts are demand",
    )


def test_lists_may_stand_in_an_archive_of_their_own(tmp_path: Path, call: Call) -> None:
    clips = [(f"en/clips/yes/{n}.opus", encoded(voice(n, 4_000), "opus")) for n in range(2)]
    lists = [
        (
            "en_splits.csv",
            b"SET,LINK,WORD,VALID,SPEAKER,GENDER\nTEST,yes/0.opus,yes,True,a,X\nDEV,yes/1.opus,yes,True,b,X",
        )
    ]
    store = ingested(tmp_path, call, {"audio.tgz": clips, "splits.tgz": lists})
    rows = {row["id"]: (row["speaker"], row["split"]) for row in table(store / "catalog.parquet")}
    assert rows == {"yes/0@mswc": ("a@mswc", "test"), "yes/1@mswc": ("b@mswc", "validation")}


def test_a_large_archive_without_clips_is_refused_whatever_its_format(tmp_path: Path, call: Call) -> None:
    for name, data in (("a.tar.gz", tar_gz([("x.txt", b"")])), ("a.tar", gzip.decompress(tar_gz([("x.txt", b"")])))):
        (tmp_path / name).write_bytes(data)
        write_parameters(tmp_path, corpus__sources=[name])
        outcome = call(tmp_path, "corpus", "raw")
        assert_refused(outcome, f"{name} has no audio file that a layout knows; it begins with: x.txt; the layouts are")


def test_the_real_digits_are_six_speakers_of_five_hundred_clips(real_digits: Path, tmp_path: Path, call: Call) -> None:
    write_parameters(tmp_path, corpus__sources=[str(real_digits)])
    assert call(tmp_path, "corpus", "raw").code == call(tmp_path, "ingest", "raw", "clips").code == 0
    rows = table(tmp_path / "clips/catalog.parquet")
    assert len(rows) == 3_000 and not rejects(tmp_path / "clips")
    assert set(Counter(row["word"] for row in rows).values()) == {300}
    people = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    assert Counter(row["speaker"] for row in rows) == {f"{name}@digits": 500 for name in people}
    assert {(row["rate"], row["split"]) for row in rows} == {(8_000, None)}

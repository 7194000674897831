"""An uncompressed archive is read in parts, which together give what one pass over it gives, byte by byte."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ONE_WORKER, Call
from corpus_tools import (
    assert_refused,
    contents,
    corpus_files,
    environment,
    kill_at,
    speakers,
    table,
    tar_gz,
    voice,
    wav,
    write_parameters,
    write_raw,
)

from base import files, params
from pipelines.archives import read_corpus
from pipelines.ingest import parts, scatter
from pipelines.ingest.config import Ingest
from pipelines.ingest.ingest import ingest
from pipelines.ingest.parts import Part, divide, read
from pipelines.ingest.tar import Member

PART_BYTES = 150_000


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_BYTES", PART_BYTES)


def tar(members: list[tuple[str, bytes]]) -> bytes:
    return gzip.decompress(tar_gz(members))


def difficult_files() -> list[tuple[str, bytes]]:
    """The small corpus and, at its end, two of its first clips once more, one with other audio, and unusable files."""
    good = corpus_files()
    assert all(name.endswith(".wav") for name, _ in good[1:3])
    return [
        *good,
        good[1],
        (good[2][0], wav(voice(500))),
        ("yes/0b_nohash_0.wav", b"no sound"),
        ("yes/0b.wav", wav(voice(501))),
    ]


def write_both(folder: Path, content: list[tuple[str, bytes]]) -> None:
    """Two folders with a params.yaml: in `one` some files as a .tar.gz, in `parts` as a .tar."""
    for name, archives in (("one", {"a.tar.gz": tar_gz(content)}), ("parts", {"a.tar": tar(content)})):
        write_parameters(folder / name, ingest__max_reject_fraction=0.5)
        write_raw(folder / name / "raw", archives)


def parts_of(raw: Path) -> list[Part]:
    return divide(read_corpus(str(raw)), str(raw))


def members(raw: Path, part: Part) -> list[tuple[str, bytes | None]]:
    return [(each.name, each.data) for each in read(part, str(raw), lambda _: None)]


@contextmanager
def recorded_reading() -> Iterator[list[int]]:
    """The numbers of the parts that workers read."""
    indices: list[int] = []

    def recorded(part: Part, *more: Any) -> Generator[Member, None, None]:
        indices.append(part.index)
        return read(part, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scatter, "read", recorded)
        yield indices


def assert_same_stores(compressed: Path, divided: Path) -> None:
    """Two stores are the same but for the name and the facts of their archive."""
    one, other = contents(compressed), contents(divided)
    tables = ("catalog.parquet", "rejects.parquet")
    for name in tables:
        assert [row | {"archive": "a.tar"} for row in table(compressed / name)] == table(divided / name)
    own = {"manifest.json", "SHA256SUMS", *tables}
    assert {k: v for k, v in one.items() if k not in own} == {k: v for k, v in other.items() if k not in own}
    manifests = [json.loads((store / "manifest.json").read_text()) for store in (compressed, divided)]
    assert [[each["file"] for each in manifest.pop("archives")] for manifest in manifests] == [["a.tar.gz"], ["a.tar"]]
    assert manifests[0]["shards"] == manifests[1]["shards"]


def test_the_parts_of_an_archive_hold_its_members_in_order_and_each_is_large_enough(tmp_path: Path) -> None:
    given = corpus_files()
    write_raw(tmp_path, {"a.tar": tar(given), "b.tar.gz": tar_gz(given), "c.tar": tar(given[:2]), "d.tar": tar(given)})
    found = parts_of(tmp_path)
    assert [part.index for part in found] == list(range(len(found)))
    of_each = [
        [part for part in found if part.archive.file == name] for name in ("a.tar", "b.tar.gz", "c.tar", "d.tar")
    ]
    assert [part for each in of_each for part in each] == found
    assert len(of_each[0]) == len(of_each[3]) > 10 and len(of_each[1]) == len(of_each[2]) == 1
    assert [file for part in of_each[0] for file in members(tmp_path, part)] == given
    assert all(part.bytes >= PART_BYTES for part in of_each[0][:-1])
    assert all(part.bytes < PART_BYTES + 350_000 for part in of_each[0])
    assert sum(part.bytes for part in of_each[0]) == (tmp_path / "a.tar").stat().st_size


def test_an_archive_has_no_more_parts_than_files_can_be_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [(f"yes/{number:08x}_nohash_0.wav", b"") for number in range(2_000)]
    write_raw(tmp_path, {"a.tar": tar(clips)})
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    found = parts_of(tmp_path)
    assert 200 < len(found) <= 256
    assert [file for part in found for file in members(tmp_path, part)] == clips


def test_an_archive_in_object_storage_has_the_same_parts(tmp_path: Path) -> None:
    write_raw(tmp_path, {"a.tar": tar(corpus_files())})
    remote = f"memory://{tmp_path.name}"
    for name in ("a.tar", "corpus.json"):
        with files.published(f"{remote}/{name}") as file:
            file.write((tmp_path / name).read_bytes())
    found = divide(read_corpus(remote), remote)
    assert found == parts_of(tmp_path)
    here, there = (list(read(found[5], raw, lambda _: None)) for raw in (str(tmp_path), remote))
    assert here == there != []


def test_an_archive_in_parts_gives_the_same_store_as_one_in_one_piece(tmp_path: Path, call: Call) -> None:
    write_both(tmp_path, difficult_files())
    assert len(parts_of(tmp_path / "parts/raw")) > 10
    for name in ("one", "parts"):
        assert call(tmp_path / name, "ingest", "raw", "clips").code == 0
    assert_same_stores(tmp_path / "one/clips", tmp_path / "parts/clips")
    reasons = {row["path"]: row["reason"] for row in table(tmp_path / "parts/clips/rejects.parquet")}
    assert sorted(reasons.values()) == ["id_taken", "not_wave", "repeated", "unexpected_name"]


def test_two_workers_write_the_same_bytes_as_one(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    write_both(tmp_path, difficult_files())
    assert call(tmp_path / "parts", "ingest", "raw", "clips").code == 0
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    ingest("raw", "two", params.load("ingest", Ingest), ("--direct_num_workers=2",))
    assert contents(tmp_path / "parts/two") == contents(tmp_path / "parts/clips")


@pytest.mark.parametrize("place", [0, 20, 99])
def test_the_lists_of_an_archive_count_for_all_its_parts(place: int, tmp_path: Path, call: Call) -> None:
    """The lists say other splits than the official function."""
    clips = [(f"yes/{who}_nohash_{n}.wav", wav(voice(n))) for n in range(3) for who in speakers()]
    listed = {clips[0][0]: "validation", clips[30][0]: "test", clips[41][0]: "validation"}
    given = list(clips)
    for split, file in (("validation", "validation_list.txt"), ("test", "testing_list.txt")):
        given.insert(place, (file, "\n".join(name for name in listed if listed[name] == split).encode()))
    write_both(tmp_path, given)
    assert len(parts_of(tmp_path / "parts/raw")) > 5
    for name in ("one", "parts"):
        assert call(tmp_path / name, "ingest", "raw", "clips").code == 0
    rows = table(tmp_path / "parts/clips/catalog.parquet")
    assert {row["id"]: row["split"] for row in rows} == {name[:-4]: listed.get(name, "train") for name, _ in clips}
    assert_same_stores(tmp_path / "one/clips", tmp_path / "parts/clips")


def test_a_run_killed_between_two_parts_goes_on_with_the_others(tmp_path: Path, call: Call) -> None:
    write_both(tmp_path, difficult_files())
    folder, count = tmp_path / "parts", len(parts_of(tmp_path / "parts/raw"))
    assert call(folder, "ingest", "raw", "whole").code == 0
    program = f"from pipelines.ingest import ingest, parts; parts.PART_BYTES = {PART_BYTES}; ingest.main()"
    command = [sys.executable, "-c", program, "raw", "clips", ONE_WORKER]
    process = subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.DEVNULL)
    work = folder / "clips" / "_work"
    kill_at(process, work, "*/scatter-*.json")
    finished = {int(path.stem.removeprefix("scatter-")) for path in work.glob("*/scatter-*.json")}
    assert 0 < len(finished) < count and not list(work.glob("*/seal-*.json"))
    with recorded_reading() as indices:
        assert call(folder, "ingest", "raw", "clips").code == 0
    assert sorted(indices) == sorted(set(range(count)) - finished)
    assert contents(folder / "clips") == contents(folder / "whole")


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "one bit flipped": (
        lambda good: good[:400_000] + bytes([good[400_000] ^ 4]) + good[400_001:],
        "a.tar has SHA-256",
    ),
    "cut in half": (lambda good: good[: len(good) // 2], "a.tar is cut short"),
    "without its end mark": (lambda good: good[: -(-len(good.rstrip(b"\0")) // 512) * 512], "a.tar is cut short"),
    "a damaged header": (lambda good: good.replace(b"./no/", b"./mo/"), "a.tar is damaged"),
    "twice": (lambda good: good + good, "a.tar is damaged"),
    "gzip": (gzip.compress, "a.tar is a gzip file, expected an uncompressed archive"),
    "no clip": (lambda _: tar([("README.md", bytes(400_000))] * 2), "a.tar has no clip named word/"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_before_a_part_is_read(damage: str, tmp_path: Path, call: Call) -> None:
    good = tar(corpus_files())
    change, message = DAMAGE[damage]
    write_parameters(tmp_path)
    bad = change(good)
    facts = {"bytes": len(good), "sha256": hashlib.sha256(good).hexdigest()} if damage != "no clip" else {}
    write_raw(tmp_path / "raw", {"a.tar": bad}, **facts)
    with recorded_reading() as indices:
        assert_refused(call(tmp_path, "ingest", "raw", "clips"), message)
    assert not indices and not (tmp_path / "clips").exists()


def test_an_archive_that_changes_while_it_is_read_gives_no_store_and_the_right_one_the_same_bytes(
    tmp_path: Path, call: Call
) -> None:
    write_both(tmp_path, difficult_files())
    folder = tmp_path / "parts"
    assert call(folder, "ingest", "raw", "whole").code == 0
    good = (folder / "raw/a.tar").read_bytes()

    def divide_and_cut(*given: Any) -> list[Part]:
        found = divide(*given)
        (folder / "raw/a.tar").write_bytes(good[: found[3].start + 1_000])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.ingest.ingest.divide", divide_and_cut)
        assert_refused(call(folder, "ingest", "raw", "clips"), "a.tar is cut short")
    assert not (folder / "clips/manifest.json").exists()
    (folder / "raw/a.tar").write_bytes(good)
    with recorded_reading() as indices:
        assert call(folder, "ingest", "raw", "clips").code == 0
    assert indices and not {0, 1, 2} & set(indices)
    assert contents(folder / "clips") == contents(folder / "whole")

"""Each byte of a small store's manifest, catalog, statistics and metadata is changed: it is never read as another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from training_store import feature_store

from base.errors import DataError
from readers import hashes
from readers.store import open_store
from registry.verify.checks import verify
from stores.manifest import MANIFEST_FILE, STATISTICS_FILE, SUMS_FILE, read_manifest

MASKS = (0x01, 0x20, 0x80)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(feature_store(tmp_path_factory.mktemp("small"), counts={"train": 2, "validation": 1, "test": 1}).path)


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "store"))


def is_refused(store: Path) -> bool:
    """Whether opening or the comparison of hashes refuses a store; the only other outcome is a store."""
    try:
        open_store(store, verify="hashes")
    except DataError as error:
        assert len(str(error)) < 1_000 + len(str(store))
        return True
    return False


def changes(content: bytes, stride: int) -> list[tuple[int, int]]:
    return [(place, MASKS[place % len(MASKS)]) for place in range(0, len(content), stride)]


def test_hashes_of_an_untouched_store_hold(store: Path) -> None:
    assert open_store(store, verify="hashes").counts == {"train": 2, "validation": 1, "test": 1}


def every_byte_is_noticed(store: Path, stride: int) -> int:
    """Change bytes of each file in turn, one in `stride`; of shards, whose records have checksums, a few alone."""
    tried = 0
    for path in sorted(store.iterdir()):
        content = path.read_bytes()
        for place, mask in changes(content, 500 if ".tfrecord" in path.name else stride):
            path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
            assert is_refused(store), (path.name, place, mask)
            tried += 1
        path.write_bytes(content)
    assert not is_refused(store)
    return tried


def test_some_bytes_of_every_file_are_changed_and_noticed(store: Path) -> None:
    assert every_byte_is_noticed(store, stride=61) > 200


@pytest.mark.slow
def test_every_byte_of_every_file_is_changed_and_noticed(store: Path) -> None:
    tried = every_byte_is_noticed(store, stride=1)
    print(f"{tried} bytes")
    assert tried > 10_000


@pytest.mark.parametrize("stride", [997, pytest.param(211, marks=pytest.mark.slow)])
def test_a_changed_byte_of_a_description_is_refused_on_opening_or_named_by_verify(store: Path, stride: int) -> None:
    for path in sorted(each for each in store.iterdir() if ".tfrecord" not in each.name):
        content = path.read_bytes()
        for place, mask in changes(content, stride):
            path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
            try:
                found = verify(open_store(store), lambda _: None)
            except DataError:
                assert path.name == MANIFEST_FILE
            else:
                assert path.name in {problem.place.file for problem in found.problems}, (path.name, place)
        path.write_bytes(content)
    assert not verify(open_store(store), lambda _: None).problems


def test_changed_statistics_are_refused_whatever_was_changed(store: Path) -> None:
    path = store / STATISTICS_FILE
    content = path.read_bytes()
    for place, mask in changes(content, 31):
        path.write_bytes(content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :])
        with pytest.raises(DataError, match=r"statistics\.json is not the file that the manifest names"):
            open_store(store).statistics()


def test_statistics_without_a_hash_in_the_manifest_are_refused(store: Path) -> None:
    edit(store, lambda found: found["tables"].pop(STATISTICS_FILE))
    with pytest.raises(DataError, match=r"statistics\.json is not the file that the manifest names"):
        open_store(store).statistics()


def edit(store: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((store / MANIFEST_FILE).read_text())
    change(content)
    (store / MANIFEST_FILE).write_text(json.dumps(content))


WRONG: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no shards": lambda found: found.update(shards=[]),
    "shards of another type": lambda found: found.update(shards={}),
    "negative records": lambda found: found["shards"][0].update(records=-5),
    "records as a text": lambda found: found["shards"][0].update(records="5"),
    "records as a fraction": lambda found: found["shards"][0].update(records=1.5),
    "negative bytes": lambda found: found["shards"][0].update(bytes=-1),
    "a shard elsewhere": lambda found: found["shards"][0].update(file="../a-b.tfrecord-00000-of-00001"),
    "a shard with a newline": lambda found: found["shards"][0].update(file="a-b\n.tfrecord-00000-of-00001"),
    "a shard twice": lambda found: found["shards"].append(found["shards"][0]),
    "no hash": lambda found: found["shards"][0].update(sha256="0" * 63),
    "a split that is a path": lambda found: found["shards"][0].update(split="../train"),
    "a table elsewhere": lambda found: found["tables"].update({"../../x": "0" * 64}),
    "a table's hash of another type": lambda found: found["tables"].update({STATISTICS_FILE: None}),
    "a version that is none": lambda found: found.update(version="1.0"),
    "a name that is a path": lambda found: found.update(name="../small"),
    "a class with a newline": lambda found: found["task"].update(classes=["a\nb", "c"]),
    "a class twice": lambda found: found["task"].update(classes=["a", "a"]),
    "classes as a text": lambda found: found["task"].update(classes="yes"),
    "negative counts": lambda found: found["task"]["counts"]["train"].update(yes=-1),
    "no task": lambda found: found.update(task=None),
    "an archive of negative bytes": lambda found: found["archives"][0].update(bytes=-1),
    "an archive elsewhere": lambda found: found["archives"][0].update(file="/etc/passwd"),
    "archives of another type": lambda found: found.update(archives=3),
    "a definition that is a list": lambda found: found.update(definition=[]),
    "a number that is none": lambda found: found["definition"].update(floor_db=float("nan")),
    "frames of no length": lambda found: found["definition"].update(frame_ms=0),
    "a key that is unknown": lambda found: found.update(colour="red"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_manifest_of_wrong_types_is_refused_in_one_short_sentence(what: str, store: Path) -> None:
    edit(store, WRONG[what])
    with pytest.raises(DataError, match=r"manifest\.json.*make the store again") as caught:
        open_store(store)
    assert len(str(caught.value)) < 600 + len(str(store)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_description_nested_without_end_is_refused(depth: int, store: Path) -> None:
    text = (store / MANIFEST_FILE).read_text()
    (store / MANIFEST_FILE).write_text(
        text.replace('"clip_parameters": {', '"clip_parameters": {"a":' + "[" * depth, 1)
    )
    with pytest.raises(DataError, match="is not a valid manifest"):
        open_store(store)
    (store / MANIFEST_FILE).write_text(
        text.replace('"clip_parameters": {}', f'"clip_parameters": {{"a": {"[" * depth}{"]" * depth}}}', 1)
    )
    with pytest.raises(DataError, match="is not a valid manifest"):
        open_store(store)


def test_hashes_are_remembered_until_a_file_changes(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    compute = hashes.files.sha256
    monkeypatch.setattr(hashes.files, "sha256", lambda path: (read.append(path), compute(path))[1])
    open_store(store, verify="hashes")
    first = len(read)
    assert first == len(list(store.iterdir())) - 1  # all but the sums
    open_store(store, verify="hashes")
    open_store(store)
    assert len(read) == first
    shard = store / open_store(store).manifest.shards[0].file
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + b"x")
    with pytest.raises(DataError, match=rf"{shard.name} is not the file that was written: make the store again"):
        open_store(store, verify="hashes")
    shard.write_bytes(content)
    open_store(store, verify="hashes")
    shard.unlink()
    with pytest.raises(DataError, match=rf"{shard.name} is missing"):
        open_store(store, verify="hashes")


def test_a_manifest_changed_after_it_was_written_is_named_by_the_comparison_of_hashes(store: Path) -> None:
    manifest = (store / MANIFEST_FILE).read_text()
    (store / MANIFEST_FILE).write_text(manifest.replace('"yes"', '"yea"'))
    assert read_manifest(str(store)).classes[2] == "yea"
    with pytest.raises(DataError, match=r"manifest\.json is not the file that was written"):
        open_store(store, verify="hashes")
    (store / MANIFEST_FILE).write_text(manifest)
    (store / SUMS_FILE).unlink()
    with pytest.raises(DataError, match="has no SHA256SUMS to compare its files with"):
        open_store(store, verify="hashes")
    with pytest.raises(DataError, match=r"verify is 'sums', expected \"hashes\" or None"):
        open_store(store, verify="sums")  # type: ignore[arg-type]


def test_the_sums_are_those_that_sha256sum_checks(store: Path) -> None:
    import subprocess

    done = subprocess.run(["sha256sum", "--check", "--strict", SUMS_FILE], cwd=store, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == len(list(store.iterdir())) - 1

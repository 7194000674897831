"""Stores on Hadoop's file system, a real one on this machine: every stage, the bytes of a local disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from corpus_tools import Outcome, assert_refused, contents, corpus_files, prepare
from hadoop_server import running
from storage_tools import STAGES, run_module, run_stages, start_and_kill

from base import conditional, files
from base.claim import claimed, work_of_folder
from base.errors import DataError
from base.remote import place_of
from base.remote_folders import below
from benchmarks import engine_parts
from benchmarks.flink_cluster import free_port
from readers import open_store

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty file system."""
    try:
        jars = engine_parts.hadoop()
    except DataError as error:
        pytest.skip(str(error))
    with running(jars, tmp_path_factory.mktemp("hadoop")) as started:
        yield started


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the small corpus, and in `data` what the stages make of it on a disk."""
    folder = tmp_path_factory.mktemp("storage")
    prepare(folder, corpus_files(), ingest__shards=4)
    run_stages(folder, "data")
    return folder


@pytest.fixture(scope="module")
def data(address: str, home: Path) -> str:
    """Where the stages have made the same on Hadoop's file system."""
    run_stages(home, f"{address}/data")
    return f"{address}/data"


def found(path: str) -> dict[str, str]:
    """Every file below a path: path → SHA-256."""
    system, root = place_of(path)
    return {
        each.removeprefix(f"{root}/"): hashlib.sha256(system.cat_file(each)).hexdigest() for each in system.find(root)
    }


def test_every_stage_makes_the_same_files_as_on_a_disk_and_leaves_no_other(home: Path, data: str) -> None:
    assert found(data) == contents(home / "data")
    assert files.names(data) == files.names(str(home / "data"))  # no folder of unfinished work


def test_stores_are_read_as_from_a_disk(home: Path, data: str) -> None:
    local, far = (open_store(f"{root}/features/mfcc", verify="hashes") for root in (home / "data", data))
    for name, values in local.numpy("train").load().items():
        assert (far.numpy("train").load()[name] == values).all()
    for one, other in zip(local.dataset("train", 4, seed=1), far.dataset("train", 4, seed=1), strict=True):
        assert all((one[name].numpy() == other[name].numpy()).all() for name in one)
    for arguments in (("verify",), ("describe",)):
        one, other = (run_module(home, "registry", *arguments, store.path) for store in (local, far))
        assert (other.returncode, one.returncode) == (0, 0), other.stderr
        assert other.stdout.replace(data, str(home / "data")) == one.stdout


def test_a_killed_run_is_resumed_and_leaves_nothing_half_written(home: Path, address: str) -> None:
    output = f"{address}/killed/clips"
    left = start_and_kill(home, output)
    sealed = {path: files.state(path) for path in left if "/seal-" in path}
    for folder in (sorted(sealed)[0].rpartition("/")[0], f"{output}/_work"):
        files.write_text(f"{folder}/.file.0.part", "half of it")
    run_stages(home, f"{address}/killed", STAGES[:1])
    assert sealed and found(output) == contents(home / "data" / "clips")


def test_a_file_has_its_name_only_when_it_is_whole(address: str) -> None:
    path = f"{address}/whole/file"
    files.write_text(path, "before")
    with pytest.raises(KeyboardInterrupt), files.published(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    with files.published(path) as file:
        file.write(b"x" * (3 << 20))
        assert files.read_text(path) == "before"
    assert files.size(path) == 3 << 20
    assert [each.removeprefix(address) for each in below(f"{address}/whole")] == ["/whole/file"]


def test_of_several_that_create_a_file_at_once_one_alone_succeeds(address: str) -> None:
    path = f"{address}/created/file"
    made: list[bytes] = []

    def create(number: int) -> None:
        if conditional.create(path, str(number).encode()):
            made.append(str(number).encode())

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert made == [files.read_bytes(path)]
    assert len(below(f"{address}/created")) == 1


def test_a_second_run_is_refused(address: str) -> None:
    output = f"{address}/locked/clips"
    work = work_of_folder(output)
    with claimed(output, work, lambda: None):
        refused = pytest.raises(DataError, match="is being written by process ")
        with refused, claimed(output, work, lambda: None):
            pass
    assert not files.exists(f"{work}/lock")


def test_a_server_that_is_not_there_is_one_sentence(home: Path) -> None:
    done = run_module(home, "registry", "describe", f"hdfs://localhost:{free_port()}/clips")
    assert_refused(Outcome(done.returncode, done.stderr), "Connection refused")


def test_fsspec_opens_these_addresses_by_the_client_without_java() -> None:
    assert fsspec.get_filesystem_class("hdfs").__module__ == "hdfs_native.fsspec"

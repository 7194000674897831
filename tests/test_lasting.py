"""What has its name is on the disk: the order in which a stage writes, waits for the disk, and renames."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Call
from corpus_tools import contents, write_parameters

from base import boot, files
from pipelines.engine import work as work_module
from pipelines.engine.work import begin_store


class Disk:
    """Notes what is synced and renamed; a file that is not synced since it was written has only its name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: set[int] = set()
        self.folders: set[str] = set()
        self.renamed: list[tuple[str, bool]] = []
        fsync, replace = os.fsync, os.replace

        def noting_fsync(descriptor: int) -> None:
            fsync(descriptor)
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                self.folders.add(os.path.realpath(f"/proc/self/fd/{descriptor}"))
            else:
                self.synced.add(found.st_ino)

        def noting_replace(source: Any, target: Any) -> None:
            self.renamed.append((os.path.abspath(target), os.stat(source).st_ino in self.synced))
            replace(source, target)

        monkeypatch.setattr(os, "fsync", noting_fsync)
        monkeypatch.setattr(os, "replace", noting_replace)


def test_a_lasting_file_is_on_the_disk_before_it_has_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    files.write_text(str(tmp_path / "lasting"), "x", lasting=True)
    files.write_text(str(tmp_path / "passing"), "x")
    assert disk.renamed == [(str(tmp_path / "lasting"), True), (str(tmp_path / "passing"), False)]
    assert disk.folders == {str(tmp_path)}


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has the call")
def test_the_kernel_begins_to_write_out_a_file_early_and_one_that_has_gone_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "shard"
    path.write_bytes(bytes(100_000))
    assert files._begin_sync(str(path)) == 0
    before = threading.active_count()
    files.begin_sync(str(tmp_path / "gone"))
    while threading.active_count() > before:
        time.sleep(0.01)


def test_every_file_of_an_output_is_on_the_disk_before_it_takes_its_place(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Call
) -> None:
    write_parameters(tmp_path)
    (tmp_path / "raw").symlink_to(finished / "raw")
    disk = Disk(monkeypatch)
    assert call(tmp_path, "ingest", "raw", "clips").code == 0
    assert call(tmp_path, "select", "clips", "selection.parquet").code == 0
    assert call(tmp_path, "extract", "clips", "selection.parquet", "features/mfcc").code == 0
    placed = {name: lasting for name, lasting in disk.renamed if "/_work/" not in name}
    assert set(placed) == {str(tmp_path / name) for name in contents(tmp_path)} - {
        str(tmp_path / "params.yaml"),
        *(str(tmp_path / name) for name in contents(tmp_path) if name.startswith("raw/")),
    }
    assert all(placed.values())
    (view,) = (tmp_path / "features" / "mfcc").iterdir()
    assert {str(tmp_path / "clips"), str(tmp_path), str(view)} <= disk.folders
    manifest = [name for name, _ in disk.renamed if name.startswith(f"{view}/") and "/_work/" not in name][-1]
    assert manifest == f"{view}/manifest.json"


def test_unfinished_work_from_before_a_restart_of_the_machine_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = begin_store(str(tmp_path / "clips"), {"shards": 3})
    files.write_text(work.report_path("seal", 0), "{}")
    assert work.reports("seal") == begin_store(str(tmp_path / "clips"), {"shards": 3}).reports("seal") == 1
    restarted = tmp_path / "boot_id"
    restarted.write_text("another start\n")
    monkeypatch.setattr(boot, "_BOOT_ID", restarted)
    assert begin_store(str(tmp_path / "clips"), {"shards": 3}).reports("seal") == 0


def test_a_whole_output_that_has_not_taken_its_place_outlives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = begin_store(str(tmp_path / "clips"), {})
    files.write_text(work.path("committed.json"), "{}")
    restarted = tmp_path / "boot_id"
    restarted.write_text("another start\n")
    monkeypatch.setattr(boot, "_BOOT_ID", restarted)
    assert work_module.is_committed(begin_store(str(tmp_path / "clips"), {}))

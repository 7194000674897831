"""The metadata of a Parquet file are read once by a process, and again where another file has taken its place."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stores.tables import open_table, read_table, write_row_groups, write_table

SCHEMA = pa.schema([("id", pa.string())])


def table(*names: str) -> pa.Table:
    return pa.table([list(names)], schema=SCHEMA)


def test_a_file_in_the_place_of_another_is_read_as_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    for names in (("a",), ("b",), ("c", "d"), ()):
        write_table(path, table(*names))
        for _ in range(2):
            assert read_table(path).column("id").to_pylist() == list(names)


def test_the_metadata_of_many_row_groups_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "a.parquet")
    write_row_groups(path, (table(str(number)) for number in range(50)), SCHEMA)
    read: list[str] = []
    metadata = pq.read_metadata
    monkeypatch.setattr(pq, "read_metadata", lambda file: (read.append(path), metadata(file))[1])
    for number in range(50):
        with open_table(path) as file:
            assert file.read_row_group(number).column("id").to_pylist() == [str(number)]
    assert read == [path]

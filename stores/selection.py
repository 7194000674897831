"""The selection: the table of a task's clips, (id, label, split), with one row group for each clip shard."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Final

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from base import files
from base.errors import DataError
from base.types import first_problem
from stores.lineage import Task
from stores.tables import open_table

SELECTION_SCHEMA: Final = pa.schema([("id", pa.string()), ("label", pa.int32()), ("split", pa.string())])
_KEY: Final = b"selection"


def schema_of(task: Task) -> pa.Schema:
    """The schema of a task's selection, which holds the task."""
    return SELECTION_SCHEMA.with_metadata({_KEY: json.dumps(asdict(task))})


def read_task(selection: str) -> Task:
    """How the clips of a selection were chosen.

    Raises:
        DataError: there is no such file, or it is no selection.
    """
    if not files.is_file(selection):
        raise DataError(f"{selection} is missing: run `python -m pipelines.select` first")
    with open_table(selection) as file:
        metadata = file.schema_arrow.metadata or {}
    if _KEY not in metadata:
        raise DataError(f"{selection} is not a selection: run `python -m pipelines.select` again")
    try:
        task: Task = TypeAdapter(Task).validate_json(metadata[_KEY])
    except ValidationError as error:
        what = f"{selection} says nothing valid of its task ({first_problem(error)})"
        raise DataError(f"{what}: run `python -m pipelines.select` again") from error
    return task


def foreign_file(path: str) -> str | None:
    """A path, if there is something at it that is no selection, of whatever code."""
    if not files.exists(path):
        return None
    try:
        with open_table(path) as file:
            return None if _KEY in (file.schema_arrow.metadata or {}) else path
    except DataError:
        return path

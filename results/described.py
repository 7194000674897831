"""Reads the JSON file that says what a finished folder holds, and says what is wrong where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from base.errors import DataError
from base.files import read_bytes

T = TypeVar("T")


def is_described(place: Path, expected_format: str) -> bool:
    """Whether a file describes a folder in a format of ours, of whatever version."""
    try:
        found = json.loads(read_bytes(str(place)))["format"]
        return isinstance(found, str) and found.partition("/")[0] == expected_format.partition("/")[0]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def read_described(place: Path, kind: type[T], expected_format: str, name: str, stage: str) -> T:
    """What the file says.

    Args:
        place: the file, in the folder that it describes; it is written last.
        kind: the type of its content, a dataclass with the field `format`.
        expected_format: the value of that field.
        name: what the folder is, such as "model".
        stage: what writes it, such as "train".

    Raises:
        DataError: the file is missing, damaged, or of another format.
    """
    try:
        text = read_bytes(str(place))
        content = json.loads(text)
        found = content.get("format") if isinstance(content, dict) else None
        if found not in (None, expected_format):
            raise DataError(f"{place}: format {found!r}, expected {expected_format!r}; {stage} again")
        described: T = TypeAdapter(kind).validate_json(text)
    except DataError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"{place.parent} is not a finished {name}: it has no {place.name}; run {stage}") from error
    except (ValueError, RecursionError, ValidationError) as error:
        raise DataError(f"{place} is not a valid description of the {name}: {error}; {stage} again") from error
    return described

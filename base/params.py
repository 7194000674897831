"""Reads one section of params.yaml into a frozen dataclass and checks it strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from base.errors import DataError

PARAMS_FILE: Final = Path("params.yaml")
T = TypeVar("T")


def load(section: str, kind: type[T], path: Path = PARAMS_FILE) -> T:
    """Read and check a section of the parameters.

    Args:
        section: its name, with dots for a part of one, such as "train.fit".
        kind: what it must be: a dataclass with the configuration `base.types.STRICT`, or any type that pydantic checks.
        path: the YAML file.

    Raises:
        DataError: the file is missing or not YAML, a key is unknown or missing, or a value has a wrong type or range.
    """
    return check(part_of(read_yaml(path), section, path), section, kind, path)


def check(content: Any, section: str, kind: type[T], path: Path = PARAMS_FILE) -> T:
    """Parameters that were read before, checked as `load` does.

    Args:
        content: plain lists, mappings, texts and numbers.
        section: the name that errors give to it.
        kind: as for `load`.
        path: the file that errors name.

    Raises:
        DataError: a key is unknown or missing, or a value has a wrong type or range.
    """
    try:
        text = json.dumps(content)  # from JSON pydantic takes lists for tuples and is strict in all else
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} must hold texts, numbers, lists and names for them only: {error}") from error
    try:
        checked: T = TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        problems = "; ".join(_explain(section, content, problem) for problem in error.errors())
        raise DataError(f"{path}: {problems}") from error
    return checked


def to_plain(section: Any) -> Any:
    """A checked section as plain lists, mappings, texts and numbers."""
    plain: Any = TypeAdapter(type(section)).dump_python(section, mode="json")
    return plain


def read_yaml(path: Path) -> Any:
    """The content of a YAML 1.2 file, as DVC reads and writes it: `yes` and `off` are words, not truth values.

    Raises:
        DataError: the file is missing or not YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the command in the project's root") from error
    except (YAMLError, UnicodeDecodeError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not valid YAML: {error}") from error


def part_of(content: Any, section: str, path: Path = PARAMS_FILE) -> Any:
    """A section of a file's content.

    Raises:
        DataError: it is missing, or what should hold it is no table of keys.
    """
    place = content
    for depth, key in enumerate(names := section.split(".")):
        if not isinstance(place, dict):
            above = ".".join(names[:depth]) or "top level"
            raise DataError(f"{path}: {above}: got {place!r}, expected a table of keys")
        if key not in place:
            raise DataError(f"{path}: {'.'.join(names[: depth + 1])} is missing: add it")
        place = place[key]
    return place


def _explain(section: str, content: Any, problem: ErrorDetails) -> str:
    place = ".".join([section, *_keys(content, problem)])
    match problem["type"]:
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{place} is missing: add it"
        case "unexpected_keyword_argument" | "extra_forbidden":
            return f"{place} is not a known key: remove it or correct its spelling"
        case "value_error":
            return f"{place}: {problem['msg'].removeprefix('Value error, ')}"
        case _:
            return f"{place}: got {problem['input']!r}, {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _keys(content: Any, problem: ErrorDetails) -> Iterator[str]:
    """The keys that lead to a problem; pydantic also names the member of a union that it tried."""
    place = content
    for part in problem["loc"]:
        if part in (place if isinstance(place, dict) else range(len(place)) if isinstance(place, list) else ()):
            yield str(part)
            place = place[part]
        elif part == problem["loc"][-1] and "missing" in problem["type"]:
            yield str(part)

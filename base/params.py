"""Reads one section of params.yaml into a frozen dataclass and checks it strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent

from base.errors import DataError

PARAMS_FILE: Final = Path("params.yaml")
LARGEST_BYTES: Final = 1 << 20
DEEPEST: Final = 30
MOST_NODES: Final = 100_000
T = TypeVar("T")

_LONGEST: Final = 300
_LONGEST_VALUE: Final = 100
_PROBLEMS_SHOWN: Final = 5


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
    for place, value in _no_plain_values(content, section):
        raise DataError(f"{path}: {place}: got {_shown(value)}, expected texts, finite numbers, lists and tables only")
    try:
        # from JSON pydantic takes lists for tuples and is strict in all else
        checked: T = TypeAdapter(kind).validate_json(json.dumps(content))
    except ValidationError as error:
        found = [_brief(_explain(section, content, problem)) for problem in error.errors()]
        more = [f"and {len(found) - _PROBLEMS_SHOWN} more"] if len(found) > _PROBLEMS_SHOWN else []
        raise DataError(f"{path}: {'; '.join(found[:_PROBLEMS_SHOWN] + more)}") from error
    return checked


def to_plain(section: Any) -> Any:
    """A checked section as plain lists, mappings, texts and numbers."""
    plain: Any = TypeAdapter(type(section)).dump_python(section, mode="json")
    return plain


def read_yaml(path: Path) -> Any:
    """The content of a YAML 1.2 file, as DVC reads and writes it: `yes` and `off` are words, not truth values.

    Raises:
        DataError: the file is missing or not YAML, or beyond any that people write: larger than `LARGEST_BYTES`, nested
            deeper than `DEEPEST`, or with more than `MOST_NODES` values once its aliases are replaced.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise DataError(f"{path} has {size} bytes, expected at most {LARGEST_BYTES}: is it the right file?")
        text = path.read_text(encoding="utf-8")
        yaml = YAML(typ="safe", pure=True)
        yaml.Composer = _Composer
        return yaml.load(text)
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run the command in the project's root") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        said = " ".join(filter(None, (error.context, error.problem))) if mark is error.context_mark else error.problem
        raise DataError(f"{path}{place}: not valid YAML: {_brief(said)}") from error
    except DataError:
        raise
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        raise DataError(f"{path} is not valid YAML: {_brief(error)}") from error


class _Composer(Composer):
    """Composes values and stops at those that nobody writes: by aliases, a few lines can stand for any number of them.

    Attributes:
        nodes: values so far, with aliases replaced.
    """

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self._depth = self.nodes = 0
        self._nodes_of: dict[int, int] = {}

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Compose a value and all within it.

        Raises:
            YAMLError: it is nested too deep, has too many values, or holds an alias of itself.
        """
        mark = self.parser.peek_event().start_mark
        is_alias, before = self.parser.check_event(AliasEvent), self.nodes
        self._depth += 1
        if self._depth > DEEPEST:
            raise ComposerError(problem=f"lists and tables are nested deeper than {DEEPEST}", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias and id(node) not in self._nodes_of:
            raise ComposerError(problem="an alias stands in what it stands for", problem_mark=mark)
        self.nodes += self._nodes_of[id(node)] if is_alias else 1
        self._nodes_of[id(node)] = self.nodes - before
        if self.nodes > MOST_NODES:
            problem = f"there are more than {MOST_NODES} values, with aliases replaced"
            raise ComposerError(problem=problem, problem_mark=mark)
        return node


def _no_plain_values(content: Any, place: str) -> Iterator[tuple[str, Any]]:
    """The values that JSON can't hold, each with its place."""
    if isinstance(content, dict):
        for key, value in content.items():
            if not isinstance(key, str | int | float | None):
                yield place, key
            yield from _no_plain_values(value, f"{place}.{key}")
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _no_plain_values(value, f"{place}.{index}")
    elif isinstance(content, float):
        if not math.isfinite(content):
            yield place, content
    elif not isinstance(content, str | int | None):
        yield place, content


def _shown(value: object) -> str:
    """A value as it was written, or the beginning of a long one."""
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def _brief(message: object) -> str:
    """A message in one line of bounded length."""
    text = " ".join(str(message).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def part_of(content: Any, section: str, path: Path = PARAMS_FILE) -> Any:
    """A section of a file's content.

    Raises:
        DataError: it is missing, or what should hold it is no table of keys.
    """
    place = content
    for depth, key in enumerate(names := section.split(".")):
        if not isinstance(place, dict):
            above = ".".join(names[:depth]) or "top level"
            raise DataError(f"{path}: {above}: got {_shown(place)}, expected a table of keys")
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
            return f"{place}: got {_shown(problem['input'])}, {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _keys(content: Any, problem: ErrorDetails) -> Iterator[str]:
    """The keys that lead to a problem; pydantic also names the member of a union that it tried."""
    place = content
    for part in problem["loc"]:
        if part in (place if isinstance(place, dict) else range(len(place)) if isinstance(place, list) else ()):
            yield str(part)
            place = place[part]
        elif part == problem["loc"][-1] and "missing" in problem["type"]:
            yield str(part)

"""What a system is: a YAML file that says which of the project's parameters it changes, and what was published."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic.dataclasses import dataclass

from base import params
from base.errors import DataError
from base.types import STRICT, Name

FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, config=STRICT, kw_only=True)
class System:
    """A published system.

    Attributes:
        title: what it is.
        original: the published figure, and on which data.
        corpus: which of the corpora given on the command line it takes.
        params: what takes the place of values in params.yaml, by the same keys. Its `models` are all models that are
            trained, and `views` follows from them.
        variants: further replacements by name; each variant is a chain of its own. None is one chain without a name.
    """

    title: str
    original: str
    corpus: Literal["speech_commands", "spoken_digits"]
    params: dict[str, Any]
    variants: dict[Name, dict[str, Any]] = field(default_factory=lambda: {"": {}})


def names() -> list[str]:
    """The systems that there are, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> System:
    """A system by its name.

    Raises:
        DataError: there is none, or its file is not valid.
    """
    if name not in names():
        raise DataError(f"there is no system {name!r}; systems/ has {', '.join(names())}")
    path = FOLDER / f"{name}.yaml"
    content = params.read_yaml(path)
    system: System = params.check(content, name, System, path)
    return system


def parameters(project: Mapping[str, Any], system: System, variant: str, source: str, commands: str) -> dict[str, Any]:
    """The content of params.yaml for a variant of a system.

    Args:
        project: the project's own.
        system: the system.
        variant: one of its variants.
        source: the entry of `corpus.sources`.
        commands: the task that takes the place of `commands`, for a corpus that lacks some of its words.
    """
    own = merged(system.params, system.variants[variant])
    content = merged({**project, "models": {}}, own)
    content["views"] = list(dict.fromkeys(model["source"] for model in content["models"].values()))
    content["corpus"]["sources"] = [source]
    if content["select"]["task"] == "commands":
        content["select"]["task"] = commands
    return content


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables of values; where both have a table, these are merged likewise, else the second one's value counts."""
    found = dict(copy.deepcopy(below))
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(found.get(key), Mapping)
        found[key] = merged(found[key], value) if both else copy.deepcopy(value)
    return found

"""The threshold of each word as a stream test chose it, for commands that listen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import click
from pydantic import Field, TypeAdapter, ValidationError

from base.errors import DataError
from base.files import read_json

thresholds_option = click.option(
    "--thresholds", "tested", type=click.Path(path_type=Path), help="Of each word: stream.json of a stream test."
)
"""Of commands that listen."""

_Share = Annotated[float, Field(ge=0, le=1)]
_THRESHOLDS: Final[TypeAdapter[dict[str, float]]] = TypeAdapter(Annotated[dict[str, _Share], Field(min_length=1)])


def read_thresholds(path: Path, words: Sequence[str]) -> dict[str, float]:
    """The threshold of each word as a stream test chose it.

    Args:
        path: the file stream.json of the stream test.
        words: of the model.

    Raises:
        DataError: the file is missing, has no thresholds, or has one of a word that the model has not.
    """
    try:
        found = _THRESHOLDS.validate_python(read_json(str(path))["thresholds"])
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: run serving.stream_test") from error
    except (ValidationError, KeyError, TypeError) as error:
        raise DataError(f"{path} has no thresholds of words: expected stream.json of serving.stream_test") from error
    if others := sorted(found.keys() - set(words)):
        raise DataError(f"{path} has a threshold of {others[0]!r}; the model has the words {', '.join(words)}")
    return found

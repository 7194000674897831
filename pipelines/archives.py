"""What `corpus` and `ingest` agree on: the formats of archives, and corpus.json, which says what a raw folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final, Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from base import files
from base.errors import DataError
from base.types import STRICT, first_problem
from stores.lineage import Archive

CORPUS_FILE: Final = "corpus.json"
GZIP_MAGIC: Final = b"\x1f\x8b"

ArchiveFormat: TypeAlias = Literal["tar.gz", "tar", "zip"]
FORMATS: Final[dict[str, ArchiveFormat]] = {".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar": "tar", ".zip": "zip"}
"""How the names of archives end."""


@dataclass(frozen=True, config=STRICT)
class _Corpus:
    archives: tuple[Archive, ...]


def format_of(file: str) -> ArchiveFormat | None:
    """The format of an archive by its name, or None where the name says none."""
    return next((kind for ending, kind in FORMATS.items() if file.endswith(ending)), None)


def write_corpus(raw: str, archives: Sequence[Archive]) -> None:
    """Write corpus.json, which marks a raw folder as complete."""
    text = files.to_json({"archives": [asdict(archive) for archive in archives]})
    files.write_text(files.join(raw, CORPUS_FILE), text)


def read_corpus(raw: str) -> tuple[Archive, ...]:
    """The archives of a raw folder.

    Raises:
        DataError: there is no corpus.json, it does not describe archives, or one of them is missing.
    """
    archives = described(raw)
    for archive in archives:
        if not files.is_file(files.join(raw, archive.file)):
            raise DataError(f"{files.join(raw, archive.file)} is missing: {_again(raw)}")
    return archives


def described(raw: str) -> tuple[Archive, ...]:
    """The archives of a raw folder as corpus.json describes them, whether they are there or not.

    Raises:
        DataError: there is no corpus.json, or it does not describe archives.
    """
    place, again = files.join(raw, CORPUS_FILE), _again(raw)
    if not files.is_file(place):
        raise DataError(f"{place} is missing: run `python -m pipelines.corpus {raw}` first")
    try:
        archives = TypeAdapter(_Corpus).validate_json(files.read_bytes(place)).archives
    except ValidationError as error:
        raise DataError(f"{place} does not describe archives ({first_problem(error)}): {again}") from error
    if not archives:
        raise DataError(f"{place} describes no archive: {again}")
    if len({archive.file for archive in archives}) < len(archives):
        raise DataError(f"{place} describes an archive twice: {again}")
    return archives


def _again(raw: str) -> str:
    return f"run `python -m pipelines.corpus {raw}` again"

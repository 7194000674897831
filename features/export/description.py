"""What the descriptions of an export say: its columns, splits and files, where they come from, and the licence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from features.export.plan import Plan
from features.metadata import to_json

_ENGLISH_CORPORA: Final = frozenset(
    {"synthetic", "speech_commands_v0.01", "speech_commands_v0.02", "speech_commands_test_set_v0.02"}
)
_LICENCES: Final = {
    "CC BY 4.0": ("cc-by-4.0", "https://creativecommons.org/licenses/by/4.0/"),
    "CC0-1.0": ("cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
}


@dataclass(frozen=True)
class Column:
    """One column of the tables.

    Attributes:
        name: its name.
        kind: what it holds.
        meaning: in words, units included.
    """

    name: str
    kind: Literal["text", "label", "integer", "array", "audio"]
    meaning: str


@dataclass(frozen=True)
class File:
    """One file of tables: its path below the folder of the export, split, and what is in it."""

    path: str
    split: str
    clips: int
    bytes: int
    uncompressed_bytes: int
    sha256: str


@dataclass(frozen=True)
class Described:
    """An export and its finished files, for the descriptions.

    Attributes:
        plan: what was exported.
        columns: the columns of the tables, in order.
        files: the files of tables, in order.
    """

    plan: Plan
    columns: tuple[Column, ...]
    files: tuple[File, ...]

    @property
    def license_id(self) -> str:
        """The licence as Hugging Face names it."""
        known = self.plan.store.manifest.license
        return "unknown" if known is None else _LICENCES.get(known, ("other", known))[0]

    @property
    def license_url(self) -> str:
        """The licence's address, its name where that is all that is known, or "unknown"."""
        known = self.plan.store.manifest.license
        return "unknown" if known is None else _LICENCES.get(known, ("other", known))[1]

    @property
    def language(self) -> str | None:
        """Code of the spoken language, or None if unknown."""
        sources = {archive.get("source") for archive in self.plan.store.manifest.source.get("archives", [])}
        return "en" if sources and sources <= _ENGLISH_CORPORA else None

    @property
    def citation(self) -> str:
        """How to name exactly this data."""
        store = self.plan.store
        return f"{store.name} {store.version}, keyword-spotting store, manifest SHA-256 {store.manifest.sha256}"

    @property
    def lineage(self) -> tuple[tuple[str, str], ...]:
        """(what, SHA-256) of everything that the export was made from."""
        manifest = self.plan.store.manifest
        found = [(f"archive `{each['file']}`", each["sha256"]) for each in manifest.source.get("archives", [])]
        if clips := manifest.task.get("clips_manifest_sha256"):
            found.append(("manifest of the clips", clips))
        if definition := manifest.parameters.get("definition_sha256"):
            found.append(("definition of the view", definition))
        return (*found, ("manifest of the store", self.plan.store.manifest.sha256))

    @property
    def definition(self) -> str | None:
        """The view's parameters as JSON, or None for clips."""
        content = self.plan.store.manifest.definition
        return None if content is None else to_json(content).rstrip()


def describe(plan: Plan, folder: Path, files: Mapping[str, str]) -> Described:
    """Describe the finished files of an export.

    Args:
        plan: what was exported.
        folder: where to.
        files: path below the folder → split, in order.
    """
    return Described(plan, _columns(plan), tuple(_file(folder, path, split) for path, split in files.items()))


def _columns(plan: Plan) -> tuple[Column, ...]:
    label = [Column("label", "label", "index into the class names")] if plan.store.classes else []
    padded = f"all {plan.shape[0]:,} samples at {plan.store.rate_hz:,} Hz, padding after the first `length`"
    if plan.has_audio:
        tensor = Column("audio", "audio", f"{str(plan.audio).upper()}, 16 bits a sample: {padded}")
    else:
        frames, coefficients = plan.shape
        tensor = Column(plan.store.tensor, "array", f"float32, {frames} frames × {coefficients} coefficients")
    return (
        Column("id", "text", "word/speaker_nohash_index, as in the archive"),
        *label,
        Column("word", "text", "the word spoken, `_silence_` for background noise"),
        Column("speaker", "text", "the speaker's id, empty for silence"),
        Column("length", "integer", f"real samples at {plan.store.rate_hz:,} Hz, before the padding to one second"),
        tensor,
    )


def _file(folder: Path, path: str, split: str) -> File:
    import pyarrow.parquet as pq

    with (folder / path).open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    footer = pq.read_metadata(folder / path)
    uncompressed = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    return File(path, split, footer.num_rows, (folder / path).stat().st_size, uncompressed, digest)

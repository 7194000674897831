"""What the descriptions of an export say: its columns, splits and files, where they come from, and the license."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from base.files import to_json
from features import clip_id
from features.views import definition_hash
from registry.export.plan import ExportPlan

_ENGLISH_CORPORA: Final = frozenset(
    {"synthetic", "speech_commands_v0.01", "speech_commands_v0.02", "speech_commands_test_set_v0.02"}
)
_LICENSES: Final = {
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
class TableFile:
    """One file of tables: its path below the folder of the export, split, and what is in it."""

    path: str
    split: str
    clips: int
    bytes: int
    uncompressed_bytes: int
    sha256: str


@dataclass(frozen=True)
class ExportSummary:
    """An export and its finished files, for the descriptions.

    Attributes:
        plan: what was exported.
        columns: the columns of the tables, in order.
        files: the files of tables, in order.
    """

    plan: ExportPlan
    columns: tuple[Column, ...]
    files: tuple[TableFile, ...]

    @property
    def license_id(self) -> str:
        """The license as Hugging Face names it."""
        known = self.plan.store.manifest.license
        return "unknown" if known is None else _LICENSES.get(known, ("other", known))[0]

    @property
    def license_url(self) -> str:
        """The license's address, its name where that is all that is known, or "unknown"."""
        known = self.plan.store.manifest.license
        return "unknown" if known is None else _LICENSES.get(known, ("other", known))[1]

    @property
    def language(self) -> str | None:
        """Code of the spoken language, or None if unknown."""
        sources = {archive.source for archive in self.plan.store.manifest.archives}
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
        found = [(f"archive `{each.file}`", each.sha256) for each in manifest.archives]
        if manifest.task is not None:
            found.append(("manifest of the clips", manifest.task.clips_manifest_sha256))
        if manifest.view is not None:
            found.append(("definition of the view", definition_hash(manifest.view)))
        return (*found, ("manifest of the store", self.plan.store.manifest.sha256))

    @property
    def definition(self) -> str | None:
        """The view's parameters as JSON, or None for clips."""
        content = self.plan.store.manifest.definition
        return None if content is None else to_json(content).rstrip()


def summarize(plan: ExportPlan, folder: Path, files: Mapping[str, str]) -> ExportSummary:
    """Collect what is to be said of an export whose files are finished.

    Args:
        plan: what was exported.
        folder: where to.
        files: path below the folder → split, in order.
    """
    return ExportSummary(plan, _columns(plan), tuple(_file(folder, path, split) for path, split in files.items()))


def _columns(plan: ExportPlan) -> tuple[Column, ...]:
    label = [Column("label", "label", "index into the class names")] if plan.store.classes else []
    padded = f"all {plan.shape[0]:,} samples at {plan.store.rate_hz:,} Hz, padding after the first `length`"
    view = plan.store.view
    if view is None or plan.has_audio:
        tensor = Column("audio", "audio", f"{str(plan.audio).upper()}, 16 bits a sample: {padded}")
    else:
        tensor = Column(view.tensor_name, "array", f"{view.dtype}, {view.meaning}")
    return (
        Column("id", "text", clip_id.MEANING),
        *label,
        Column("word", "text", "the word spoken, `_silence_` for background noise"),
        Column("speaker", "text", "the speaker's id, empty for silence"),
        Column("length", "integer", f"real samples at {plan.store.rate_hz:,} Hz, before the padding to one second"),
        tensor,
    )


def _file(folder: Path, path: str, split: str) -> TableFile:
    import pyarrow.parquet as pq

    with (folder / path).open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    footer = pq.read_metadata(folder / path)
    uncompressed = sum(footer.row_group(number).total_byte_size for number in range(footer.num_row_groups))
    return TableFile(path, split, footer.num_rows, (folder / path).stat().st_size, uncompressed, digest)

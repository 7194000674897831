"""What an export is: its files, what they take and give, its classes, its threshold, and where it comes from."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pydantic.dataclasses import dataclass

from base.errors import DataError
from base.files import to_json, write_text
from base.types import STRICT
from features.views import View, from_definition
from results.described import read_described
from results.parity import PARITY_FILE
from stores.lineage import Archive, Task

FORMAT: Final = "keyword-spotting-export/1"
EXPORT_FILE: Final = "export.json"

Format: TypeAlias = Literal["saved_model", "litert", "litert_network", "litert_int8", "onnx"]
FORMATS: Final[tuple[Format, ...]] = ("saved_model", "litert", "litert_network", "litert_int8", "onnx")
PLACES: Final[dict[Format, str]] = {
    "saved_model": "saved_model",
    "litert": "audio.tflite",
    "litert_network": "network.tflite",
    "litert_int8": "network_int8.tflite",
    "onnx": "audio.onnx",
}
"""The file of each format, or its folder."""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ExportedFile:
    """A file of an export.

    Attributes:
        path: below the export's folder.
        bytes: its size.
        sha256: SHA-256 (hex) of its content.
    """

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Quantization:
    """Whole numbers for real ones: real = (whole − zero_point) × scale.

    Attributes:
        scale: what a step of the whole numbers is worth.
        zero_point: the whole number for 0.
        bits: of a whole number, with its sign.
    """

    scale: float
    zero_point: int
    bits: Literal[8, 16] = 8


@dataclass(frozen=True, config=STRICT, kw_only=True)
class ExportedModel:
    """One format of a model.

    Attributes:
        takes: "audio", float32 (clips, 16000) in -1..1 at 16 kHz; or "view", the view's tensor times its scale.
        files: its files, several for a folder.
        operators: names of the operators of a LiteRT file, in alphabetical order.
        inputs, outputs: quantization of the tensors of a network of whole numbers.
    """

    takes: Literal["audio", "view"]
    files: tuple[ExportedFile, ...]
    operators: tuple[str, ...] = ()
    inputs: Quantization | None = None
    outputs: Quantization | None = None

    @property
    def bytes(self) -> int:
        """Of all files together."""
        return sum(file.bytes for file in self.files)


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Threshold:
    """The probability from which on a word counts as heard.

    Attributes:
        value: in 0..1.
        rule: how it was chosen, a sentence.
        false_accepts: share of the validation clips without a word that pass, or None where there is no such clip.
        false_rejects: share of the validation clips with a word whose word does not pass.
        clips: validation clips.
    """

    value: float
    rule: str
    false_accepts: float | None
    false_rejects: float | None
    clips: int


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Calibration:
    """The train clips by which the ranges of an int8 network were chosen: the rule, and their ids."""

    rule: str
    ids: tuple[str, ...]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Export:
    """What export.json says; the last file written, so a folder without it is unfinished.

    Attributes:
        model: name of the model.
        network: name of its network.
        classes: class names in order of the probabilities.
        view: name of the view that the network reads.
        view_version: follows from the view's definition and its mathematics.
        definition: the view's parameters.
        threshold: from which probability on a word counts.
        models: the formats.
        omitted: for a format that could not be made, the reason.
        calibration: of the int8 network.
        task: how the clips of training were chosen, labeled and split.
        archives: those that the clips of training come from, with their SHA-256.
        network_sha256: of the trained network's file.
        made_with: versions of the libraries.
        format: of the description itself.
    """

    model: str
    network: str
    classes: tuple[str, ...]
    view: str
    view_version: str
    definition: dict[str, Any]
    threshold: Threshold
    models: dict[Format, ExportedModel]
    omitted: dict[Format, str]
    calibration: Calibration
    task: Task
    archives: tuple[Archive, ...]
    network_sha256: str
    made_with: dict[str, str]
    format: str = FORMAT

    @property
    def feature_view(self) -> View:
        """The view that the network reads."""
        return from_definition(self.definition)


def exported_files(folder: Path, place: str) -> tuple[ExportedFile, ...]:
    """The files at a place below an export's folder: one, or all of a folder, in order of their paths."""
    root = folder / place
    paths = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    return tuple(_described(folder, path) for path in paths)


def _described(folder: Path, path: Path) -> ExportedFile:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return ExportedFile(path=path.relative_to(folder).as_posix(), bytes=len(content), sha256=digest)


def write_export(folder: Path, export: Export) -> None:
    """Write export.json."""
    write_text(str(folder / EXPORT_FILE), to_json(asdict(export)))


def read_export(folder: Path) -> Export:
    """What a finished export is.

    Raises:
        DataError: the folder holds no finished export of this format.
    """
    return read_described(folder / EXPORT_FILE, Export, FORMAT, "export", "export")


def foreign_file(folder: Path) -> str | None:
    """A file that has the name of an export's in a folder that holds no finished export, or None."""
    found = [folder / name for name in (EXPORT_FILE, PARITY_FILE, *PLACES.values()) if (folder / name).exists()]
    try:
        read_export(folder)
    except DataError:
        return str(found[0]) if found else None
    return None


def checked_file(folder: Path, export: Export, name: Format) -> Path:
    """The place of a format whose files are those that export.json describes.

    Args:
        folder: of the export.
        export: what it says of itself.
        name: the format.

    Raises:
        DataError: the export lacks the format, or a file is missing or another one.
    """
    model = export.models.get(name)
    if model is None:
        reason = export.omitted.get(name, "it was not made")
        raise DataError(f"{folder} has no {name}: {reason}")
    for file in model.files:
        try:
            found = _described(folder, folder / file.path)
        except FileNotFoundError as error:
            raise DataError(f"{folder / file.path} is missing; export again") from error
        if found != file:
            raise DataError(f"{folder / file.path} is not the file that {EXPORT_FILE} describes; export again")
    return folder / PLACES[name]

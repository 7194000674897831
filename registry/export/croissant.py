"""The Croissant description (croissant.json) of exported tables: files with their SHA-256, fields, classes and splits.

The form is that of Croissant 1.1 (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from base.files import read_json, to_json
from registry.export.summary import Column, ExportSummary, TableFile

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.1"
_PARQUET: Final = "application/x-parquet"
_FILES: Final = "parquet-files"
_NUMBERS: Final = {"float32": "cr:Float32", "uint16": "cr:UInt16"}
_CONTEXT_FILE: Final = Path(__file__).with_name("croissant_context.json")
"""The names of the vocabulary, as the specification gives them, word for word."""


def render(summary: ExportSummary) -> str:
    """Content of croissant.json; paths are relative to it."""
    store = summary.plan.store
    content: dict[str, Any] = {
        "@context": read_json(str(_CONTEXT_FILE)),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": store.name,
        "description": store.manifest.description,
        "version": store.version,
        "license": summary.license_url,
        "citeAs": summary.citation,
        "datePublished": summary.plan.published,
        "inLanguage": summary.language,
        "keywords": ["keyword spotting", "speech", "audio classification"],
        "distribution": [*(_file_object(file) for file in summary.files), _file_set(summary)],
        "recordSet": [_splits(summary), *_classes(summary), _clips(summary)],
    }
    return to_json({name: value for name, value in content.items() if value is not None})


def _file_object(file: TableFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "description": f"{file.clips} clips of the split {file.split}",
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _PARQUET,
        "sha256": file.sha256,
    }


def _file_set(summary: ExportSummary) -> dict[str, Any]:
    """The files together; mlcroissant reads a set of local files only where it names no container."""
    includes = sorted({f"{file.path.rpartition('/')[0]}/*.parquet" for file in summary.files})
    return {
        "@type": "cr:FileSet",
        "@id": _FILES,
        "name": _FILES,
        "description": "All files of tables, each of which is also listed with its SHA-256",
        "encodingFormat": _PARQUET,
        "includes": includes,
    }


def _splits(summary: ExportSummary) -> dict[str, Any]:
    clips = summary.plan.clips
    fields = [_plain("splits/name", "sc:Text", "name"), _plain("splits/clips", "cr:Int64", "number of clips")]
    rows = [{"splits/name": split, "splits/clips": count} for split, count in clips.items()]
    return _record_set("splits", "The splits", fields, rows, dataType="cr:Split", key={"@id": "splits/name"})


def _classes(summary: ExportSummary) -> list[dict[str, Any]]:
    classes = summary.plan.store.classes
    fields = [_plain("classes/label", "cr:Int64", "label"), _plain("classes/name", "sc:Text", "class name")]
    rows = [{"classes/label": label, "classes/name": name} for label, name in enumerate(classes)]
    made = _record_set("classes", "The classes", fields, rows, dataType="sc:Enumeration", key={"@id": "classes/label"})
    return [made] if classes else []


def _clips(summary: ExportSummary) -> dict[str, Any]:
    """One record a clip. Splits and classes are not referenced: mlcroissant would then hold all clips in memory."""
    splits = "|".join(summary.plan.splits)
    split = {
        **_plain("clips/split", "sc:Text", "name of the split, from the name of the file"),
        "source": {
            "fileSet": {"@id": _FILES},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": f"^data/({splits})-.+parquet$"},
        },
    }
    fields = [split, *(_column(column, summary) for column in summary.columns)]
    return _record_set("clips", "One record for each clip", fields, None, key={"@id": "clips/id"})


def _column(column: Column, summary: ExportSummary) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": _FILES}, "extract": {"column": column.name}}
    data_type: Any = {
        "text": "sc:Text",
        "label": ["cr:Int64", "cr:Label"],
        "integer": "cr:Int32",
        "array": _NUMBERS.get(summary.plan.dtype.name),
        "audio": "sc:AudioObject",
    }[column.kind]
    shape: dict[str, Any] = {}
    if column.kind == "array":
        shape = {"isArray": True, "arrayShape": ",".join(map(str, summary.plan.shape))}
    if column.kind == "audio":
        source |= {"transform": {"jsonPath": "bytes"}}
    return {**_plain(f"clips/{column.name}", data_type, column.meaning), **shape, "source": source}


def _plain(uuid: str, data_type: Any, description: str) -> dict[str, Any]:
    name = uuid.rpartition("/")[2]
    return {"@type": "cr:Field", "@id": uuid, "name": name, "description": description, "dataType": data_type}


def _record_set(
    uuid: str, description: str, fields: list[dict[str, Any]], rows: list[dict[str, Any]] | None, **more: Any
) -> dict[str, Any]:
    made = {"@type": "cr:RecordSet", "@id": uuid, "name": uuid, "description": description, **more, "field": fields}
    return made if rows is None else {**made, "data": rows}

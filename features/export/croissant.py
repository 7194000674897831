"""The Croissant description (croissant.json) of exported tables: files with their SHA-256, fields, classes and splits.

The form is that of Croissant 1.1 (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html).
"""

from __future__ import annotations

from typing import Any, Final

from features.export.description import Column, Described, File
from features.metadata import to_json

CONFORMS_TO: Final = "http://mlcommons.org/croissant/1.1"
_PARQUET: Final = "application/x-parquet"
_FILES: Final = "parquet-files"
_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""As the specification gives it, word for word."""


def render(described: Described) -> str:
    """Content of croissant.json; paths are relative to it."""
    store = described.plan.store
    content: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": store.name,
        "description": store.manifest.description,
        "version": store.version,
        "license": described.license_url,
        "citeAs": described.citation,
        "datePublished": described.plan.published,
        "inLanguage": described.language,
        "keywords": ["keyword spotting", "speech", "audio classification"],
        "distribution": [*(_file_object(file) for file in described.files), _file_set(described)],
        "recordSet": [_splits(described), *_classes(described), _clips(described)],
    }
    return to_json({name: value for name, value in content.items() if value is not None})


def _file_object(file: File) -> dict[str, Any]:
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


def _file_set(described: Described) -> dict[str, Any]:
    """The files together; mlcroissant reads a set of local files only where it names no container."""
    includes = sorted({f"{file.path.rpartition('/')[0]}/*.parquet" for file in described.files})
    return {
        "@type": "cr:FileSet",
        "@id": _FILES,
        "name": _FILES,
        "description": "All files of tables, each of which is also listed with its SHA-256",
        "encodingFormat": _PARQUET,
        "includes": includes,
    }


def _splits(described: Described) -> dict[str, Any]:
    clips = described.plan.clips
    fields = [_plain("splits/name", "sc:Text", "name"), _plain("splits/clips", "cr:Int64", "number of clips")]
    rows = [{"splits/name": split, "splits/clips": count} for split, count in clips.items()]
    return _record_set("splits", "The splits", fields, rows, dataType="cr:Split", key={"@id": "splits/name"})


def _classes(described: Described) -> list[dict[str, Any]]:
    classes = described.plan.store.classes
    fields = [_plain("classes/label", "cr:Int64", "label"), _plain("classes/name", "sc:Text", "class name")]
    rows = [{"classes/label": label, "classes/name": name} for label, name in enumerate(classes)]
    made = _record_set("classes", "The classes", fields, rows, dataType="sc:Enumeration", key={"@id": "classes/label"})
    return [made] if classes else []


def _clips(described: Described) -> dict[str, Any]:
    """One record a clip. Splits and classes are not referenced: mlcroissant would then hold all clips in memory."""
    splits = "|".join(described.plan.splits)
    split = {
        **_plain("clips/split", "sc:Text", "name of the split, from the name of the file"),
        "source": {
            "fileSet": {"@id": _FILES},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": f"^data/({splits})-.+parquet$"},
        },
    }
    fields = [split, *(_column(column, described) for column in described.columns)]
    return _record_set("clips", "One record for each clip", fields, None, key={"@id": "clips/id"})


def _column(column: Column, described: Described) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": _FILES}, "extract": {"column": column.name}}
    data_type: Any = {"text": "sc:Text", "integer": "cr:Int32", "array": "cr:Float32", "audio": "sc:AudioObject"}.get(
        column.kind, ["cr:Int64", "cr:Label"]
    )
    shape: dict[str, Any] = {}
    if column.kind == "array":
        shape = {"isArray": True, "arrayShape": ",".join(map(str, described.plan.shape))}
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

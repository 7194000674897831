"""The Parquet form: one table for each shard, laid out and described as the library `datasets` expects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from base.files import published_path
from features.audio import encode_audio
from registry.export import croissant, dataset_card
from registry.export.clips import ClipReader, ExportedClip
from registry.export.folder import write_if_changed
from registry.export.plan import Advance, AudioName, ExportPlan, NumberedShard
from registry.export.summary import summarize

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

DATA_FOLDER: Final = "data"
CARD_FILE: Final = "README.md"
CROISSANT_FILE: Final = "croissant.json"
_ROW_GROUP_CLIPS: Final = 256
_ARRAY_2D: Final = "datasets.features.features.Array2DExtensionType"


def write(plan: ExportPlan, folder: Path, advance: Advance) -> None:
    """Write `data/{split}-{number}-of-{shards}.parquet` for each shard, then README.md and croissant.json.

    Args:
        plan: what to export.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged.
    """
    clips = ClipReader(plan.store)
    files = [(part, f"{DATA_FOLDER}/{part.file('.parquet')}") for split in plan.splits for part in plan.parts(split)]
    for part, name in files:
        if (folder / name).exists():
            advance(part.shard.records)
        else:
            _write_part(plan, part, clips, folder / name, advance)
    summary = summarize(plan, folder, {name: part.shard.split for part, name in files})
    write_if_changed(folder / CROISSANT_FILE, croissant.render(summary))
    write_if_changed(folder / CARD_FILE, dataset_card.render(summary))


def _write_part(plan: ExportPlan, part: NumberedShard, clips: ClipReader, path: Path, advance: Advance) -> None:
    import pyarrow as pa

    columns = schema(plan)
    with published_path(str(path)) as unfinished, _writer(plan, unfinished, columns) as writer:
        read = clips.of(part)
        while batch := list(islice(read, _ROW_GROUP_CLIPS)):
            writer.write_table(pa.table(list(_columns(plan, batch)), schema=columns))
            advance(len(batch))


def _writer(plan: ExportPlan, path: str, columns: pa.Schema) -> pq.ParquetWriter:
    """A writer whose settings are all given, so that equal clips give equal bytes."""
    import pyarrow.parquet as pq

    return pq.ParquetWriter(
        path,
        columns,
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=[name for name in ("label", "word", "speaker") if name in columns.names],
        use_byte_stream_split=[f"{plan.store.tensor}.list.element.list.element"] if plan.dtype.kind == "f" else [],
        write_statistics=["id", "word", "speaker", "length"],
        write_page_checksum=True,
    )


def schema(plan: ExportPlan) -> pa.Schema:
    """The columns, with the features that `datasets` reads in the metadata.

    A tensor of two axes is a list of lists that names the extension type of `datasets`; other readers see the lists.
    """
    import pyarrow as pa

    label = [pa.field("label", pa.int64())] if plan.store.classes else []
    names = [pa.field("word", pa.string()), pa.field("speaker", pa.string()), pa.field("length", pa.int32())]
    fields = [pa.field("id", pa.string()), *label, *names, _tensor_field(plan)]
    info = {"info": {"features": hugging_face_features(plan)}}
    return pa.schema(fields, metadata={"huggingface": json.dumps(info)})


def _tensor_field(plan: ExportPlan) -> pa.Field:
    import pyarrow as pa

    if plan.has_audio:
        return pa.field("audio", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())]))
    extension = {
        "ARROW:extension:name": _ARRAY_2D,
        "ARROW:extension:metadata": json.dumps([list(plan.shape), plan.dtype.name]),
    }
    return pa.field(plan.store.tensor, pa.list_(pa.list_(pa.from_numpy_dtype(plan.dtype))), metadata=extension)


def hugging_face_features(plan: ExportPlan) -> dict[str, Any]:
    """The columns as `datasets.Features.to_dict` describes them."""
    label = {"label": {"names": list(plan.store.classes), "_type": "ClassLabel"}} if plan.store.classes else {}
    if plan.has_audio:
        tensor: dict[str, Any] = {"sampling_rate": plan.store.rate_hz, "_type": "Audio"}
    else:
        tensor = {"shape": list(plan.shape), "dtype": plan.dtype.name, "_type": "Array2D"}
    text, integer = {"dtype": "string", "_type": "Value"}, {"dtype": "int32", "_type": "Value"}
    return {"id": text, **label, "word": text, "speaker": text, "length": integer, plan.store.tensor: tensor}


def _columns(plan: ExportPlan, batch: Sequence[ExportedClip]) -> Iterator[pa.Array]:
    """The values of some clips, in the order of the schema."""
    import pyarrow as pa

    yield pa.array([clip.id for clip in batch], pa.string())
    if plan.store.classes:
        yield pa.array([clip.label for clip in batch], pa.int64())
    yield pa.array([clip.word for clip in batch], pa.string())
    yield pa.array([clip.speaker for clip in batch], pa.string())
    yield pa.array([clip.length for clip in batch], pa.int32())
    yield (
        _sounds(batch, plan.store.rate_hz, plan.audio)
        if plan.audio
        else _lists(np.stack([clip.tensor for clip in batch]))
    )


def _sounds(batch: Sequence[ExportedClip], rate_hz: int, audio: AudioName) -> pa.Array:
    import pyarrow as pa

    content = pa.array([encode_audio(clip.tensor, rate_hz, audio) for clip in batch], pa.binary())
    paths = pa.array([f"{clip.id}.{audio}" for clip in batch], pa.string())
    return pa.StructArray.from_arrays([content, paths], ["bytes", "path"])


def _lists(tensors: np.ndarray[Any, Any]) -> pa.Array:
    """(clips, frames, coefficients) as lists of lists."""
    import pyarrow as pa

    clips, frames, coefficients = tensors.shape
    rows = pa.ListArray.from_arrays(_ends(clips * frames, coefficients), pa.array(tensors.reshape(-1)))
    return pa.ListArray.from_arrays(_ends(clips, frames), rows)


def _ends(lists: int, size: int) -> pa.Array:
    import pyarrow as pa

    return pa.array(np.arange(lists + 1, dtype=np.int32) * np.int32(size))

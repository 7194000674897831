"""The NumPy form: for each split one array of all clips and arrays of labels, lengths and ids, to be memory-mapped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from base.files import published, published_path
from registry.export.clips import ClipReader
from registry.export.folder import write_if_changed
from registry.export.plan import Advance, ExportPlan, NumberedShard

CLASSES_FILE: Final = "classes.txt"
_open_memmap: Final[Callable[..., npt.NDArray[Any]]] = np.lib.format.open_memmap


def write(plan: ExportPlan, folder: Path, advance: Advance) -> None:
    """Write `{split}/{tensor}.npy`, `label.npy`, `length.npy` and `id.npy` for each split, and `classes.txt`.

    Args:
        plan: what to export.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged.
    """
    clips = ClipReader(plan.store)
    if plan.store.classes:
        write_if_changed(folder / CLASSES_FILE, "".join(f"{name}\n" for name in plan.store.classes))
    for split in plan.splits:
        if (folder / split / f"{plan.store.tensor}.npy").exists():
            advance(plan.clips[split])
        else:
            _write_split(plan, split, folder / split, clips, advance)


def _write_split(plan: ExportPlan, split: str, folder: Path, clips: ClipReader, advance: Advance) -> None:
    """The tensors are named last: where they have their name the split is whole."""
    count, tensor = plan.clips[split], plan.store.tensor
    columns = _columns(plan, split, clips, count)
    with published_path(str(folder / f"{tensor}.npy")) as unfinished:
        _open_memmap(unfinished, "w+", dtype=plan.dtype, shape=(count, *plan.shape))
        first = 0
        for part in plan.parts(split):
            _write_part(part, clips, columns, unfinished, tensor, first, advance)
            first += part.shard.records
        for name, values in columns.items():
            with published(str(folder / f"{name}.npy")) as file:
                np.save(file, values)


def _columns(plan: ExportPlan, split: str, clips: ClipReader, count: int) -> dict[str, npt.NDArray[Any]]:
    """Empty columns of a split, all but the tensor."""
    columns: dict[str, npt.NDArray[Any]] = {
        "length": np.zeros(count, np.int32),
        "id": np.zeros(count, f"<U{clips.longest_id()}"),
    }
    return {"label": np.zeros(count, np.int64), **columns} if plan.store.classes else columns


def _write_part(
    part: NumberedShard,
    clips: ClipReader,
    columns: dict[str, npt.NDArray[Any]],
    path: str,
    tensor: str,
    first: int,
    advance: Advance,
) -> None:
    """Write the clips of a shard from row `first` on; mapping the array for each shard keeps it out of memory."""
    if not part.shard.records:
        return
    tensors = _open_memmap(path, "r+")
    for row, clip in enumerate(clips.of(part), first):
        tensors[row] = clip.tensor
        for name, values in columns.items():
            values[row] = getattr(clip, name)
        advance(1)

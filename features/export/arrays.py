"""The NumPy form: for each split one array of all clips and arrays of labels, lengths and ids, to be memory-mapped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.export.clips import Clips
from features.export.folder import write_text, writing
from features.export.plan import Advance, Part, Plan

CLASSES_FILE: Final = "classes.txt"
_open_memmap: Final[Callable[..., npt.NDArray[Any]]] = np.lib.format.open_memmap


def write(plan: Plan, folder: Path, advance: Advance) -> None:
    """Write `{split}/{tensor}.npy`, `label.npy`, `length.npy` and `id.npy` for each split, and `classes.txt`.

    Args:
        plan: what to export.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged.
    """
    clips = Clips(plan.store)
    if plan.store.classes:
        write_text(folder / CLASSES_FILE, "".join(f"{name}\n" for name in plan.store.classes))
    for split in plan.splits:
        if (folder / split / f"{plan.store.tensor}.npy").exists():
            advance(plan.clips[split])
        else:
            _write_split(plan, split, folder / split, clips, advance)


def _write_split(plan: Plan, split: str, folder: Path, clips: Clips, advance: Advance) -> None:
    """The tensors are named last: where they have their name the split is whole."""
    count, tensor = plan.clips[split], plan.store.tensor
    columns = _columns(plan, split, clips, count)
    with writing(folder / f"{tensor}.npy") as temporary:
        dtype = np.int16 if plan.has_audio else np.float32
        _open_memmap(temporary, "w+", dtype=dtype, shape=(count, *plan.shape))
        first = 0
        for part in plan.parts(split):
            _write_part(part, clips, columns, temporary, tensor, first, advance)
            first += part.shard.records
        for name, values in columns.items():
            with writing(folder / f"{name}.npy") as place, place.open("wb") as file:
                np.save(file, values)


def _columns(plan: Plan, split: str, clips: Clips, count: int) -> dict[str, npt.NDArray[Any]]:
    """Empty columns of a split beside the tensor."""
    columns: dict[str, npt.NDArray[Any]] = {
        "length": np.zeros(count, np.int32),
        "id": np.zeros(count, f"<U{clips.longest_id()}"),
    }
    return {"label": np.zeros(count, np.int64), **columns} if plan.store.classes else columns


def _write_part(
    part: Part,
    clips: Clips,
    columns: dict[str, npt.NDArray[Any]],
    path: Path,
    tensor: str,
    first: int,
    advance: Advance,
) -> None:
    """Write the clips of a shard from row `first` on; the array is mapped anew, so that no more stays in memory."""
    if not part.shard.records:
        return
    tensors = _open_memmap(path, "r+")
    for row, clip in enumerate(clips.of(part), first):
        tensors[row] = clip.tensor
        for name, values in columns.items():
            values[row] = getattr(clip, name)
        advance(1)

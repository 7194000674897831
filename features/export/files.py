"""The forms with one file a clip: tables of numbers as CSV, and pictures of features as PNG."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.errors import DataError
from features.export.clips import Clip, Clips
from features.export.folder import writing
from features.export.plan import GREYS, Advance, Plan


def write(plan: Plan, folder: Path, advance: Advance) -> None:
    """Write `{split}/{class}/{name}.csv` or `.png` for each clip.

    Args:
        plan: what to export, as CSV or PNG.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged, or two clips would have the same file.
    """
    clips = Clips(plan.store)
    for split in plan.splits:
        taken: set[str] = set()
        for clip in (clip for part in plan.parts(split) for clip in clips.of(part)):
            name = f"{split}/{clip.folder}/{clip.file}.{plan.format}"
            if name in taken:
                raise DataError(f"two clips would be {name}: choose a format with one file a shard")
            taken.add(name)
            path = folder / name
            if not path.exists():
                _write_one(plan, clip, path)
            advance(1)


def _write_one(plan: Plan, clip: Clip, path: Path) -> None:
    with writing(path) as temporary:
        if plan.grey is None:
            temporary.write_text(table(clip.tensor), encoding="ascii")
        else:
            _picture(clip.tensor, plan.grey, temporary)


def table(tensor: npt.NDArray[Any]) -> str:
    """A tensor as CSV that reads back to the same numbers: a row a frame, a column a coefficient, no header.

    Args:
        tensor: float32 (frames, coefficients), or int16 (samples,), which gives one column.
    """
    return _pattern(tensor.shape, tensor.dtype.kind) % tuple(tensor.ravel().tolist())


@lru_cache(maxsize=4)
def _pattern(shape: tuple[int, ...], kind: str) -> str:
    cell = "%d" if kind == "i" else "%.9g"
    columns = shape[1] if len(shape) == 2 else 1
    return (",".join([cell] * columns) + "\n") * shape[0]


def grey_levels(
    tensor: npt.NDArray[np.float32], low: tuple[float, ...], high: tuple[float, ...]
) -> npt.NDArray[np.uint8]:
    """Values as grey levels: `low` is 0 and `high` is 255; those beyond are drawn as these.

    Args:
        tensor: float32, (frames, coefficients).
        low: value of black of each coefficient.
        high: value of white of each coefficient, at least that of black.

    Returns:
        The picture, uint8, (coefficients, frames): time to the right, the first coefficient at the bottom.
    """
    span = np.asarray(high) - np.asarray(low)
    shares = (tensor.astype(np.float64) - low) / np.where(span > 0, span, 1.0)
    levels: npt.NDArray[np.float64] = np.rint(shares * GREYS)
    picture: npt.NDArray[np.uint8] = np.clip(levels, 0, GREYS).astype(np.uint8).T[::-1]
    return picture


def _picture(tensor: npt.NDArray[np.float32], grey: tuple[tuple[float, ...], tuple[float, ...]], path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(grey_levels(tensor, *grey))).save(path, format="PNG")

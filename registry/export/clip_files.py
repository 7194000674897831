"""The forms with one file a clip: tables of numbers as CSV, and pictures of features as PNG."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from base.errors import DataError
from base.files import published_path, write_text
from registry.export.clips import ClipReader, ExportedClip
from registry.export.plan import GRAYS, Advance, ExportPlan


def write(plan: ExportPlan, folder: Path, advance: Advance) -> None:
    """Write `{split}/{class}/{name}.csv` or `.png` for each clip.

    Args:
        plan: what to export, as CSV or PNG.
        folder: where to.
        advance: called with the number of clips done.

    Raises:
        DataError: a shard is damaged, or two clips would have the same file.
    """
    clips = ClipReader(plan.store)
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


def _write_one(plan: ExportPlan, clip: ExportedClip, path: Path) -> None:
    if plan.gray is None:
        write_text(str(path), table(clip.tensor))
    else:
        with published_path(str(path)) as unfinished:
            _picture(clip.tensor, plan.gray, unfinished)


def table(tensor: npt.NDArray[Any]) -> str:
    """A tensor as CSV that reads back to the same numbers: a row a frame, a column a coefficient, no header.

    Args:
        tensor: numbers (frames, coefficients), or int16 (samples,), which gives one column.
    """
    return _pattern(tensor.shape, tensor.dtype.kind) % tuple(tensor.ravel().tolist())


@lru_cache(maxsize=4)
def _pattern(shape: tuple[int, ...], kind: str) -> str:
    cell = "%.9g" if kind == "f" else "%d"
    columns = shape[1] if len(shape) == 2 else 1
    return (",".join([cell] * columns) + "\n") * shape[0]


def gray_levels(tensor: npt.NDArray[Any], low: tuple[float, ...], high: tuple[float, ...]) -> npt.NDArray[np.uint8]:
    """Values as gray levels: `low` is 0 and `high` is 255; values beyond are clipped.

    Args:
        tensor: numbers, (frames, coefficients).
        low: value of black of each coefficient.
        high: value of white of each coefficient, at least that of black.

    Returns:
        The picture, uint8, (coefficients, frames): time to the right, the first coefficient at the bottom.
    """
    span = np.asarray(high) - np.asarray(low)
    shares = (tensor.astype(np.float64) - low) / np.where(span > 0, span, 1.0)
    levels: npt.NDArray[np.float64] = np.rint(shares * GRAYS)
    picture: npt.NDArray[np.uint8] = np.clip(levels, 0, GRAYS).astype(np.uint8).T[::-1]
    return picture


def _picture(tensor: npt.NDArray[Any], gray: tuple[tuple[float, ...], tuple[float, ...]], path: str) -> None:
    from PIL import Image

    Image.fromarray(np.ascontiguousarray(gray_levels(tensor, *gray))).save(path, format="PNG")

"""`python -m serving.micro`: what LiteRT for Microcontrollers needs for an export, and if it says what LiteRT does.

It runs in the environment of requirements-micro.txt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeAlias

import click
import numpy as np
import numpy.typing as npt
from pydantic.dataclasses import dataclass
from tabulate import tabulate

from base import command
from base.errors import DataError
from base.files import to_json
from base.types import STRICT
from readers.audio import audio_of
from readers.store import open_store
from results.predictions import Predictions, read_predictions
from serving.description import Export, ExportedModel, checked_file, read_export
from serving.quiet import quiet
from serving.runtimes import features_of, quantized

Whole: TypeAlias = npt.NDArray[Any]
"""int8 or int16."""

NOISE_CLIPS: Final = 100
_ALIGNMENT: Final = 16
"""Bytes; an arena of a size between two multiples holds no more."""
_FIRST_ARENA: Final = 1 << 14
_LARGEST_ARENA: Final = 1 << 28


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Needs:
    """What LiteRT for Microcontrollers needs to run a network, and what it says.

    Attributes:
        model: name of the model.
        bytes: of the file with the weights, in flash memory.
        arena_bytes: the smallest arena that holds its tensors, in working memory; measured with pointers of 64 bits.
        operators: what the program must register.
        inputs: "test clips", or "noise" of all whole numbers.
        clips: number of inputs.
        equal: share of them of which every output equals that of LiteRT's reference kernels.
        difference: the largest difference of an output, in steps of its whole numbers.
        equal_to_fast: share with the class that LiteRT says with its fast kernels, those of every other program.
        difference_to_fast: likewise, in steps.
        accuracy: share whose class was found, or None for noise.
    """

    model: str
    bytes: int
    arena_bytes: int
    operators: tuple[str, ...]
    inputs: str
    clips: int
    equal: float
    difference: int
    equal_to_fast: float
    difference_to_fast: int
    accuracy: float | None


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--clips", help="The store of clips, to compare on test clips instead of noise.")
@click.option("--predictions", type=click.Path(path_type=Path), help="predictions.parquet, which names the test clips.")
@click.option("--json", "as_json", is_flag=True, help="JSON.")
def main(folder: Path, clips: str | None, predictions: Path | None, *, as_json: bool) -> None:
    """Say what network_int8.tflite of the export in FOLDER needs on a microcontroller.

    That is flash memory, working memory (the arena) and operators. LiteRT for Microcontrollers runs it here on the
    same inputs as LiteRT, and the outputs are compared.
    """
    if (clips is None) != (predictions is None):
        raise DataError("--clips and --predictions belong together: give both, or none for noise")
    tested = None if clips is None or predictions is None else (clips, predictions)
    found = needs(folder, tested)
    click.echo(to_json(asdict(found)) if as_json else shown(found), nl=not as_json)


def needs(folder: Path, tested: tuple[str, Path] | None) -> Needs:
    """What the network of an export needs and says.

    Args:
        folder: of the export.
        tested: store of clips and predictions.parquet, for test clips; None for noise.

    Raises:
        DataError: there is no such network, or it can't run on a microcontroller.
    """
    export = read_export(folder)
    content = checked_file(folder, export, "litert_int8").read_bytes()
    model = export.models["litert_int8"]
    predictions = None if tested is None else read_predictions(tested[1])
    values = noise(model, export) if tested is None else inputs_of(export, model, *tested)
    arena = smallest_arena(content)
    said = run_micro(content, arena, values)
    reference, fast = run_litert(content, values, reference=True), run_litert(content, values, reference=False)
    return Needs(
        model=export.model,
        bytes=len(content),
        arena_bytes=arena,
        operators=model.operators,
        inputs="noise" if tested is None else "test clips",
        clips=len(values),
        equal=float((said == reference).all(axis=1).mean()),
        difference=_largest(said, reference),
        equal_to_fast=float((said.argmax(axis=1) == fast.argmax(axis=1)).mean()),
        difference_to_fast=_largest(said, fast),
        accuracy=None if predictions is None else _accuracy(said, predictions),
    )


def _largest(one: Whole, other: Whole) -> int:
    return int(np.abs(one.astype(np.int64) - other).max())


def _accuracy(said: Whole, predictions: Predictions) -> float:
    return float((said.argmax(axis=1) == predictions.labels).mean())


def inputs_of(export: Export, model: ExportedModel, clips: str, predictions: Path) -> Whole:
    """The test clips as the network reads them, (clips, *view.shape).

    Args:
        export: the export.
        model: its network of whole numbers.
        clips: store of clips.
        predictions: predictions.parquet, which names the test clips.
    """
    audio = audio_of(open_store(clips), read_predictions(predictions).ids)
    return quantized(features_of(export.feature_view, audio), model.inputs)


def noise(model: ExportedModel, export: Export) -> Whole:
    """Inputs drawn from all whole numbers that the network takes, (100, *view.shape)."""
    kind = np.dtype(f"int{model.inputs.bits if model.inputs else 8}")
    limits = np.iinfo(kind)
    shape = (NOISE_CLIPS, *export.feature_view.shape)
    return np.random.default_rng(0).integers(limits.min, limits.max, shape, kind, endpoint=True)


def smallest_arena(content: bytes) -> int:
    """The smallest arena in which a network's tensors can be laid out, in bytes.

    Raises:
        DataError: LiteRT for Microcontrollers lacks an operator, or there is none of up to 256 MiB.
    """
    high = _FIRST_ARENA
    while not _fits(content, high):
        high *= 2
        if high > _LARGEST_ARENA:
            raise DataError("the network can't be laid out: LiteRT for Microcontrollers lacks an operator of it")
    low = 0 if high == _FIRST_ARENA else high // 2
    while high - low > _ALIGNMENT:
        middle = (low + high) // 2 // _ALIGNMENT * _ALIGNMENT
        low, high = (low, middle) if _fits(content, middle) else (middle, high)
    return high


def _fits(content: bytes, arena_bytes: int) -> bool:
    try:
        _micro(content, arena_bytes)
    except RuntimeError:
        return False
    return True


def _micro(content: bytes, arena_bytes: int) -> Any:
    try:
        from tflite_micro import runtime
    except ImportError as error:
        raise DataError(
            f"the package tflite-micro is not installed ({error}): run `make test-micro`, which makes its environment, "
            "or install requirements-micro.txt"
        ) from error
    with quiet():
        return runtime.Interpreter.from_bytes(content, arena_size=arena_bytes)


def run_micro(content: bytes, arena_bytes: int, values: Whole) -> Whole:
    """What LiteRT for Microcontrollers says of some inputs, (clips, classes)."""
    interpreter = _micro(content, arena_bytes)

    def run(each: Whole) -> Whole:
        interpreter.set_input(each[None], 0)
        interpreter.invoke()
        found: Whole = interpreter.get_output(0)[0].copy()
        return found

    return _each(run, values)


def run_litert(content: bytes, values: Whole, *, reference: bool) -> Whole:
    """What LiteRT says of some inputs, (clips, classes), with its reference kernels or its fast ones."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    with quiet():
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
        interpreter.allocate_tensors()
    [inputs], [outputs] = interpreter.get_input_details(), interpreter.get_output_details()

    def run(each: Whole) -> Whole:
        interpreter.set_tensor(inputs["index"], each[None])
        interpreter.invoke()
        found: Whole = interpreter.get_tensor(outputs["index"])[0]
        return found

    return _each(run, values)


def _each(run: Callable[[Whole], Whole], values: Whole) -> Whole:
    return np.stack([run(each) for each in values])


def shown(found: Needs) -> str:
    """The needs as a table for people."""
    rows = [
        ("model", found.model),
        ("flash memory", f"{found.bytes:,} bytes"),
        ("arena", f"{found.arena_bytes:,} bytes"),
        ("operators", ", ".join(found.operators)),
        ("inputs", f"{found.clips:,}, {found.inputs}"),
        ("equal outputs", f"{found.equal:.1%}, largest difference {found.difference} (LiteRT's reference kernels)"),
        (
            "same class",
            f"{found.equal_to_fast:.1%}, largest difference {found.difference_to_fast} (LiteRT's fast kernels)",
        ),
    ]
    if found.accuracy is not None:
        rows.append(("accuracy", f"{found.accuracy:.1%}"))
    return tabulate(rows, tablefmt="plain", disable_numparse=True)


if __name__ == "__main__":
    command.run(main)

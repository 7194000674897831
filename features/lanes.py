"""Eight float32 numbers in one register, as a type for compiled loops: LLVM turns each operation into one instruction.

Processors without registers of that size take two or more, and the bits are the same: nothing is reordered or fused.
Numba keeps compiled code by the file that it stands in, so whoever changes this file has to touch those that use it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, TypeVar, cast

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, overload, register_model

Function = TypeVar("Function", bound=Callable[..., Any])
Lanes: TypeAlias = Any
"""Eight numbers, in a compiled loop."""

LANES: Final = 8
"""The float32 numbers of a register of AVX2."""

_VECTOR: Final = ir.VectorType(ir.FloatType(), LANES)
_FLOAT_BYTES: Final = 4


def compiled_within(function: Function) -> Function:
    """Have a function compiled with the loops that call it."""
    return cast(Function, njit(function))


def _generated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have calls of a function replaced by the instructions that it generates."""
    return cast(Callable[..., Any], intrinsic(function))


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Lanes({LANES})")


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]


_LANES: Final = _LanesType()


@_generated
def load(_: Any, array: Any, place: Any) -> Any:
    """The lanes at a place of an array of lanes, whose numbers are float32, (places × LANES,)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place = arguments
        return _read(builder, _at(context, builder, signature.args[0], array, _start(builder, place)))

    return _LANES(array, types.intp), generate


@_generated
def store(_: Any, array: Any, place: Any, lanes: Any) -> Any:
    """Put lanes at a place of an array of lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, lanes = arguments
        _write(builder, lanes, _at(context, builder, signature.args[0], array, _start(builder, place)))
        return context.get_dummy_value()

    return types.void(array, types.intp, _LANES), generate


@_generated
def spread(_: Any, value: Any) -> Any:
    """A number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(nothing, arguments[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, nothing, _places([0] * LANES))

    return _LANES(types.float32), generate


@_generated
def load_rows(_: Any, rows: Any, start: Any, stride: Any, factors: Any, factor: Any, to: Any, place: Any) -> Any:
    """Multiply LANES numbers of each of LANES rows by as many factors, and put each row into a lane.

    Args:
        rows: float32, flat.
        start: where the numbers of the first row begin.
        stride: numbers from a row to the next.
        factors: float32.
        factor: where the factors begin.
        to: array of lanes.
        place: receives the first number of each row; the next places receive the others.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, start, stride, factors, factor, to, place = arguments
        weights = _read(builder, _at(context, builder, signature.args[3], factors, factor))
        products = []
        for _row in range(LANES):
            numbers = _read(builder, _at(context, builder, signature.args[0], rows, start))
            products.append(builder.fmul(numbers, weights))
            start = builder.add(start, stride)
        place = _start(builder, place)
        for lanes in _transposed(builder, products):
            _write(builder, lanes, _at(context, builder, signature.args[5], to, place))
            place = builder.add(place, ir.Constant(place.type, LANES))
        return context.get_dummy_value()

    return types.void(rows, types.intp, types.intp, factors, types.intp, to, types.intp), generate


@_generated
def store_rows(_: Any, array: Any, place: Any, rows: Any, start: Any, stride: Any) -> Any:
    """Put the numbers of each lane of LANES places into a row.

    Args:
        array: array of lanes.
        place: the first one.
        rows: float32, flat.
        start: receives the number of the first place and lane.
        stride: numbers from a row to the next.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place, rows, start, stride = arguments
        place, found = _start(builder, place), []
        for _row in range(LANES):
            found.append(_read(builder, _at(context, builder, signature.args[0], array, place)))
            place = builder.add(place, ir.Constant(place.type, LANES))
        for row in _transposed(builder, found):
            _write(builder, row, _at(context, builder, signature.args[2], rows, start))
            start = builder.add(start, stride)
        return context.get_dummy_value()

    return types.void(array, types.intp, rows, types.intp, types.intp), generate


def _transposed(builder: Any, rows: Sequence[Any]) -> list[Any]:
    """Registers as columns: neighbors exchange a lane, then two, then four."""
    found, step = list(rows), 1
    while step < LANES:
        upper = _places([lane + LANES - step if lane & step else lane for lane in range(LANES)])
        lower = _places([lane + LANES if lane & step else lane + step for lane in range(LANES)])
        for row in range(LANES):
            if not row & step:
                pair = found[row], found[row + step]
                found[row] = builder.shuffle_vector(*pair, upper)
                found[row + step] = builder.shuffle_vector(*pair, lower)
        step *= 2
    return found


def _at(context: Any, builder: Any, kind: Any, array: Any, start: Any) -> Any:
    """The address of the register that begins at a number of an array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [start]), _VECTOR.as_pointer())


def _start(builder: Any, place: Any) -> Any:
    return builder.mul(place, ir.Constant(place.type, LANES))


def _read(builder: Any, address: Any) -> Any:
    value = builder.load(address)
    value.align = _FLOAT_BYTES
    return value


def _write(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, address).align = _FLOAT_BYTES


def _places(lanes: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))


def _give(sign: Callable[[Any, Any], Any], instruction: str) -> None:
    """Give lanes an operator."""

    @_generated
    def of_lanes(_: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments)

        return _LANES(_LANES, _LANES), generate

    @overload(sign)
    def implementation(left: Any, right: Any) -> Any:
        def both(left: Any, right: Any) -> Any:
            return of_lanes(left, right)

        return both if left is _LANES and right is _LANES else None


_give(operator.add, "fadd")
_give(operator.sub, "fsub")
_give(operator.mul, "fmul")

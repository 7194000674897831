"""A condition on the catalog's columns, written as in `snr_db > 10 and not cut_end`, and the rows that meet it.

Comparisons (`<`, `<=`, `>`, `>=`, `==`, `!=`) of columns with one another, with numbers and with texts in quotes;
`COLUMN in ["a", "b"]` and `not in`; `COLUMN is null` and `is not null`; columns that are true or false by themselves;
all joined by `and`, `or`, `not` and parentheses. It reads like Python, and Python's own parser divides it; nothing else
that Python can say is accepted, and nothing is executed.

A comparison with null is neither true nor false, as in SQL: `and`, `or` and `not` pass that on unless the other side
decides, and a row for which the whole is null does not meet the condition.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from stores.catalog import CATALOG_SCHEMA

_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
}
_LARGEST_NUMBER: Final = 2**53

Kind: TypeAlias = Literal["a number", "a text", "true or false"]


@dataclass(frozen=True)
class _Value:
    """A part of a condition: its values for the rows of a table, or one value for all, and how it was written."""

    data: Any
    kind: Kind
    text: str

    @property
    def is_column(self) -> bool:
        return isinstance(self.data, pa.ChunkedArray)


def columns_of(condition: str) -> set[str]:
    """The columns that a condition names."""
    return {node.id for node in ast.walk(_parsed(condition)) if isinstance(node, ast.Name)} - {"null"}


def meets(condition: str, rows: pa.Table) -> pa.ChunkedArray:
    """Which rows meet a condition: bool, without nulls.

    Args:
        condition: the condition.
        rows: rows of the catalog, with the columns that the condition names.

    Raises:
        ValueError: the condition can't be read, names a column that the catalog does not have, or compares values of
            different kinds.
    """
    return pc.fill_null(_truth(_parsed(condition), rows), False)


def checked(condition: str) -> str:
    """A condition that can be put to a catalog.

    Raises:
        ValueError: as `meets` does.
    """
    meets(condition, CATALOG_SCHEMA.empty_table())
    return condition


def _parsed(condition: str) -> ast.expr:
    try:
        return ast.parse(condition.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{condition!r} can't be read as a condition: write one as in snr_db > 10 and not cut_end"
        ) from error


def _truth(node: ast.expr, rows: pa.Table) -> pa.ChunkedArray:
    """The values of a part that is true, false or null for each row."""
    match node:
        case ast.BoolOp(operator, parts):
            join = pc.and_kleene if isinstance(operator, ast.And) else pc.or_kleene
            return reduce(join, [_truth(part, rows) for part in parts])
        case ast.UnaryOp(ast.Not(), part):
            return pc.invert(_truth(part, rows))
        case ast.Compare(left, [operator], [right]):
            return _comparison(_value(left, rows), operator, right, rows)
        case ast.Compare():
            raise ValueError(f"{ast.unparse(node)}: compare two values at a time, and join comparisons by and")
    value = _value(node, rows)
    if value.kind != "true or false":
        raise ValueError(f"{value.text} is {value.kind}, expected a comparison or a column of true and false")
    return value.data


def _comparison(left: _Value, operator: ast.cmpop, right: ast.expr, rows: pa.Table) -> pa.ChunkedArray:
    match operator, right:
        case ((ast.Is() | ast.IsNot()), ast.Name("null")) if left.is_column:
            return pc.is_null(left.data) if isinstance(operator, ast.Is) else pc.is_valid(left.data)
        case ((ast.In() | ast.NotIn()), (ast.List(items) | ast.Tuple(items))) if items:
            found = reduce(pc.or_kleene, [_compared(pc.equal, left, _value(item, rows)) for item in items])
            return found if isinstance(operator, ast.In) else pc.invert(found)
        case ((ast.Is() | ast.IsNot() | ast.In() | ast.NotIn()), _):
            raise ValueError(f"{left.text} before is or in: write COLUMN is null, or COLUMN in ['a', 'b']")
    return _compared(_COMPARISONS[type(operator)], left, _value(right, rows))


def _compared(compare: Callable[[Any, Any], pa.ChunkedArray], left: _Value, right: _Value) -> pa.ChunkedArray:
    if left.kind != right.kind or left.kind == "true or false":
        raise ValueError(
            f"{left.text} is {left.kind} and {right.text} is {right.kind}: compare numbers with numbers or texts with "
            "texts; a column of true and false stands by itself"
        )
    if not (left.is_column or right.is_column):
        raise ValueError(f"{left.text} is compared with {right.text}, expected a column on one side")
    one, other = left.data, right.data
    if pa.float32() in (one.type, other.type):  # as the catalog holds it, so that 0.7 is 0.7
        one, other = (pc.cast(each, pa.float32(), safe=False) for each in (one, other))
    return compare(one, other)


def _value(node: ast.expr, rows: pa.Table) -> _Value:
    text = ast.unparse(node)
    match node:
        case ast.Name(name) if name in CATALOG_SCHEMA.names:
            return _Value(rows.column(name), _kind(CATALOG_SCHEMA.field(name).type), text)
        case ast.Name():
            raise ValueError(f"{text} is not a column of the catalog, which has {', '.join(CATALOG_SCHEMA.names)}")
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)) if _is_number(number):
            return _Value(pa.scalar(-number), "a number", text)
        case ast.Constant(int() | float() as number) if _is_number(number):
            return _Value(pa.scalar(number), "a number", text)
        case ast.Constant(str() as words):
            return _Value(pa.scalar(words), "a text", text)
    raise ValueError(f"{text} has no place in a condition: expected a column, a number, or a text in quotes")


def _is_number(value: float) -> bool:
    return not isinstance(value, bool) and abs(value) <= _LARGEST_NUMBER


def _kind(column: pa.DataType) -> Kind:
    return "a text" if pa.types.is_string(column) else "true or false" if pa.types.is_boolean(column) else "a number"

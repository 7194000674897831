"""A condition keeps the rows that SQLite keeps, and one that can't be put to the catalog is refused in a sentence."""

from __future__ import annotations

import sqlite3
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.select.condition import checked, columns_of, meets
from stores.catalog import CATALOG_SCHEMA

NUMBERS = ("length", "snr_db", "silent_fraction", "start", "gain_db")
TEXTS = ("word", "speaker")
TRUTHS = ("cut_start", "cut_end")

quarters = st.integers(-8, 8).map(lambda value: value / 4)
"""Few different numbers, which float32 and float64 hold alike."""
words = st.sampled_from(["cat", "dog", "it's"])


def row_of(numbers: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    values = {
        **dict.fromkeys(NUMBERS, st.none() | numbers),
        **dict.fromkeys(TEXTS, st.none() | words),
        **dict.fromkeys(TRUTHS, st.none() | st.booleans()),
    }
    whole = {name: (st.none() | st.integers(-2, 2)) for name in ("length", "start")}
    return st.fixed_dictionaries({**values, **whole})


def quoted(word: str) -> str:
    """A text as Python writes it between double quotes; SQLite is given another form."""
    return f'"{word}"'


comparisons = st.one_of(
    st.builds(
        lambda left, compare, right: f"{left} {compare} {right}",
        st.sampled_from(NUMBERS),
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.sampled_from(NUMBERS) | quarters.map(str),
    ),
    st.builds(
        lambda left, compare, right: f"{left} {compare} {right}",
        words.map(quoted) | st.sampled_from(TEXTS),
        st.sampled_from(["<", ">=", "==", "!="]),
        st.sampled_from(TEXTS),
    ),
    st.builds(
        lambda left, is_in, one, other: f"{left} {is_in} ({one}, {other})",
        st.sampled_from(TEXTS),
        st.sampled_from(["in", "not in"]),
        words.map(quoted),
        words.map(quoted),
    ),
    st.builds(
        lambda left, null: f"{left} is {null}",
        st.sampled_from((*NUMBERS, *TEXTS, *TRUTHS)),
        st.sampled_from(["null", "not null"]),
    ),
    st.sampled_from(TRUTHS),
)
conditions = st.recursive(
    comparisons,
    lambda parts: st.one_of(
        st.builds(lambda left, join, right: f"{left} {join} {right}", parts, st.sampled_from(["and", "or"]), parts),
        parts.map(lambda part: f"not ({part})"),
        parts.map(lambda part: f"({part})"),
    ),
    max_leaves=8,
)


def by_sqlite(condition: str, rows: list[dict[str, Any]]) -> list[bool]:
    """Which rows SQLite keeps."""
    sql = condition.replace("'", "''").replace('"', "'")
    names = (*NUMBERS, *TEXTS, *TRUTHS)
    with sqlite3.connect(":memory:") as base:
        base.execute(f"CREATE TABLE catalog (number INTEGER, {', '.join(names)})")
        marks = ", ".join("?" * (len(names) + 1))
        base.executemany(
            f"INSERT INTO catalog VALUES ({marks})",
            [(number, *(row[name] for name in names)) for number, row in enumerate(rows)],
        )
        kept = {number for (number,) in base.execute(f"SELECT number FROM catalog WHERE {sql}")}
    base.close()
    return [number in kept for number in range(len(rows))]


@given(conditions, st.lists(row_of(quarters), max_size=12))
def test_the_rows_that_meet_a_condition_are_those_that_sqlite_keeps(condition: str, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, CATALOG_SCHEMA)
    assert meets(checked(condition), table).to_pylist() == by_sqlite(condition, rows)


@pytest.mark.parametrize("condition", ["snr_db >= 0.7", "snr_db == 0.7", "0.7 <= snr_db", "not snr_db < 0.7"])
def test_a_decimal_number_is_the_one_that_the_catalog_holds(condition: str) -> None:
    table = pa.Table.from_pylist([{"snr_db": 0.7}, {"snr_db": 0.69}], CATALOG_SCHEMA)
    assert meets(condition, table).to_pylist() == [True, False]


def test_a_condition_names_its_columns() -> None:
    assert columns_of("snr_db > 10 and (speaker is null or not cut_end)") == {"snr_db", "speaker", "cut_end"}


def test_a_condition_may_stand_on_several_lines_in_parentheses() -> None:
    table = pa.Table.from_pylist([{"length": 8_000, "word": "cat"}], CATALOG_SCHEMA)
    assert meets("(length > 10\n  and word == 'cat')\n", table).to_pylist() == [True]


MISTAKES = {
    "": "can't be read as a condition: write one as in",
    "snr_db > 10 &&": "can't be read as a condition",
    "not " * 5_000 + "cut_end": "can't be read as a condition",
    "snr > 10": "snr is not a column of the catalog, which has id, word, speaker",
    "snr_db": "snr_db is a number, expected a comparison or a column of true and false",
    "'cut_end'": "is a text, expected a comparison",
    "word > 3": "word is a text and 3 is a number",
    "cut_end == 1": "a column of true and false stands by itself",
    "cut_end == cut_start": "a column of true and false stands by itself",
    "cut_end == True": "True has no place in a condition",
    "1 < 2": "1 is compared with 2, expected a column on one side",
    "'a' in ['a', 'b']": "expected a column on one side",
    "1 < length < 3": "compare two values at a time",
    "word in []": "write COLUMN is null, or COLUMN in ['a', 'b']",
    "word in 'cat'": "write COLUMN is null",
    "word is None": "write COLUMN is null",
    "5 is null": "write COLUMN is null",
    "null > 3": "null is not a column",
    "length > 10 ** 9": "10 ** 9 has no place in a condition",
    "length > 1e400": "has no place in a condition",
    "length > -9007199254740993": "has no place in a condition",
    "length + 1 > 3": "length + 1 has no place in a condition",
    "__import__('os')": "has no place in a condition",
    "(lambda: length)() > 3": "has no place in a condition",
    "length.__class__ == 'a'": "has no place in a condition",
}


@pytest.mark.parametrize("condition", MISTAKES, ids=lambda condition: str(condition)[:20])
def test_what_is_no_condition_on_the_catalog_is_refused(condition: str) -> None:
    with pytest.raises(ValueError) as caught:
        checked(condition)
    assert MISTAKES[condition] in str(caught.value)


@given(st.text(max_size=30) | st.text("ab<>=!'\"()[],. not and or in is null snr_db length 0123456789", max_size=60))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    try:
        checked(text)
    except ValueError as error:
        assert str(error)

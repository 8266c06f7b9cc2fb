"""Which texts are one expression over one row, told by parsing alone."""

from __future__ import annotations

import re

import pytest

from ddpm_core.errors import ConfigError
from ddpm_core.expressions.check import Expression, checked

ONE_ROW = "and an expression sees one row only"


def check(*texts: str) -> tuple[Expression, ...]:
    return checked({f"c{number}": text for number, text in enumerate(texts)}, "column {}")


READS = (
    ("upper(a)", ("a",)),
    (" \"A b\" || 'x;--' ", ("A b",)),
    ("s.f.g + s.h", ("s",)),
    ("a is not null and b in (1, c)", ("a", "b", "c")),
    ("case when a then b end", ("a", "b")),
    ("try_cast(a as decimal(10, 2))", ("a",)),
    ("a::uuid", ("a",)),
    ("list_filter(l, lambda X: x > y)", ("l", "y")),
    ("list_reduce(l, lambda x, y: x + y + z)", ("l", "z")),
    ("[x + q for x in l if x > p]", ("l", "p", "q")),
    ("a -> '$.x' ->> 'y'", ("a",)),
    ("list_transform(j -> '$.l', lambda x: x -> 'k')", ("j",)),
    ("[1, 2]", ()),
    ("now() - interval 1 day", ()),
    ("list_sum(l) + list_aggregate(l, 'max')", ("l",)),
    ("regexp_matches(v, '^\\d+(\\.\\d+)*$')", ("v",)),
    ("nosuch(a)", ("a",)),
)


@pytest.fixture(scope="module")
def sound() -> dict[str, Expression]:
    """All of them in one go: a DuckDB for each would take most of the time."""
    return dict(zip((text for text, _ in READS), check(*(text for text, _ in READS)), strict=True))


@pytest.mark.parametrize(("text", "columns"), READS)
def test_an_expression_knows_what_it_reads(sound: dict[str, Expression], text: str, columns: tuple[str, ...]) -> None:
    assert sorted(sound[text].columns) == sorted(columns)
    assert sound[text].text == text.strip()
    assert sound[text].column is None


def test_an_expression_that_is_a_column_says_so() -> None:
    assert [found.column for found in check("a", '"b c"', "(a)", "a.b", "a + 1")] == ["a", "b c", "a", None, None]


def test_it_knows_its_metadata() -> None:
    (found,) = check("_topic || _partition || other || _nothing")
    assert found.metadata == {"_topic", "_partition"}


REFUSED = (
    ("", "the expression is empty"),
    ("a\0b", "the expression holds a NUL character"),
    ("a; drop table b", "it holds a semicolon, and is one expression, no statement"),
    ("a;", "it holds a semicolon, and is one expression, no statement"),
    ("a -- b", "it holds a comment, which in YAML's folded text swallows what follows: use # outside of it"),
    ("a /* b */ + 1", "it holds a comment, which in YAML's folded text swallows what follows: use # outside of it"),
    ("a) FROM (SELECT 1", 'it is no SQL expression: syntax error at or near ")"'),
    ("a +", 'it is no SQL expression: syntax error at or near "+"'),
    ("a, b", "it is several values, and a column takes one"),
    ("a AS b", "it names its value with AS, and the column's name is said already"),
    *(
        (text, "it is more than an expression: clauses such as FROM, WHERE or ORDER BY have no place here")
        for text in ("a FROM t", "a WHERE b", "DISTINCT a", "a LIMIT 1", "a ORDER BY b", "a UNION SELECT 1", "a GROUP BY a")
    ),
    *((text, f"it holds a subquery, {ONE_ROW}") for text in ("(SELECT 1)", "exists(SELECT 1)", "a IN (SELECT 1)")),
    ("sum(a) OVER ()", f"it holds a window function, {ONE_ROW}"),
    ("sum(a)", f"sum() is an aggregate function, {ONE_ROW}"),
    ("count(*)", f"count_star() is an aggregate function, {ONE_ROW}"),
    ("1 + wavg(a, b)", f"wavg() is an aggregate function, {ONE_ROW}"),
    ("json_group_array(a)", f"json_group_array() is an aggregate function, {ONE_ROW}"),
    ("*", "it holds a *, and an expression gives one value: name the columns"),
    ("COLUMNS('a.*')", "it holds a *, and an expression gives one value: name the columns"),
    ("$1", "it holds a placeholder ($1, ?), and there is nothing to put into it"),
    ("#1", "it holds a #, and columns are named"),
    ("unnest(a)", "unnest() makes several rows, and an expression gives one value"),
    ("a.upper()", "it calls upper() with a dot: write upper(…) with what it takes in the parentheses"),
    *(
        (f"{name}('x')", f"{name}() is not allowed here")
        for name in ("getenv", "current_setting", "sleep_ms", "pg_sleep", "write_log", "nextval", "json_execute_serialized_sql")
    ),
)


@pytest.fixture(scope="module")
def refused() -> dict[str, str]:
    with pytest.raises(ConfigError) as failed:
        check(*(text for text, _ in REFUSED))
    return {REFUSED[int(re.sub(r"\D", "", problem.where))][0]: problem.what for problem in failed.value.problems}


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_all_else_is_refused_with_why(refused: dict[str, str], text: str, said: str) -> None:
    assert refused[text] == said


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as failed:
        check("sum(a)", "upper(a)", "a;")
    assert [item.where for item in failed.value.problems] == ["column 'c0'", "column 'c2'"]

"""The statements, as each database gets them."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy
import sqlglot
from sqlalchemy.dialects import mssql, mysql, oracle, sqlite
from sqlalchemy.dialects.postgresql import psycopg2

from ddpm_sql.cursor import Mark
from ddpm_sql.source_options import SqlSourceOptions
from ddpm_sql.source_statement import Statements

DIALECTS = {
    "tsql": mssql.dialect(),
    "oracle": oracle.dialect(),
    "mysql": mysql.dialect(),
    "postgres": psycopg2.dialect(),
    "sqlite": sqlite.dialect(),
}  # fmt: skip
MARK = Mark(("a", "b"), (1, "x"))


def statements(**options: Any) -> Statements:
    return Statements(SqlSourceOptions(url="sqlite:///x.db", **options))


def text(statement: sqlalchemy.Executable, dialect: Any = None) -> str:
    return " ".join(str(statement.compile(dialect=dialect or sqlite.dialect())).split())  # type: ignore[attr-defined]


def test_rows_behind_a_mark_compare_column_by_column() -> None:
    made = statements(table="s.orders", cursor="a,b").behind(["a", "b", "c"], MARK, until=9, ranked=True)
    assert text(made) == (
        "SELECT a, b, c, dense_rank() OVER (ORDER BY a, b) AS ddpm_rank FROM s.orders "
        "WHERE a >= ? AND (a > ? OR a = ? AND b > ?) AND a <= ? ORDER BY a, b"
    )


def test_rows_behind_a_mark_of_one_column() -> None:
    made = statements(query="SELECT * FROM t -- all", cursor="a", cursor_nulls="skip")
    assert text(made.behind(["a"], Mark(("a",), (1,)), ranked=False)) == (
        "SELECT a FROM (SELECT * FROM t -- all ) AS ddpm_query WHERE a > ? AND a IS NOT NULL ORDER BY a"
    )
    assert text(made.behind(["a"], None, start=5, ranked=False)).endswith("WHERE a >= ? AND a IS NOT NULL ORDER BY a")


def test_a_query_without_a_cursor_runs_as_it_stands() -> None:
    query = "SELECT a::int, ':x', '100%', '\\:y' FROM t WHERE b LIKE '%:z%';\n"
    assert str(statements(query=query).everything().compile(dialect=sqlite.dialect())) == f"{query.strip(';' + chr(10))}\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", list(DIALECTS))
def test_every_statement_is_sql_of_its_dialect(name: str) -> None:
    made = statements(table="s.Order Items", cursor="a,b", cursor_nulls="skip")
    for statement in (
        made.everything(),
        made.no_rows(),
        made.any_null(),
        made.count_nulls(),
        made.ends(),
        made.behind(["a", "b", "select"], MARK, until=9, ranked=True),
        made.behind(["a", "b"], None, start=1, ranked=False),
    ):
        compiled = str(statement.compile(dialect=DIALECTS[name], compile_kwargs={"render_postcompile": True}))  # type: ignore[attr-defined]
        assert sqlglot.parse_one(_plain(compiled), read=name)


def _plain(compiled: str) -> str:
    """Parameters in the one form that sqlglot reads in every dialect."""
    return re.sub(r"%\(\w+\)s(::\w+)?|:\w+|%s|\?|\[?__\w+\]?", "42", compiled)


def test_t_sql_looks_for_one_null_with_top() -> None:
    assert text(statements(table="t", cursor="a").any_null(), mssql.dialect()).startswith("SELECT TOP ")

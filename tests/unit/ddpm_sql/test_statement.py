"""Statements in each driver's form, and the literals that MariaDB gets."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_sql.mariadb import _pieces, _tuples, literals
from ddpm_sql.statement import PLACEHOLDER as P
from ddpm_sql.statement import spelled


@pytest.mark.parametrize(
    ("style", "driver", "text", "parameters"),
    [
        ("qmark", "pysqlite", 'SELECT "50%? :x" WHERE a = ? AND b = ?', (1, b"")),
        ("pyformat", "psycopg2", 'SELECT "50%%? :x" WHERE a = %s AND b = %s', (1, b"")),
        ("format", "pymysql", 'SELECT "50%%? :x" WHERE a = %s AND b = %s', (1, b"")),
        ("pyformat", "pymssql", 'SELECT "50%? :x" WHERE a = %s AND b = 0x', (1,)),
        ("named", "oracledb", 'SELECT "50%? :x" WHERE a = :p0 AND b = :p1', {"p0": 1, "p1": b""}),
        ("numeric", "other", 'SELECT "50%? :x" WHERE a = :1 AND b = :2', (1, b"")),
    ],
)
def test_a_name_is_never_taken_for_a_parameter(style: str, driver: str, text: str, parameters: Any) -> None:
    dialect: Any = SimpleNamespace(paramstyle=style, driver=driver)
    assert spelled(f'SELECT "50%? :x" WHERE a = {P} AND b = {P}', [1, b""], dialect) == (text, parameters)


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (pa.array([True, None]), [b"1", b"NULL"]),
        (pa.array([-(2**63), 2**63 - 1]), [b"-9223372036854775808", b"9223372036854775807"]),
        (pa.array([0.1, 1e300, 5e-324]), [b"0.1", b"1e+300", b"5e-324"]),
        (pa.array([Decimal("-1.10")], pa.decimal128(5, 2)), [b"'-1.10'"]),
        (pa.array([dt.date(1, 2, 3)]), [b"'0001-02-03'"]),
        (pa.array([dt.time(1, 2, 3, 4)], pa.time64("us")), [b"'01:02:03.000004'"]),
        (pa.array([dt.datetime(2024, 1, 2, tzinfo=dt.UTC)], pa.timestamp("us", "+02:00")), [b"'2024-01-02 00:00:00.000000'"]),
        (pa.array(["it's \\ \x00 é", "NULL", ""]), ["'it\\'s \\\\ \x00 é'".encode(), b"'NULL'", b"''"]),
        (pa.array([b"\x00\xff'", b"", None]), [b"x'00ff27'", b"x''", b"NULL"]),
        (pa.array([b"ab", b"cd", b"ef"]).slice(1, 1), [b"x'6364'"]),
        (pa.array([b"ab"], pa.binary(2)), [b"x'6162'"]),
        (pa.array(["{}"], pa.json_()), [b"'{}'"]),
        (pa.array([bytes(15) + b"\x0f"], pa.uuid()), [b"'00000000-0000-0000-0000-00000000000f'"]),
    ],
)  # fmt: skip
def test_values_are_literals(column: pa.Array, wanted: list[bytes]) -> None:
    assert literals(column).to_pylist() == wanted


@given(st.lists(st.one_of(st.none(), st.binary(max_size=20)), max_size=30), st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_bytes_are_hexadecimal_whatever_the_slice(values: list[bytes | None], start: int) -> None:
    column = pa.array(values, pa.binary()).slice(min(start, len(values)))
    assert literals(column).to_pylist() == [b"NULL" if v is None else b"x'" + v.hex().encode() + b"'" for v in column.to_pylist()]


def test_statements_are_cut_between_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm_sql.mariadb.STATEMENT_BYTES", 30)
    rows = _tuples(pa.RecordBatch.from_pydict({"a": [1, 2, 3, 4, 5], "t": ["x", "y" * 100, "z", None, "z" * 12]}))
    cut = [piece.to_pylist() for piece in _pieces(rows)]
    assert [row for piece in cut for row in piece] == rows.to_pylist()
    assert all(piece for piece in cut)
    assert len(cut) == 4

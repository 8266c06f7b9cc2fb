"""Statements as DDPM's core writes them, in the form that a driver takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Dialect

PLACEHOLDER = "\x00"
"""A parameter. No name holds this character, so that what stands in a quoted name is never taken for a parameter."""


def spelled(sql: str, parameters: Sequence[Any], dialect: Dialect) -> tuple[str, Any]:
    """The statement and its parameters as the dialect's driver takes them.

    Args:
        sql: With a `PLACEHOLDER` for each parameter.
        parameters: In their order.
        dialect: SQLAlchemy's, with a driver.
    """
    pieces = sql.split(PLACEHOLDER)
    if dialect.driver == "pymssql":
        return _for_pymssql(pieces, parameters)
    match dialect.paramstyle:
        case "qmark":
            return "?".join(pieces), tuple(parameters)
        case "format" | "pyformat":
            return "%s".join(piece.replace("%", "%%") for piece in pieces), tuple(parameters)
        case "named":
            marked = [f":p{number}{piece}" for number, piece in enumerate(pieces[1:])]
            return pieces[0] + "".join(marked), {f"p{number}": value for number, value in enumerate(parameters)}
        case _:  # numeric
            return pieces[0] + "".join(f":{number}{piece}" for number, piece in enumerate(pieces[1:], 1)), tuple(parameters)


def _for_pymssql(pieces: Sequence[str], parameters: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """pymssql reads `%%` as two characters (what `%s` in a name would do, `Mssql.name_problem` prevents), and writes no bytes as a text."""
    marked = [f"{'0x' if value == b'' else '%s'}{piece}" for value, piece in zip(parameters, pieces[1:], strict=True)]
    return pieces[0] + "".join(marked), tuple(value for value in parameters if value != b"")

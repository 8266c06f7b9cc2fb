"""Is this text one expression that is judged row by row? Found out by parsing, before anything runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from ddpm_core.errors import ConfigError, Problem
from ddpm_core.expressions.metadata import METADATA
from ddpm_core.expressions.sandbox import sandbox
from ddpm_core.values import dataclass

_REFUSED_CLASSES = {
    "SUBQUERY": "it holds a subquery, and an expression sees one row only",
    "WINDOW": "it holds a window function, and an expression sees one row only",
    "STAR": "it holds a *, and an expression gives one value: name the columns",
    "PARAMETER": "it holds a placeholder ($1, ?), and there is nothing to put into it",
    "DEFAULT": "it holds DEFAULT, which is no value here",
    "POSITIONAL_REFERENCE": "it holds a #, and columns are named",
}
_REFUSED_TYPES = {"GROUPING_FUNCTION": "it holds GROUPING, and an expression sees one row only"}
_MANY_ROWS = frozenset({"unnest", "unlist", "generate_subscripts", "regexp_split_to_table"})
_NOT_FOR_ROWS = frozenset({
    "current_query", "current_query_id", "current_setting", "currval", "from_substrait", "getenv", "getvariable",
    "json_deserialize_sql", "json_execute_serialized_sql", "json_serialize_plan", "nextval", "pg_sleep", "setseed",
    "setval", "sleep_ms", "which_secret", "write_log",
})  # fmt: skip
"""Functions that do something besides giving a value, or tell of the process instead of the row."""

_TAKE_LAMBDAS = frozenset(
    f"{prefix}{name}" for prefix in ("", "list_", "array_") for name in ("apply", "transform", "filter", "reduce")
)
"""Everywhere else `x -> y` is how a field of JSON is taken, and `x` a column."""

SQL_VALUES = frozenset({
    "current_catalog", "current_date", "current_role", "current_schema", "current_time", "current_timestamp",
    "current_user", "localtime", "localtimestamp", "session_user", "user",
})  # fmt: skip
"""Words that are values where no column has that name."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression that was found to be sound.

    Attributes:
        name: Of the column that it makes.
        text: As the user wrote it, without blanks around it.
        columns: What it reads, as written: top-level names, in the order of their first use.
        column: The column that it is, where it is nothing but a column.
    """

    name: str
    text: str
    columns: tuple[str, ...]
    column: str | None

    @property
    def metadata(self) -> frozenset[str]:
        """The metadata columns that it names."""
        return frozenset(self.columns) & METADATA


def named(expression: Expression) -> str:
    """The expression in a message about a row."""
    text = " ".join(expression.text.split())
    return f"{expression.name} = {text if len(text) <= 100 else text[:100] + '…'}"


def checked(expressions: Mapping[str, str], where: str) -> tuple[Expression, ...]:
    """The expressions, checked without running any of them.

    Args:
        expressions: Column -> its expression.
        where: Says whose they are; `{}` stands for the column.

    Raises:
        ConfigError: With every one that is no sound expression: a syntax error, several values or statements, a clause, a comment (which
            in folded YAML would swallow what follows), a subquery, an aggregate or window function, a function that makes several rows or
            that does something besides giving a value.
    """
    connection = sandbox()
    try:
        found: list[Expression] = []
        problems: list[Problem] = []
        for name, text in expressions.items():
            outcome = _checked(connection, name, text.strip())
            if isinstance(outcome, Expression):
                found.append(outcome)
            else:
                problems.append(Problem(where.format(repr(name)), outcome))
    finally:
        connection.close()
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def _checked(connection: duckdb.DuckDBPyConnection, name: str, text: str) -> Expression | str:
    """The expression, or what is wrong with it."""
    if not text:
        return "the expression is empty"
    if "\0" in text:
        return "the expression holds a NUL character"
    if problem := _stray_tokens(text):
        return problem
    tree = _parsed(connection, text)
    if isinstance(tree, str):
        return tree
    nodes = list(_nodes(tree, frozenset()))
    for node, _ in nodes:
        if problem := _REFUSED_CLASSES.get(node["class"]) or _REFUSED_TYPES.get(node["type"], ""):
            return problem
        if node["class"] == "FUNCTION" and (node["schema"] or node["catalog"]):
            return f"it calls {node['function_name']}() with a dot: write {node['function_name']}(…) with what it takes in the parentheses"
    functions = {node["function_name"].lower() for node, _ in nodes if node["class"] == "FUNCTION" and not node["is_operator"]}
    if problem := _refused_function(connection, functions):
        return problem
    read = [
        node["column_names"][0]
        for node, bound in nodes
        if node["class"] == "COLUMN_REF" and node["column_names"][0].lower() not in bound
    ]
    alone = tree["column_names"][0] if tree["class"] == "COLUMN_REF" and len(tree["column_names"]) == 1 else None
    return Expression(name, text, tuple(dict.fromkeys(read)), alone)


def _stray_tokens(text: str) -> str:
    """Semicolons and comments: a parser would take them, and the user would not get what the text says."""
    for start, kind in duckdb.tokenize(text):
        if kind == duckdb.token_type.comment:
            return "it holds a comment, which in YAML's folded text swallows what follows: use # outside of it"
        if kind == duckdb.token_type.operator and text.encode()[start : start + 1] == b";":
            return "it holds a semicolon, and is one expression, no statement"
    return ""


def _parsed(connection: duckdb.DuckDBPyConnection, text: str) -> dict[str, Any] | str:
    """The expression's tree, or what is wrong with the text."""
    answer = _tree(connection, f"SELECT {text}\n")
    if answer.get("error"):
        return f"it is no SQL expression: {answer['error_message']}"
    plain = _tree(connection, "SELECT 1\n")
    (statement,), (plain_statement,) = answer["statements"], plain["statements"]
    node, plain_node = statement["node"], plain_statement["node"]
    values = node.get("select_list", ())
    if _without(node, "select_list") != _without(plain_node, "select_list"):
        return "it is more than an expression: clauses such as FROM, WHERE or ORDER BY have no place here"
    if len(values) != 1:
        return "it is several values, and a column takes one"
    if values[0]["alias"]:
        return "it names its value with AS, and the column's name is said already"
    # In parentheses it must be the same, since that is how it is run.
    return values[0] if not _tree(connection, f"SELECT (\n{text}\n)").get("error") else "it is no SQL expression"


def _tree(connection: duckdb.DuckDBPyConnection, statement: str) -> dict[str, Any]:
    row = connection.execute("SELECT json_serialize_sql(?)", [statement]).fetchone()
    tree: dict[str, Any] = json.loads(row[0]) if row else {}
    return tree


def _without(node: Any, *names: str) -> Any:
    """A tree without these names, and without where in the text things are."""
    if isinstance(node, dict):
        left_out = (*names, "query_location", "query_location_length")
        return {key: _without(value) for key, value in node.items() if key not in left_out}
    return [_without(value) for value in node] if isinstance(node, list) else node


def _nodes(node: Any, bound: frozenset[str]) -> Iterator[tuple[dict[str, Any], frozenset[str]]]:
    """Every expression in a tree, with the names that lambdas around it have bound."""
    if isinstance(node, list):
        for part in node:
            yield from _nodes(part, bound)
        return
    if not isinstance(node, dict):
        return
    if "class" in node and "type" in node:
        yield node, bound
    if node.get("class") == "FUNCTION" and node["function_name"].lower() in _TAKE_LAMBDAS:
        first, *others = [argument["expression"] for argument in node["arguments"]] or [None]
        yield from _nodes(first, bound)
        for other in others:
            is_lambda = other["class"] == "LAMBDA"
            yield from _nodes(other["expr"] if is_lambda else other, bound | _parameters(other["lhs"]) if is_lambda else bound)
        return
    for part in node.values():
        yield from _nodes(part, bound)


def _parameters(node: Any) -> frozenset[str]:
    """The names that a lambda binds: `x`, or `(x, y)`."""
    return frozenset(part["column_names"][0].lower() for part, _ in _nodes(node, frozenset()) if part["class"] == "COLUMN_REF")


def _refused_function(connection: duckdb.DuckDBPyConnection, names: set[str]) -> str:
    """What is wrong with the functions of these names, or an empty string."""
    for name in sorted(names):
        if name in _MANY_ROWS:
            return f"{name}() makes several rows, and an expression gives one value"
        if name in _NOT_FOR_ROWS or name.startswith("__internal"):
            return f"{name}() is not allowed here"
    aggregate = sorted(_aggregates(connection, names))
    if aggregate:
        return f"{aggregate[0]}() is an aggregate function, and an expression sees one row only"
    return ""


def _aggregates(connection: duckdb.DuckDBPyConnection, names: set[str]) -> set[str]:
    """Those of these functions that need several rows, macros that are made of such functions included."""
    if not names:
        return set()
    rows = connection.execute(
        "SELECT function_name, list(DISTINCT function_type), max(macro_definition) FROM duckdb_functions() "
        "WHERE lower(function_name) IN (SELECT unnest(?::text[])) GROUP BY 1",
        [sorted(names)],
    ).fetchall()
    found = set()
    for name, kinds, macro in rows:
        if "macro" in kinds and macro:
            inner = {
                node["function_name"].lower()
                for node, _ in _nodes(_tree(connection, f"SELECT {macro}"), frozenset())
                if node["class"] == "FUNCTION" and not node["is_operator"]
            } - {name.lower()}
            if inner & _MANY_ROWS or _aggregates(connection, inner):
                found.add(name)
        elif {"aggregate", "window"} & set(kinds) and "scalar" not in kinds:
            found.add(name)
    return found

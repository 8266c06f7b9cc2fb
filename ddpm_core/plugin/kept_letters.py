"""Dead letters read back from the tables that they are kept in, for `ddpm dlq`: one way for every database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.plugin.ledger import DEAD_LETTER_COLUMNS
from ddpm_core.plugin.names import split_table
from ddpm_core.records import DeadLetter


@dataclass(frozen=True, slots=True)
class LetterSpelling:
    """How a database spells the questions that a `DeadLetterFilter` asks. `{c}` stands for the column, `{p}` for the parameter.

    Attributes:
        placeholder: A parameter.
        same: The column is this text.
        contains: This text is somewhere in the column.
        begins: The column begins with this text.
        view: The column `view` as text.
        first: Where the limit stands: `LIMIT n` at the end, or `TOP (n)` at the beginning.
    """

    placeholder: str
    same: str = "{c} = {p}"
    contains: str = "position({p} in {c}) > 0"
    begins: str = "starts_with({c}, {p})"
    view: str = "{c}"
    first: Literal["limit", "top"] = "limit"


Ask = Callable[[str, Sequence[Any]], Iterable[Sequence[Any]]]


def kept_letters(
    wanted: DeadLetterFilter, tables: Mapping[str, str], ask: Ask, quote: Callable[[str], str], spelling: LetterSpelling
) -> list[DeadLetter]:
    """The dead letters that the filter lets through, newest first.

    Args:
        wanted: The filter.
        tables: Schema -> the table of dead letters in it, quoted for statements.
        ask: Runs a query and returns its rows.
        quote: Quotes an identifier.
        spelling: The database's.
    """
    found: list[DeadLetter] = []
    for schema, table in tables.items():
        conditions, values = _conditions(wanted, schema, quote, spelling)
        columns = ", ".join(spelling.view.format(c=quote(name)) if name == "view" else quote(name) for name in DEAD_LETTER_COLUMNS)
        top, limit = ("", f" LIMIT {wanted.limit}") if spelling.first == "limit" else (f"TOP ({wanted.limit}) ", "")
        order = f"{quote('created_at')} DESC, {quote('source')}, {quote('record_offset')}, {quote('id')}"
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        rows = ask(f"SELECT {top}{columns} FROM {table}{where} ORDER BY {order}{limit}", values)
        found += [_letter(row) for row in rows]
    found.sort(key=lambda letter: letter.created_at, reverse=True)
    return found[: wanted.limit]


def _conditions(
    wanted: DeadLetterFilter, schema: str, quote: Callable[[str], str], spelling: LetterSpelling
) -> tuple[list[str], list[Any]]:
    questions: list[tuple[str, str, str]] = []
    if wanted.table:
        given, table = split_table(wanted.table)
        questions.append((spelling.same, "target", f"{given or schema}.{table}"))
    for template, column, text in (
        (spelling.same, "reason", wanted.reason),
        (spelling.contains, "source", wanted.source),
        (spelling.begins, "id", wanted.id),
    ):
        if text:
            questions.append((template, column, text))
    conditions = [template.format(c=quote(column), p=spelling.placeholder) for template, column, _ in questions]
    return conditions, [text for _, _, text in questions]


def _letter(row: Sequence[Any]) -> DeadLetter:
    """Databases without a type for a column give its text or its bytes, and times without a zone are in UTC."""
    values = dict(zip(DEAD_LETTER_COLUMNS, row, strict=True))
    values["offset"] = values.pop("record_offset")
    values["payload"] = bytes(values["payload"])
    for name, value in values.items():
        if isinstance(value, bytes) and name != "payload":
            values[name] = value.decode()
    created = values["created_at"]
    if isinstance(created, str):
        created = datetime.fromisoformat(created)
    values["created_at"] = created.replace(tzinfo=timezone.utc) if created.tzinfo is None else created  # noqa: UP017
    return DeadLetter(**values)

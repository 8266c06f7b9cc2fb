"""Rows of Python values as Arrow batches, for parsers that decode record by record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import pyarrow as pa

from ddpm_core.records import Reject
from ddpm_core.schema.complaint import complaint, shown
from ddpm_core.schema.python_kinds import inferred_type
from ddpm_core.schema.types import JSON, sql_name
from ddpm_core.schema.values import column_of
from ddpm_core.values import dataclass

MAX_COLUMNS = 1_600
"""The most columns that rows can bring; Postgres holds no more. Keys that are data would grow the schema without end."""


@dataclass(slots=True)
class Built:
    """What became of some rows.

    Attributes:
        data: The rows that are well, in their order, or None when none is.
        kept: Row of `data` -> row that came in.
        rejects: The others, one each; `index` is the row number that came in.
    """

    data: pa.RecordBatch | None
    kept: list[int]
    rejects: list[Reject]


class RowBuilder:
    """Makes batches of rows by DDPM's written rules (docs/schema.md), never by a library's guess.

    A column has the type that is expected of it, else the one learned when its first value was seen: the type of most values of
    that batch. A value that does not fit costs its row, and never changes the column. Columns that appear late are added at the
    end. A column without any value so far has type null.

    One instance serves one stream of rows; it is not thread-safe.
    """

    def __init__(self) -> None:
        self._exactly: dict[str, pa.DataType] = {}
        self._expected: dict[str, pa.DataType] = {}
        self._learned: dict[str, pa.DataType] = {}

    def expect(self, schema: pa.Schema) -> None:
        """The types that columns of these names shall have from now on. Names match exactly, or else when only case differs."""
        folded: dict[str, pa.DataType | None] = {}
        for field in schema:
            folded[field.name.casefold()] = None if field.name.casefold() in folded else field.type
        self._expected = {name: data_type for name, data_type in folded.items() if data_type is not None}
        self._exactly = {field.name: field.type for field in schema}

    def build(self, rows: Sequence[Mapping[str, Any]]) -> Built:
        """A batch of these rows. Missing keys are null; keys that are no str count as `str(key)`."""
        rejects: dict[int, Reject] = {}
        rows = self._objects(rows, rejects)
        rows = self._learn_names(rows, rejects)
        columns = [self._column(name, _values(name, rows), rejects) for name in self._learned]
        if not columns:
            for row in range(len(rows)):
                rejects.setdefault(row, Reject(row, "no_columns", "the record has no fields"))
        kept = [row for row in range(len(rows)) if row not in rejects] if rejects else list(range(len(rows)))
        if not kept:
            return Built(None, [], [rejects[row] for row in sorted(rejects)])
        if rejects:
            wanted = pa.array(kept, pa.int64())
            columns = [column.take(wanted) for column in columns]
        data = pa.RecordBatch.from_arrays(columns, names=list(self._learned))
        return Built(data, kept, [rejects[row] for row in sorted(rejects)])

    def _objects(self, rows: Sequence[Mapping[str, Any]], rejects: dict[int, Reject]) -> Sequence[Mapping[str, Any]]:
        if set(map(type, rows)) <= {dict}:
            return rows
        objects: list[Mapping[str, Any]] = []
        for row, value in enumerate(rows):
            if isinstance(value, Mapping):
                objects.append(dict(value))
            else:
                rejects[row] = Reject(row, "not_an_object", f"the record is no object with fields, but {shown(value)}")
                objects.append({})
        return objects

    def _learn_names(self, rows: Sequence[Mapping[str, Any]], rejects: dict[int, Reject]) -> Sequence[Mapping[str, Any]]:
        """Add the columns that are new, and return the rows with keys that are str."""
        names = dict.fromkeys(chain.from_iterable(rows))
        if not set(map(type, names)) <= {str}:
            rows = [_with_text_keys(row, number, rejects) for number, row in enumerate(rows)]
            names = dict.fromkeys(chain.from_iterable(rows))
        for name in names:
            if name in self._learned:
                continue
            problem = self._name_problem(name)
            if not problem:
                self._learned[name] = pa.null()
                continue
            for row in range(len(rows)):
                if name in rows[row]:
                    rejects.setdefault(row, Reject(row, *problem))
        return rows

    def _name_problem(self, name: str) -> tuple[str, str] | None:
        try:
            name.encode()
        except UnicodeEncodeError:
            return "surrogate", f"the field name {shown(name)} holds half a surrogate pair, which no text may"
        if len(self._learned) >= MAX_COLUMNS:
            return "too_many_columns", f"field {shown(name)} would be column {MAX_COLUMNS + 1:,}; {MAX_COLUMNS:,} are allowed"
        return None

    def _column(self, name: str, values: list[Any], rejects: dict[int, Reject]) -> pa.Array:
        expected = self._exactly.get(name, self._expected.get(name.casefold()))
        wanted = self._learned[name] if expected is None else expected
        if wanted == pa.null():
            wanted = inferred_type(values)
        self._learned[name] = wanted
        made = column_of(values, wanted, text_is_json=expected == JSON)
        for row, fault in made.faults.items():
            message = complaint(fault.reason, name, values[row], fault.source, sql_name(wanted))
            rejects.setdefault(row, Reject(row, fault.reason, message))
        return made.data


def _values(name: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))
    except KeyError:  # Some rows lack it.
        return [row.get(name) for row in rows]


def _with_text_keys(row: Mapping[Any, Any], number: int, rejects: dict[int, Reject]) -> Mapping[str, Any]:
    named = {key if type(key) is str else str(key): value for key, value in row.items()}
    if len(named) < len(row):
        rejects.setdefault(
            number, Reject(number, "column_conflict", f"two keys of the record {shown(dict(row))} have the same text")
        )
    return named

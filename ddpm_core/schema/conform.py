"""Making the columns of a batch those of its target, and setting aside the rows that do not fit."""

from __future__ import annotations

import json
from dataclasses import field
from typing import Any

import pyarrow as pa

from ddpm_core.errors import PluginError
from ddpm_core.records import Reject
from ddpm_core.schema.cast import cast_column
from ddpm_core.schema.complaint import complain, shown
from ddpm_core.schema.names import match_names
from ddpm_core.schema.outcome import Outcome, rows_where, without
from ddpm_core.schema.text_checks import rows_invalid, rows_with_bad_utf8, rows_with_nul
from ddpm_core.schema.types import kind, plain, plain_type, sql_name
from ddpm_core.values import dataclass

_NESTED = ("list", "struct", "map")
_HOLDS_TEXT = ("text", "json", "list", "struct", "map")


@dataclass(slots=True)
class Conformed:
    """A batch as its target wants it.

    Attributes:
        data: The rows that fit, in their order, or None when none does.
        rejects: The others, one each, ordered by `index`: the row number in the batch that came in.
        kept: Row of `data` -> row that came in; None means they are the same.
    """

    data: pa.RecordBatch | None
    rejects: list[Reject] = field(default_factory=list)
    kept: list[int] | None = None

    def row(self, i: int) -> int:
        """The row number in the batch that came in."""
        return i if self.kept is None else self.kept[i]


def conform(data: pa.RecordBatch, target: pa.Schema, *, refuse_nul: bool = False, valid: bool = False) -> Conformed:
    """Cast a batch to the types of its target, by the rules of docs/schema.md.

    Columns are matched by name; the same spelling wins, else the only column that differs in case alone. The result has those
    columns of the target that the batch has, in the target's order, so that the defaults of the others apply. Columns that have
    their type already are passed on uncopied.

    Args:
        data: Rows of any Arrow types.
        target: The columns of the target; a field that is not nullable refuses null.
        refuse_nul: Set aside rows in which a text holds U+0000.
        valid: `data.validate(full=True)` has passed already.

    Raises:
        PluginError: The batch is no valid Arrow data: whoever made it is broken.
    """
    if data.num_rows == 0:
        return Conformed(None)
    work = _Work(data)
    if not valid:
        work.check_content()
    matched = match_names(data.schema.names, target.names)
    work.refuse_unknown(matched.unknown)
    columns, fields = [], []
    for wanted in target:
        sources = matched.sources.get(wanted.name)
        if not sources:
            continue
        columns.append(work.column(sources, wanted, refuse_nul=refuse_nul))
        fields.append(pa.field(wanted.name, wanted.type))
    if not columns:
        for row in range(data.num_rows):
            work.refuse(row, "no_columns", "the row has no value in any column of the target")
    return work.finish(columns, pa.schema(fields))


def unknown_fields(data: pa.RecordBatch, target: pa.Schema) -> list[pa.Field]:
    """The columns of a batch that hold a value and have no place in the target; of those that differ in case only, the first.

    Their types are without encodings: text for a dictionary of texts, and for large texts too.
    """
    found: dict[str, pa.Field] = {}
    for number in match_names(data.schema.names, target.names).unknown:
        column, name = data.column(number), data.schema.names[number]
        if kind(column.type) != "null" and _null_count(column) < data.num_rows:
            found.setdefault(name.casefold(), pa.field(name, plain(column.slice(0, 0)).type))
    return list(found.values())


def typed_fields(data: pa.RecordBatch) -> list[pa.Field]:
    """The columns of a batch that have a type, also where they hold no value; types and names as in `unknown_fields`."""
    found: dict[str, pa.Field] = {}
    for column, name in zip(data.columns, data.schema.names, strict=True):
        if kind(column.type) != "null":
            found.setdefault(name.casefold(), pa.field(name, plain(column.slice(0, 0)).type))
    return list(found.values())


class _Work:
    """The columns of one batch on their way, and what was found wrong with its rows."""

    def __init__(self, data: pa.RecordBatch) -> None:
        self.data = data
        self.names: list[str] = data.schema.names
        self.arrays: list[pa.Array] = list(data.columns)
        self.rejects: dict[int, Reject] = {}

    def refuse(self, row: int, reason: str, message: str) -> None:
        self.rejects.setdefault(row, Reject(row, reason, message))

    def check_content(self) -> None:
        """Text columns from C++ readers may hold anything; what stays of a row with such text is null there."""
        try:
            self.data.validate(full=True)
        except pa.ArrowInvalid as error:
            if not self._set_invalid_aside():
                raise PluginError(f"a batch is not valid Arrow data: {error}") from error

    def _set_invalid_aside(self) -> bool:
        """Whether rows were found that explain it."""
        for number, array in enumerate(self.arrays):
            for reason, find in (("encoding", rows_with_bad_utf8), ("arrow_invalid", rows_invalid)):
                rows = find(array)
                for row in rows:
                    self.refuse(row, reason, complain(reason, self.names[number], plain(array), row, array.type))
                if rows:
                    self.arrays[number] = without(plain(array), rows)
        return bool(self.rejects)

    def refuse_unknown(self, numbers: list[int]) -> None:
        for number in numbers:
            array = self.arrays[number]
            if _null_count(array) == len(array):
                continue
            for row in rows_where(array.is_valid()):
                message = f"the target has no column {shown(self.names[number])}; the value is {shown(array[row])} ({sql_name(array.type)})"
                self.refuse(row, "unknown_column", message)

    def column(self, sources: list[int], wanted: pa.Field, *, refuse_nul: bool) -> pa.Array:
        made = self._cast(sources[0], wanted)
        for number in sources[1:]:
            made = self._coalesce(made, self._cast(number, wanted), (sources[0], number), wanted)
        if not wanted.nullable and made.null_count:
            for row in rows_where(made.is_null()):
                self.refuse(row, "null_value", f"column {shown(wanted.name)} must not be null")
        if refuse_nul and kind(plain_type(wanted.type)) in _HOLDS_TEXT:
            for row in rows_with_nul(made):
                self.refuse(row, "nul_char", complain("nul_char", wanted.name, made, row, wanted.type))
        return made

    def _cast(self, number: int, wanted: pa.Field) -> pa.Array:
        array = self.arrays[number]
        made, bad = _by_value(array, wanted.type) if _needs_values(array.type, wanted.type) else cast_column(array, wanted.type)
        for row, reason in bad.items():
            self.refuse(row, reason, complain(reason, wanted.name, array, row, wanted.type))
        return made

    def _coalesce(self, first: pa.Array, second: pa.Array, numbers: tuple[int, int], wanted: pa.Field) -> pa.Array:
        rows = []
        for row, (one, other) in enumerate(zip(first.is_valid().to_pylist(), second.is_valid().to_pylist(), strict=True)):
            rows.append(row + len(first) if other and not one else row)
            if one and other:
                names = " and ".join(shown(self.names[number]) for number in numbers)
                message = f"columns {names} both have a value, and the target has only {shown(wanted.name)}"
                self.refuse(row, "column_conflict", message)
        return pa.concat_arrays([first, second]).take(pa.array(rows, pa.int64()))

    def finish(self, columns: list[pa.Array], schema: pa.Schema) -> Conformed:
        if not self.rejects:
            return Conformed(pa.RecordBatch.from_arrays(columns, schema=schema))
        rejects = [self.rejects[row] for row in sorted(self.rejects)]
        kept = [row for row in range(self.data.num_rows) if row not in self.rejects]
        if not kept:
            return Conformed(None, rejects, kept)
        rows = pa.array(kept, pa.int64())
        data = pa.RecordBatch.from_arrays([column.take(rows) for column in columns], schema=schema)
        return Conformed(data, rejects, kept)


def _null_count(array: pa.Array) -> int:
    """Nulls that a dictionary's values hold count too."""
    if isinstance(array, pa.DictionaryArray) or pa.types.is_run_end_encoded(array.type):
        return int(plain(array).null_count)
    return int(array.null_count)


def _needs_values(source: pa.DataType, target: pa.DataType) -> bool:
    """Unions, and JSON into a nested type, have no columns to cast: their values are read one by one."""
    if source == target:
        return False
    source_kind, wanted = kind(plain_type(source)), kind(plain_type(target))
    return (source_kind == "union" and wanted != "union") or (source_kind == "json" and wanted in _NESTED)


def _by_value(array: pa.Array, target: pa.DataType) -> Outcome:
    from ddpm_core.schema.values import column_of

    array = plain(array)
    values = array.to_pylist()
    if kind(array.type) == "json":
        values = [None if text is None else _read(text) for text in values]
    built = column_of(values, target)
    return Outcome(built.data, {row: fault.reason for row, fault in built.faults.items()})


def _read(text: str) -> Any:
    """By the standard library, which reads integers of any size exactly."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

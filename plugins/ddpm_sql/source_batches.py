"""Rows of a driver's Python values as Arrow batches: whole columns at once, and value by value only where something does not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.types as is_type

from ddpm_core import Parsed, Reject, RowBuilder
from ddpm_sql.source_clock import clock_at_once, clocks
from ddpm_sql.source_columns import ResultColumn

_NOTHING = type(None)
_FLOATS = {int, float}
_REFUSALS = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, ValueError, TypeError)


class Batches:
    """Makes batches whose columns never change their types. One instance serves one run.

    Args:
        columns: The result's columns. Those without a type get one here, when they are learned.
    """

    def __init__(self, columns: Sequence[ResultColumn]) -> None:
        self._columns = columns
        self._names = [column.name for column in columns]
        self._rules = RowBuilder()
        self._rules.expect(pa.schema([(column.name, column.type) for column in columns if column.type is not None]))

    def parsed(self, rows: Sequence[Sequence[Any]]) -> Parsed:
        """These rows, without what follows the columns in them. A row with a value that does not fit is a reject; its neighbours stay."""
        values = [_plain(column) for column in list(zip(*rows, strict=True))[: len(self._columns)]]
        arrays = self._at_once(values)
        if arrays is not None:
            data = pa.RecordBatch.from_arrays(arrays, names=self._names)
            return Parsed(data, len(rows), nbytes=data.nbytes)
        return self._one_by_one(values, len(rows))

    def _at_once(self, values: list[Sequence[Any]]) -> list[pa.Array] | None:
        """The columns, or None where a value needs a closer look."""
        arrays = []
        for column, column_values in zip(self._columns, values, strict=True):
            array = None if column.type is None else column_at_once(column_values, column.type)
            if array is None:
                return None
            arrays.append(array)
        return arrays

    def _one_by_one(self, values: list[Sequence[Any]], count: int) -> Parsed:
        outside: dict[int, str] = {}
        readable = [clocks(column, _spelled(column, of), outside) for column, of in zip(self._columns, values, strict=True)]
        inside = [row for row in range(count) if row not in outside]
        rows = list(zip(*readable, strict=True))
        built = self._rules.build([dict(zip(self._names, rows[row], strict=True)) for row in inside])
        rejects = [Reject(row, "time_range", message) for row, message in outside.items()]
        for reject in built.rejects:
            reject.index = inside[reject.index]
            rejects.append(reject)
        rejects.sort(key=lambda reject: reject.index)
        for reject in rejects:
            reject.row = _row(self._names, [column[reject.index] for column in values])
        if built.data is not None:
            for column, field in zip(self._columns, built.data.schema, strict=True):
                if column.type is None and not is_type.is_null(field.type):
                    column.type = field.type
        origin = pa.array([inside[row] for row in built.kept], pa.int32()) if rejects else None
        nbytes = 0 if built.data is None else built.data.nbytes
        return Parsed(built.data, count, rejects, origin, nbytes=nbytes)


def column_at_once(values: Sequence[Any], wanted: pa.DataType) -> pa.Array | None:
    """The column if all its values are of the one Python type that a column of this type has; None where a closer look is needed."""
    seen = set(map(type, values)) - {_NOTHING}
    if not seen:
        return pa.nulls(len(values), wanted)
    if seen == _FLOATS and is_type.is_float64(wanted):
        seen = {float}  # Arrow refuses a whole number that would be rounded.
    if len(seen) > 1:
        return None
    (kind,) = seen
    try:
        for test, python, make in _AT_ONCE:
            if kind is python and test(wanted):
                return make(values, wanted)
    except _REFUSALS:
        pass
    return None


def _cast(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string()).cast(wanted)


def _json(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    return pa.ExtensionArray.from_storage(wanted, pa.array(values, pa.string()))


def _uuid(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    storage = [None if value is None else bytes.fromhex(value.replace("-", "")) for value in values]
    return pa.ExtensionArray.from_storage(wanted, pa.array(storage, pa.binary(16)))


def _time(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    return pa.array([None if value is None else time.fromisoformat(value) for value in values], wanted)


def _numbers(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    return pa.array(values, wanted)


def _lists(values: Sequence[Any], wanted: pa.DataType) -> pa.Array | None:
    elements = list(chain.from_iterable(value for value in values if value is not None))
    return None if column_at_once(elements, wanted.value_type) is None else pa.array(values, wanted)


def _is_json(wanted: pa.DataType) -> bool:
    return isinstance(wanted, pa.JsonType)


def _is_uuid(wanted: pa.DataType) -> bool:
    return isinstance(wanted, pa.UuidType)


_AT_ONCE: tuple[tuple[Callable[[pa.DataType], bool], type, Callable[[Sequence[Any], pa.DataType], pa.Array | None]], ...] = (
    (is_type.is_string, str, _numbers),
    (is_type.is_integer, int, _numbers),
    (is_type.is_floating, float, _numbers),
    (is_type.is_boolean, bool, _numbers),
    (is_type.is_binary, bytes, _numbers),
    (is_type.is_timestamp, datetime, _numbers),
    (is_type.is_date, date, _numbers),
    (is_type.is_time, time, _numbers),
    (is_type.is_time, timedelta, clock_at_once),
    (is_type.is_duration, timedelta, _numbers),
    (is_type.is_decimal, Decimal, _numbers),
    (is_type.is_list, list, _lists),
    (_is_uuid, UUID, lambda values, wanted: _uuid([None if value is None else value.hex for value in values], wanted)),
    # What Postgres sends as text.
    (is_type.is_timestamp, str, _cast),
    (is_type.is_date, str, _cast),
    (is_type.is_decimal, str, _cast),
    (is_type.is_time, str, _time),
    (_is_uuid, str, _uuid),
    (_is_json, str, _json),
)


def _plain(values: Sequence[Any]) -> Sequence[Any]:
    """Bytes as bytes: drivers give views of their buffers."""
    if memoryview in (kinds := set(map(type, values))) or bytearray in kinds:
        return [bytes(value) if isinstance(value, (memoryview, bytearray)) else value for value in values]
    return values


def _spelled(column: ResultColumn, values: Sequence[Any]) -> Sequence[Any]:
    """Postgres' `+00` as the rules for text know it."""
    if column.type is not None and is_type.is_timestamp(column.type) and column.endless:
        return [f"{value}:00" if isinstance(value, str) and value.endswith("+00") else value for value in values]
    return values


def _row(names: Sequence[str], values: Sequence[Any]) -> bytes:
    """A row that does not fit its columns, as it came: each value in the type that it has by itself."""
    arrays = []
    for value in values:
        try:
            arrays.append(pa.array([value]))
        except (*_REFUSALS, pa.ArrowException):
            text = value if isinstance(value, str) else repr(value)
            arrays.append(pa.array([text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")]))
    row = pa.RecordBatch.from_arrays(arrays, names=list(names))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, row.schema) as writer:
        writer.write_batch(row)
    return bytes(sink.getvalue())

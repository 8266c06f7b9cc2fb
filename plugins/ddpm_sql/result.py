"""A query's result as Arrow. What a driver hands over says what the columns are: databases such as SQLite have no other types."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ddpm_core import ConfigError


def schema_of(names: Sequence[str], first: Sequence[Sequence[Any]], *, complete: bool) -> pa.Schema:
    """The result's columns.

    Args:
        names: Their names.
        first: The first rows, by column; what is not known from them is text.
        complete: They are all there are.
    """
    return pa.schema([pa.field(name, _type_of(values, complete=complete)) for name, values in zip(names, first, strict=True)])


def _type_of(values: Sequence[Any], *, complete: bool) -> pa.DataType:
    known = [value for value in values if value is not None]
    if not known or isinstance(known[0], (uuid.UUID, set, dict, list)):
        return pa.string()
    if isinstance(known[0], Decimal) and not complete:
        scale = max((-int(value.as_tuple().exponent) for value in known if value.is_finite()), default=0)
        return pa.decimal128(38, min(38, max(scale, 0)))
    try:
        found = pa.array(known).type
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.string()
    if pa.types.is_timestamp(found) and found.tz is not None:
        return pa.timestamp("us", "UTC")
    return pa.string() if pa.types.is_nested(found) else found


def batch(schema: pa.Schema, columns: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """Rows, given by column.

    Raises:
        ConfigError: A value does not have the type that its column had before.
    """
    made = []
    for field, values in zip(schema, columns, strict=True):
        try:
            made.append(pa.array(map(_text, values) if pa.types.is_string(field.type) else values, field.type))
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            raise ConfigError(
                f"column {field.name!r} holds a value that does not fit into {field.type}: {str(error).splitlines()[0]}",
                hint="Ask for its text: CAST(… AS TEXT), or CHAR in MariaDB.",
            ) from None
    return pa.record_batch(made, schema=schema)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.decode("utf-8", "backslashreplace") if isinstance(value, (bytes, bytearray)) else str(value)

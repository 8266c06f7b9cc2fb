"""Columns as the text that Postgres parses, without a Python loop over rows: for COPY CSV."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def csv_column(column: pa.Array) -> pa.Array:
    """The column in a type that pyarrow's CSV writer prints as Postgres reads it."""
    kind = column.type
    if isinstance(kind, pa.UuidType):
        return _hex(column.storage)
    if isinstance(kind, pa.BaseExtensionType):
        return csv_column(column.storage)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _array_literal(column)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pc.binary_join_element_wise(r"\x", _hex(column), "")
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp(kind.unit))  # The session's time zone is UTC.
    return column


def _array_literal(column: pa.Array) -> pa.Array:
    """Lists as `{"a","b",NULL}`, each element quoted."""
    items = csv_column(column.flatten())
    text = items.cast(pa.string())
    text = pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"')
    quoted = pc.binary_join_element_wise('"', text, '"', "").fill_null("NULL")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_pylist()
    offsets = [0]
    for length in lengths:
        offsets.append(offsets[-1] + length)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), quoted)
    literal = pc.binary_join_element_wise("{", pc.binary_join(lists, ","), "}", "")
    return pc.if_else(column.is_valid(), literal, pa.scalar(None, pa.string()))


def _hex(column: pa.Array) -> pa.Array:
    """Bytes as hexadecimal digits: all of them in one go, the offsets doubled."""
    large = column.cast(pa.large_binary())
    _, offsets, data = large.buffers()
    starts = pa.Array.from_buffers(pa.int64(), len(large) + 1, [None, offsets], offset=large.offset)
    digits = (data.to_pybytes() if data is not None else b"").hex().encode()
    doubled = pc.multiply(starts, 2)
    text = pa.Array.from_buffers(pa.large_string(), len(large), [None, doubled.buffers()[1], pa.py_buffer(digits)])
    return pc.if_else(column.is_valid(), text, pa.scalar(None, pa.large_string())).cast(pa.string())

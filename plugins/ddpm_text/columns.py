"""Making one column of many pieces of bytes, and finding the one column to write."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyarrow import types as is_type

from ddpm_core import DataError, Messages, Reject


def column_to_write(schema: pa.Schema, wanted: str, *, explicit: bool, binary: bool, format_name: str) -> str:
    """The column of text that is written (or of bytes, where those may be).

    Args:
        wanted: The option `column`.
        explicit: Whether the user set it; else a batch of one column needs no name.

    Raises:
        DataError: There is no such column, or more than one, or its type is no text.
    """
    names: list[str] = schema.names
    if not explicit and len(names) == 1:
        wanted = names[0]
    if not explicit and len(names) != 1:
        has = ", ".join(names[:10]) or "none"
        raise DataError(
            f"the format {format_name} writes one column, and the rows have {len(names)}: {has}",
            reason="columns",
            hint="Say which one with the option column.",
        )
    if names.count(wanted) != 1:
        raise DataError(f"there is no one column {wanted!r}; there are {', '.join(names[:10]) or 'none'}", reason="columns")
    t = schema.field(wanted).type
    plain = t.value_type if is_type.is_dictionary(t) or is_type.is_run_end_encoded(t) else t
    plain = pa.string() if isinstance(plain, pa.JsonType) else plain
    text = is_type.is_string(plain) or is_type.is_large_string(plain) or is_type.is_string_view(plain)
    is_binary = is_type.is_binary(plain) or is_type.is_large_binary(plain) or is_type.is_binary_view(plain)
    if not text and not (binary and (is_binary or is_type.is_fixed_size_binary(plain))):
        allowed = "text or bytes" if binary else "text"
        raise DataError(f"column {wanted!r} of type {t} is not {allowed}", reason="type_unsupported", hint="Cast it to text first.")
    return wanted


def values_to_write(data: pa.RecordBatch, name: str) -> pa.Array:
    """The values of this column as large binary.

    Raises:
        DataError: One of them is null, which these formats cannot say.
    """
    column = data.column(name)
    if isinstance(column.type, pa.JsonType):
        column = column.storage
    if is_type.is_dictionary(column.type):
        column = column.dictionary_decode()
    elif is_type.is_run_end_encoded(column.type):
        column = pa.compute.run_end_decode(column)
    if column.null_count:
        row = column.is_null().index(True).as_py()
        raise DataError(
            f"column {name!r} is null in row {row + 1} of the batch, and this format has no null",
            reason="null_value",
            hint="Leave such rows out, or give them a value.",
        )
    if is_type.is_fixed_size_binary(column.type):
        column = column.cast(pa.binary())
    if is_type.is_string_view(column.type):
        column = column.cast(pa.string())
    return column.cast(pa.large_binary())


def usable(messages: Messages, max_record_bytes: int) -> tuple[list[bytes], list[int] | None, list[Reject]]:
    """The payloads that are there and not too long, which messages they are (None: all), and the others as rejects."""
    values = messages.values
    if None not in values and max(map(len, values), default=0) <= max_record_bytes:  # type: ignore[arg-type]
        return values, None, []  # type: ignore[return-value]
    kept, rejects = [], []
    for index, value in enumerate(values):
        if value is None:
            rejects.append(Reject(index, "no_value", "the message has no value (a tombstone)"))
        elif len(value) > max_record_bytes:
            message = f"the record has {len(value):,} bytes, more than the {max_record_bytes:,} allowed"
            rejects.append(Reject(index, "too_large", message, raw=value))
        else:
            kept.append(index)
    return [values[index] for index in kept], kept, rejects  # type: ignore[misc]


def not_text(value: bytes, encoding: str, index: int, byte_offset: int | None = None) -> Reject | None:
    """The reject of bytes that are no text in this encoding, or None."""
    try:
        value.decode(encoding)
    except UnicodeDecodeError as error:
        shown = value[error.start : error.start + 4].hex(" ")
        message = f"it is not valid {encoding}: byte {error.start + 1:,} of it, {shown}"
        return Reject(index, "encoding", message, raw=value, byte_offset=byte_offset)
    return None


def origin_of(kept: Sequence[int] | None, records: int) -> pa.Int32Array | None:
    """Rows -> records, or None where they are the same."""
    return None if kept is None or len(kept) == records else pa.array(kept, pa.int32())

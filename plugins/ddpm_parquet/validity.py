"""Finding the rows that cannot go on: too large, or with values that are not what their types say (files of strangers do that)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from ddpm_core import Reject, large_rows

_CUT = 8
"""A piece with bad rows is looked at in so many parts: few looks where bad rows are rare, and not many where all are bad."""


Bad = dict[int, tuple[str, str]]
"""Row -> reason and message."""


def set_aside(batch: pa.RecordBatch, max_bytes: int) -> tuple[pa.RecordBatch | None, pa.Int32Array | None, list[Reject]]:
    """The rows that are valid and have at most so many bytes, which rows they were (None: all), and the others as rejects.

    Dictionaries are unpacked where a row is bad: a bad entry would condemn every row of its batch.
    A reject carries the row as an Arrow IPC stream, its texts as bytes, since nobody else has it any more.
    """
    bad = {row: ("too_large", message) for row, message in large_rows(batch, max_bytes)}
    try:
        batch.validate(full=True)
    except (pa.ArrowException, ValueError):
        batch = _unpacked(batch)
        _find_invalid(batch, bad)
    else:
        if not bad:
            return batch, None, []
    rejects = [Reject(row, *bad[row], row=_as_ipc(batch.slice(row, 1))) for row in sorted(bad)]
    kept = pa.array([row for row in range(batch.num_rows) if row not in bad], pa.int32())
    return (batch.take(kept) if len(kept) else None), kept, rejects


def _find_invalid(batch: pa.RecordBatch, bad: Bad) -> None:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for row, message in _culprits(column, 0):
            if "utf8" in message.lower():
                bad.setdefault(row, ("encoding", f"column {name!r} holds text that is not UTF-8"))
            else:
                bad.setdefault(row, ("parquet_invalid", f"column {name!r} holds what its type does not allow: {message}"))


def _unpacked(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [
        column.cast(_mapped(column.type, lambda leaf: leaf)) if "dictionary<" in str(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _culprits(column: pa.Array, first: int) -> Iterator[tuple[int, str]]:
    message = _complaint(column)
    if message is None:
        return
    if len(column) == 1:
        yield first, message
        return
    size = -(-len(column) // _CUT)
    for start in range(0, len(column), size):
        yield from _culprits(_alone(column.slice(start, size)), first + start)


def _complaint(column: pa.Array) -> str | None:
    try:
        column.validate(full=True)
    except (pa.ArrowException, ValueError) as error:
        return " ".join(str(error).split())[:200]
    return None


def _alone(part: pa.Array) -> pa.Array:
    """A copy of just these rows where the type has children: a slice would be judged with all of its parent's values."""
    return pa.concat_arrays([part.slice(0, 0), part]) if pa.types.is_nested(part.type) else part


def _as_ipc(row: pa.RecordBatch) -> bytes:
    columns = [column.cast(_mapped(column.type, _bytes_for_text)) for column in row.columns]
    sink = pa.BufferOutputStream()
    readable = pa.RecordBatch.from_arrays(columns, names=row.schema.names)
    with pa.ipc.new_stream(sink, readable.schema) as writer:
        writer.write_batch(readable)
    return bytes(sink.getvalue())


def _bytes_for_text(leaf: pa.DataType) -> pa.DataType:
    is_text = pa.types.is_string(leaf) or pa.types.is_large_string(leaf) or pa.types.is_string_view(leaf)
    return pa.binary() if is_text else leaf


def _mapped(kind: pa.DataType, leaf: Callable[[pa.DataType], pa.DataType]) -> pa.DataType:
    """The type with its leaves replaced, without dictionaries and extension types."""
    if isinstance(kind, pa.BaseExtensionType):
        return _mapped(kind.storage_type, leaf)
    if pa.types.is_dictionary(kind):
        return _mapped(kind.value_type, leaf)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_mapped(field.type, leaf)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_mapped(kind.key_type, leaf), _mapped(kind.item_type, leaf))
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_mapped(kind.value_type, leaf)), kind.list_size)
    if pa.types.is_nested(kind):
        return pa.list_(kind.value_field.with_type(_mapped(kind.value_type, leaf)))
    return leaf(kind)

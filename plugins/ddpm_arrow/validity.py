"""What is wrong with a batch, in full: files of strangers hold bytes that are no text, and offsets that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
from pyarrow import types as is_type

from ddpm_core import Reject, large_rows

_CUT = 8
"""A piece with bad rows is looked at in so many parts: few looks where bad rows are rare, and not many where all are bad."""

_KEPT = 4
"""A row with more than so many times the bytes that it may have is not kept with its reject."""

_NOT_KEPT = "; it is not kept, read the document again with a larger max_record_bytes"

_REFUSALS = (pa.ArrowException, ValueError, IndexError)


class BrokenError(Exception):
    """The batch is no valid Arrow data, and no row can be told from the others."""


def is_all_text(batch: pa.RecordBatch) -> bool:
    """Whether every text of this batch is UTF-8. Looks at every buffer, offset and index of it.

    Raises:
        BrokenError: Something else is wrong with it: it must not be touched.
    """
    try:
        batch.validate(full=True)
    except _REFUSALS as error:
        try:
            for column in batch.columns:
                _as_bytes(column).validate(full=True)
        except _REFUSALS:
            raise BrokenError(" ".join(str(error).split())[:200]) from None
        return False
    return True


def set_aside(
    batch: pa.RecordBatch, max_bytes: int, all_text: bool
) -> tuple[pa.RecordBatch | None, pa.Int32Array | None, list[Reject]]:
    """The rows whose texts are UTF-8 and that have at most so many bytes, which rows they were (None: all), and the others as rejects.

    Only for batches without encodings. A reject carries the row as an Arrow IPC stream, its texts as bytes, since nobody else has it any
    more; not a row that is far too large.

    Args:
        all_text: What `is_all_text` said.
    """
    bad: dict[int, tuple[str, str]] = {row: ("too_large", message) for row, message in large_rows(batch, max_bytes)}
    if not all_text:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for row in _culprits(column, 0):
                bad.setdefault(row, ("encoding", f"column {name!r} holds text that is not UTF-8"))
    if not bad:
        return batch, None, []
    rejects = []
    for row in sorted(bad):
        (reason, message), alone = bad[row], batch.slice(row, 1)
        if reason == "too_large" and alone.nbytes > _KEPT * max_bytes:
            rejects.append(Reject(row, reason, f"{message}{_NOT_KEPT}"))
        else:
            rejects.append(Reject(row, reason, message, row=_as_ipc(alone)))
    kept = pa.array([row for row in range(batch.num_rows) if row not in bad], pa.int32())
    return (batch.take(kept) if len(kept) else None), kept, rejects


def too_large(sizes: Mapping[int, int], rows: range, max_bytes: int) -> list[Reject]:
    """The rejects of rows, one step of them, that become so large when they are unpacked that they are not."""
    return [
        Reject(
            at,
            "too_large",
            f"the row would have more than {sizes[row]:,} bytes in memory, and {max_bytes:,} are allowed{_NOT_KEPT}",
        )
        for at, row in enumerate(rows)
    ]


def _culprits(column: pa.Array, first: int) -> Iterator[int]:
    try:
        column.validate(full=True)
    except _REFUSALS:
        if len(column) == 1:
            yield first
            return
        size = -(-len(column) // _CUT)
        for start in range(0, len(column), size):
            yield from _culprits(_alone(column.slice(start, size)), first + start)


def _alone(part: pa.Array) -> pa.Array:
    """A copy of just these rows where the type has children: a slice would be judged with all of its parent's values."""
    return pa.concat_arrays([part.slice(0, 0), part]) if is_type.is_nested(part.type) else part


def _as_bytes(column: pa.Array) -> pa.Array:
    """The column with bytes instead of text, nothing copied and nothing looked at: what else is wrong with it still is."""
    wanted = _bytes_for_text(column.type)
    return column if wanted == column.type else column.view(wanted)


def _bytes_for_text(t: pa.DataType) -> pa.DataType:
    """The type with the same layout that allows any bytes where `t` has text."""
    if isinstance(t, pa.BaseExtensionType):
        return _bytes_for_text(t.storage_type)
    if is_type.is_dictionary(t):
        return pa.dictionary(t.index_type, _bytes_for_text(t.value_type), t.ordered)
    if is_type.is_run_end_encoded(t):
        return pa.run_end_encoded(t.run_end_type, _bytes_for_text(t.value_type))
    if not t.num_fields:
        return _BYTES.get(t, t)
    fields = [t.field(number).with_type(_bytes_for_text(t.field(number).type)) for number in range(t.num_fields)]
    if is_type.is_struct(t):
        return pa.struct(fields)
    if is_type.is_union(t):
        return pa.union(fields, t.mode, t.type_codes)
    if is_type.is_map(t):
        return pa.map_(*(field.type for field in fields[0].type), keys_sorted=t.keys_sorted)
    if is_type.is_fixed_size_list(t):
        return pa.list_(fields[0], t.list_size)
    return next(make(fields[0]) for matches, make in _LISTS if matches(t))


_BYTES = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
_LISTS = (
    (is_type.is_list, pa.list_),
    (is_type.is_large_list, pa.large_list),
    (is_type.is_list_view, pa.list_view),
    (is_type.is_large_list_view, pa.large_list_view),
)


def _as_ipc(row: pa.RecordBatch) -> bytes:
    columns = [_as_bytes(column) for column in row.take(pa.array([0], pa.int32())).columns]
    readable = pa.RecordBatch.from_arrays(columns, names=row.schema.names)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, readable.schema) as writer:
        writer.write_batch(readable)
    return bytes(sink.getvalue())

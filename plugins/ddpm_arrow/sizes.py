"""How large the values of a column are when they are unpacked, though dictionaries, runs, views and offsets may name one value many times."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

from ddpm_arrow.plain import runs_of

Sizer = Callable[[int, int], pa.Int64Array]
"""First row and how many rows -> bytes of each of them."""


def sizes(array: pa.Array) -> pa.Int64Array:
    """Bytes of each value when it is unpacked; 0 for a null text or list. The array must be valid.

    A null within a list counts as one byte: it has none, but whatever it becomes later has.
    """
    return sizer(array)(0, len(array))


def sizer(array: pa.Array) -> Sizer:
    """`sizes` for a part of the rows at a time: a batch may have millions. What they share is looked at once, here."""
    t = array.type
    if isinstance(t, pa.BaseExtensionType):
        return sizer(array.storage)
    if is_type.is_dictionary(t):
        entries = sizes(array.dictionary)
        return lambda row, count: pc.fill_null(entries.take(array.indices.slice(row, count)), 0)
    if is_type.is_run_end_encoded(t):
        values = sizes(array.values)
        return lambda row, count: values.take(runs_of(array.slice(row, count)))
    if is_type.is_union(t):
        return _of_union(array)
    if is_type.is_struct(t):
        fields = [sizer(child) for child in array.flatten()]
        return lambda row, count: reduce(pc.add, (of(row, count) for of in fields), _constant(0, count))
    if t.num_fields:
        return _of_lists(array)
    if is_type.is_string_view(t) or is_type.is_binary_view(t):
        return lambda row, count: lengths_of_views(array.slice(row, count)).cast(pa.int64())
    width = width_of(t)
    if width is not None:
        return lambda _, count: _constant(width, count)
    return lambda row, count: pc.fill_null(pc.binary_length(array.slice(row, count)), 0).cast(pa.int64())


def width_of(t: pa.DataType) -> int | None:
    """Bytes of any value of this type; None where they differ, or lie elsewhere."""
    if is_type.is_null(t):
        return 1
    if t.num_fields or is_type.is_dictionary(t) or is_type.is_string_view(t) or is_type.is_binary_view(t):
        return None
    try:
        return -(-int(t.bit_width) // 8)
    except ValueError:
        return None


def lengths_of_views(array: pa.Array) -> pa.Array:
    """Bytes of each text; 0 for a null. pyarrow 26 has no length of views, and a cast would write the same bytes again for each of them.

    A view begins with its length.
    """
    words = pa.Array.from_buffers(pa.int32(), 4 * len(array), [None, array.buffers()[1]], offset=4 * array.offset)
    lengths = pc.list_element(pa.FixedSizeListArray.from_arrays(words, 4), 0)
    return pc.if_else(array.is_valid(), lengths, 0)


def _of_lists(array: pa.Array) -> Sizer:
    t = array.type
    if is_type.is_map(t):
        entry = pa.struct([pa.field("key", t.key_type, nullable=False), pa.field("value", t.item_type)])
        return _of_lists(array.cast(pa.list_(entry)))
    width = width_of(t.value_type)
    # Bytes of all values before each one, and behind the last.
    before = pa.concat_arrays([_constant(0, 1), pc.cumulative_sum(sizes(array.values))]) if width is None else None

    def of_rows(row: int, count: int) -> pa.Int64Array:
        part = array.slice(row, count)
        lengths = pc.fill_null(pc.list_value_length(part), 0).cast(pa.int64())
        if before is None:
            return pc.multiply(lengths, width)
        if is_type.is_fixed_size_list(t):
            begins = pc.multiply(pa.arange(part.offset, part.offset + count), t.list_size)
        else:
            begins = part.offsets[:count].cast(pa.int64())
        begins = pc.if_else(pc.equal(lengths, 0), 0, begins)  # A null may begin anywhere.
        return pc.subtract(before.take(pc.add(begins, lengths)), before.take(begins))

    return of_rows


def _of_union(array: pa.UnionArray) -> Sizer:
    dense = array.type.mode == "dense"
    children = [sizes(array.field(number)) for number in range(array.type.num_fields)]

    def of_rows(row: int, count: int) -> pa.Int64Array:
        codes = array.type_codes.slice(row, count)
        found = _constant(0, count)
        for code, child in zip(array.type.type_codes, children, strict=True):
            chosen = pc.equal(codes, code)
            places = array.offsets.slice(row, count) if dense else pa.arange(row, row + count)
            found = pc.if_else(chosen, child.take(pc.if_else(chosen, places, None)), found)
        return found

    return of_rows


def _constant(number: int, count: int) -> pa.Int64Array:
    return pa.repeat(pa.scalar(number, pa.int64()), count)

"""How large the values of a column are when they are unpacked, though dictionaries, runs, views and offsets may name one value many times."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

from ddpm_arrow.plain import runs_of

Sizer = Callable[[int, int], pa.Int64Array]
"""First row and how many rows -> bytes of each of them."""


def is_measurable(t: pa.DataType) -> bool:
    """Whether `sizer` knows this type. It does not know what is nested deeper: that would take more memory than the values themselves."""
    if is_type.is_dictionary(t) or is_type.is_run_end_encoded(t):
        return _is_flat(t.value_type)
    if is_type.is_union(t):
        return all(_is_flat(t.field(number).type) for number in range(t.num_fields))
    if is_type.is_list(t) or is_type.is_large_list(t):
        return width_of(t.value_type) is not None or (_is_plain_list(t.value_type) and is_measurable(t.value_type))
    if is_type.is_list_view(t) or is_type.is_large_list_view(t):
        return width_of(t.value_type) is not None
    return is_view(t)


def sizer(array: pa.Array) -> Sizer:
    """Finds the bytes that values have when they are unpacked, a part of the rows at a time: a batch may have millions.

    A null within a list counts as one byte: it has none, but whatever it becomes later has. A null text or list counts as nothing.

    Args:
        array: Must be valid, and of a type that `is_measurable`.
    """
    t = array.type
    if is_type.is_dictionary(t):
        of_entries = _of_places(array.dictionary)
        return lambda row, count: of_entries(array.indices.slice(row, count))
    if is_type.is_run_end_encoded(t):
        of_runs = _of_places(array.values)
        return lambda row, count: of_runs(runs_of(array.slice(row, count)))
    if is_type.is_union(t):
        return _of_union(array)
    if t.num_fields:
        return lambda row, count: _of_lists(array.slice(row, count))
    return lambda row, count: lengths_of_views(array.slice(row, count)).cast(pa.int64())


def width_of(t: pa.DataType) -> int | None:
    """Bytes of any value of this type; None where they differ, or lie elsewhere. What has none counts as one, a boolean too."""
    if is_type.is_null(t):
        return 1
    if is_type.is_struct(t):
        widths = [width_of(t.field(number).type) for number in range(t.num_fields)]
        return None if None in widths else max(sum(filter(None, widths)), 1)
    if isinstance(t, pa.BaseExtensionType) or t.num_fields or is_type.is_dictionary(t) or is_view(t):
        return None
    try:
        return -(-int(t.bit_width) // 8)
    except ValueError:
        return None


def is_view(t: pa.DataType) -> bool:
    """Whether texts or bytes of this type are views."""
    return bool(is_type.is_string_view(t) or is_type.is_binary_view(t))


def lengths_of_views(array: pa.Array) -> pa.Array:
    """Bytes of each text; 0 for a null. pyarrow 26 has no length of views, and a cast would write the same bytes again for each of them.

    A view begins with its length.
    """
    words = pa.Array.from_buffers(pa.int32(), 4 * len(array), [None, array.buffers()[1]], offset=4 * array.offset)
    lengths = pc.list_element(pa.FixedSizeListArray.from_arrays(words, 4), 0)
    return pc.if_else(array.is_valid(), lengths, 0)


def _is_flat(t: pa.DataType) -> bool:
    return width_of(t) is not None or t in _TEXTS or is_view(t)


_TEXTS = (pa.string(), pa.binary(), pa.large_string(), pa.large_binary())


def _of_places(values: pa.Array) -> Callable[[pa.Array], pa.Int64Array]:
    """Places in these flat values -> bytes of what is there; 0 for no place."""
    width = width_of(values.type)
    if width is not None:
        return lambda places: pc.if_else(places.is_valid(), width, 0).cast(pa.int64())
    # In integers that take no more room than the offsets of the texts do.
    lengths = lengths_of_views(values) if is_view(values.type) else pc.binary_length(values)
    return lambda places: pc.fill_null(lengths.take(places), 0).cast(pa.int64())


def _of_lists(array: pa.Array) -> pa.Int64Array:
    if _is_plain_list(array.type.value_type):
        return _of_lists_of_lists(array)
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    if is_type.is_boolean(array.type.value_type):
        return pc.shift_right(pc.add(lengths, 7), 3)
    return pc.multiply(lengths, width_of(array.type.value_type))


def _of_lists_of_lists(array: pa.Array) -> pa.Int64Array:
    """Offsets are sums of lengths, so that the innermost values need not be counted list by list."""
    begins, ends = array.offsets[:-1], array.offsets[1:]
    while _is_plain_list(array.type.value_type):
        array = array.values
        begins, ends = array.offsets.take(begins), array.offsets.take(ends)
    return pc.multiply(pc.subtract(ends, begins).cast(pa.int64()), width_of(array.type.value_type))


def _is_plain_list(t: pa.DataType) -> bool:
    return bool(is_type.is_list(t) or is_type.is_large_list(t))


def _of_union(array: pa.UnionArray) -> Sizer:
    dense = array.type.mode == "dense"
    children = [_of_places(array.field(number)) for number in range(array.type.num_fields)]

    def of_rows(row: int, count: int) -> pa.Int64Array:
        codes = array.type_codes.slice(row, count)
        found = pa.repeat(pa.scalar(0, pa.int64()), count)
        for code, of_child in zip(array.type.type_codes, children, strict=True):
            chosen = pc.equal(codes, code)
            places = array.offsets.slice(row, count) if dense else pa.arange(row, row + count)
            found = pc.if_else(chosen, of_child(pc.if_else(chosen, places, None)), found)
        return found

    return of_rows

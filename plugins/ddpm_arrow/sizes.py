"""How large the values of a column are when they are unpacked, though dictionaries, runs, views and offsets may name one value many times."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

from ddpm_arrow.plain import runs_of


def sizes(array: pa.Array) -> pa.Int64Array:
    """Bytes of each value when it is unpacked; 0 for a null. The array must be valid.

    A null within a list counts as one byte: it has none, but whatever it becomes later has.
    """
    t = array.type
    if isinstance(t, pa.BaseExtensionType):
        return sizes(array.storage)
    if is_type.is_dictionary(t):
        return pc.fill_null(sizes(array.dictionary).take(array.indices), 0)
    if is_type.is_run_end_encoded(t):
        return sizes(array.values).take(runs_of(array))
    if is_type.is_union(t):
        return _of_union(array)
    if is_type.is_struct(t):
        found = pa.repeat(pa.scalar(0, pa.int64()), len(array))
        for child in array.flatten():
            found = pc.add(found, sizes(child))
        return found
    if t.num_fields:
        return _of_lists(array)
    if is_type.is_string_view(t) or is_type.is_binary_view(t):
        return lengths_of_views(array).cast(pa.int64())
    width = width_of(t)
    if width is None:
        return pc.fill_null(pc.binary_length(array), 0).cast(pa.int64())
    return pa.repeat(pa.scalar(width, pa.int64()), len(array))


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


def _of_lists(array: pa.Array) -> pa.Int64Array:
    t = array.type
    if is_type.is_map(t):
        entry = pa.struct([pa.field("key", t.key_type, nullable=False), pa.field("value", t.item_type)])
        return _of_lists(array.cast(pa.list_(entry)))
    lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    width = width_of(t.value_type)
    if width is not None:
        return pc.multiply(lengths, width)
    # Bytes of all values before each one, and behind the last.
    before = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(sizes(array.values))])
    if is_type.is_fixed_size_list(t):
        begins = pc.multiply(pa.arange(array.offset, array.offset + len(array)), t.list_size)
    else:
        begins = array.offsets[: len(array)].cast(pa.int64())
    # A null may begin anywhere.
    begins = pc.if_else(pc.equal(lengths, 0), 0, begins)
    return pc.subtract(before.take(pc.add(begins, lengths)), before.take(begins))


def _of_union(array: pa.UnionArray) -> pa.Int64Array:
    found = pa.repeat(pa.scalar(0, pa.int64()), len(array))
    for number, code in enumerate(array.type.type_codes):
        chosen = pc.equal(array.type_codes, code)
        of_child = sizes(array.field(number))
        if array.type.mode == "dense":
            of_child = of_child.take(pc.if_else(chosen, array.offsets, None))
        found = pc.if_else(chosen, of_child, found)
    return found

"""How many rows of a batch may be unpacked at once, so that memory stays flat whatever the batch hides.

A dictionary, a run, a view or an offset can name the same long value for every row.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

from ddpm_arrow.errors import too_much
from ddpm_core import BuildContext

_STEP_BYTES = 32 << 20


def rows_at_once(name: str, batch: pa.RecordBatch, context: BuildContext, max_bytes: int, where: str) -> int:
    """Rows of this batch, which must be valid, that make a step; at least 1.

    Raises:
        DataError: With reason `decompressed_size`: a single row may become larger than `max_bytes`.
    """
    if not batch.num_rows:
        return 1
    worst = 1
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _repeats(field.type):
            size = _largest(column)
            for what, of_it in (("a value", size), ("the dictionary", _copied_as_a_whole(column))):
                if of_it > max_bytes:
                    claim = f"{what} of column {field.name!r} may unpack to {of_it:,} bytes, and {max_bytes:,} are allowed"
                    raise too_much(name, claim, where)
            worst += size
    mean = max(batch.get_total_buffer_size() / batch.num_rows, 1e-9)
    return max(int(min(context.batch_rows, context.batch_bytes / mean, _STEP_BYTES / worst)), 1)


def _repeats(t: pa.DataType, nested: bool = False) -> bool:
    """Whether a value of this type can be larger than its share of the buffers."""
    if isinstance(t, pa.BaseExtensionType):
        return _repeats(t.storage_type, nested)
    if is_type.is_null(t):
        return nested
    if t.num_fields == 0:
        return bool(is_type.is_dictionary(t) or is_type.is_string_view(t) or is_type.is_binary_view(t))
    if is_type.is_run_end_encoded(t) or is_type.is_list_view(t) or is_type.is_large_list_view(t) or is_type.is_union(t):
        return True
    return any(_repeats(t.field(number).type, nested=True) for number in range(t.num_fields))


def _largest(array: pa.Array) -> int:
    """How many bytes one value of this column may have when it is unpacked; rather too many than too few."""
    t = array.type
    if isinstance(t, pa.BaseExtensionType):
        return _largest(array.storage)
    if not len(array):
        return 0
    if is_type.is_null(t):
        return 1
    if is_type.is_dictionary(t):
        return _largest(array.dictionary)
    if is_type.is_run_end_encoded(t):
        return _largest(array.values)
    if is_type.is_union(t) or is_type.is_struct(t):
        return sum(_largest(array.field(number)) for number in range(t.num_fields)) + 1
    if is_type.is_fixed_size_list(t):
        return int(t.list_size) * _largest(array.values) + 1
    if t.num_fields:
        lengths = pc.list_value_length(array.cast(pa.list_(_entry(t))) if is_type.is_map(t) else array)
        return int(pc.max(lengths).as_py() or 0) * _largest(array.values) + 1
    if is_type.is_string_view(t) or is_type.is_binary_view(t):
        return int(pc.max(_lengths_of_views(array)).as_py()) + 1
    try:
        return -(-int(t.bit_width) // 8)
    except ValueError:  # It has no fixed width.
        return int(pc.max(pc.binary_length(array)).as_py() or 0) + 1


def _entry(t: pa.MapType) -> pa.DataType:
    return pa.struct([pa.field("key", t.key_type, nullable=False), pa.field("value", t.item_type)])


def _copied_as_a_whole(array: pa.Array) -> int:
    """Bytes of the views in dictionaries and runs, which are unpacked before rows are taken out of them."""
    t = array.type
    if isinstance(t, pa.BaseExtensionType):
        return _copied_as_a_whole(array.storage)
    if is_type.is_dictionary(t):
        return _views(array.dictionary)
    if is_type.is_run_end_encoded(t):
        return _views(array.values)
    if is_type.is_union(t) or is_type.is_struct(t):
        return sum(_copied_as_a_whole(array.field(number)) for number in range(t.num_fields))
    return _copied_as_a_whole(array.values) if t.num_fields else 0


def _views(values: pa.Array) -> int:
    """Bytes of these values when their views are copied; 0 when they hold none."""
    if not len(values) or not _repeats(values.type, nested=True):
        return 0
    if is_type.is_string_view(values.type) or is_type.is_binary_view(values.type):
        return int(pc.sum(_lengths_of_views(values).cast(pa.int64())).as_py() or 0)
    return len(values) * _largest(values)


def _lengths_of_views(array: pa.Array) -> pa.Array:
    """pyarrow 26 has no length of views, and a cast would write the same bytes again for each of them. A view begins with its length."""
    words = pa.Array.from_buffers(pa.int32(), 4 * len(array), [None, array.buffers()[1]], offset=4 * array.offset)
    lengths = pc.list_element(pa.FixedSizeListArray.from_arrays(words, 4), 0)
    return pc.if_else(array.is_valid(), lengths, 0)

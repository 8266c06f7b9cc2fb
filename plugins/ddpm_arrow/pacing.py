"""How many rows of a batch may be unpacked at once, so that memory stays flat whatever the batch hides.

A dictionary, a run, a view or an offset can name the same long value for every row.
"""

from __future__ import annotations

from functools import reduce
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

from ddpm_arrow.limits import FREE_BYTES, Limits
from ddpm_arrow.plain import as_lists
from ddpm_arrow.sizes import is_measurable, is_view, lengths_of_views, sizer, width_of
from ddpm_core import BuildContext

_STEP_BYTES = 32 << 20

_MEASURED_AT_ONCE = 1 << 20
"""Rows whose sizes are in memory together."""


class Pace(NamedTuple):
    """How to cut a batch.

    Attributes:
        rows_at_once: Rows that make a step; at least 1.
        large: Row -> bytes of its values that repeat others, where those are more than a record may have: it must not be unpacked.
    """

    rows_at_once: int
    large: dict[int, int]


def pace(batch: pa.RecordBatch, context: BuildContext, limits: Limits, max_record_bytes: int, taken: int, where: str) -> Pace:
    """Decide for one batch, which must be valid, before anything of it is unpacked.

    Args:
        taken: Bytes of the document up to its end.

    Raises:
        DataError: With reason `decompressed_size`: a single value may become larger than a batch may be, or all rows together become
            more than the document may.
    """
    if not batch.num_rows:
        return Pace(1, {})
    bound = others = 1
    measurable: list[pa.Array] = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _repeats(field.type):
            size = _largest(column)
            for what, of_it in (("a value", size), ("the dictionary", _copied_as_a_whole(column))):
                limits.check_value(of_it, f"{what} of column {field.name!r}", where)
            if is_measurable(field.type):
                bound += size
                measurable.append(column)
            else:
                others += size
    large: dict[int, int] = {}
    if measurable and (bound > max_record_bytes or bound * batch.num_rows > FREE_BYTES):
        total, bound, sizers = 0, 1, [sizer(column) for column in measurable]
        for row in range(0, batch.num_rows, _MEASURED_AT_ONCE):
            count = min(_MEASURED_AT_ONCE, batch.num_rows - row)
            found = reduce(pc.add, [of_rows(row, count) for of_rows in sizers])
            total += pc.sum(found).as_py()
            limits.check_total(total, taken, where)  # This bounds, too, how many rows can be large.
            is_large = pc.greater(found, max_record_bytes)
            rows = pc.indices_nonzero(is_large)
            large.update(zip(pc.add(rows, row).to_pylist(), found.take(rows).to_pylist(), strict=True))
            bound = max(bound, pc.max(pc.if_else(is_large, 0, found)).as_py() + 1)
    mean = max(batch.get_total_buffer_size() / batch.num_rows, 1e-9)
    return Pace(max(int(min(context.batch_rows, context.batch_bytes / mean, _STEP_BYTES / (bound + others))), 1), large)


def _repeats(t: pa.DataType, nested: bool = False) -> bool:
    """Whether a value of this type can be larger than its share of the buffers."""
    if isinstance(t, pa.BaseExtensionType):
        return _repeats(t.storage_type, nested)
    if is_type.is_null(t):
        return nested
    if t.num_fields == 0:
        return bool(is_type.is_dictionary(t)) or is_view(t)
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
    width = width_of(t)
    if width is not None:
        return width
    if is_type.is_dictionary(t):
        return _largest(array.dictionary)
    if is_type.is_run_end_encoded(t):
        return _largest(array.values)
    if is_type.is_union(t) or is_type.is_struct(t):
        return sum(_largest(array.field(number)) for number in range(t.num_fields)) + 1
    if is_type.is_fixed_size_list(t):
        return int(t.list_size) * _largest(array.values) + 1
    if t.num_fields:
        lengths = pc.list_value_length(as_lists(array) if is_type.is_map(t) else array)
        return int(pc.max(lengths).as_py() or 0) * _largest(array.values) + 1
    if is_view(t):
        return int(pc.max(lengths_of_views(array)).as_py()) + 1
    return int(pc.max(pc.binary_length(array)).as_py() or 0) + 1


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
    if is_view(values.type):
        return int(pc.sum(lengths_of_views(values).cast(pa.int64())).as_py() or 0)
    return len(values) * _largest(values)

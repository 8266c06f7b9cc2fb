"""The same values without an encoding around them: what processors and sinks need not know about."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

_COPIES = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}


def plain_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dictionaries and run ends unpacked, views copied, extension types as what they store; also within nested columns.

    Views are copied since pyarrow 26 cannot take rows out of them. The extension types uuid and json stay: DDPM knows them. Unions stay as they are.
    """
    columns = [plain_array(column) for column in batch.columns]
    if not columns:
        return batch
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(plain_fields(batch.schema)))


def plain_dictionaries(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same batch; what its columns' dictionaries hold is unpacked here once, and not again for each part of the batch."""
    columns = [
        pa.DictionaryArray.from_arrays(column.indices, plain_array(column.dictionary), safe=False)
        if isinstance(column, pa.DictionaryArray) and _is_encoded(column.type.value_type)
        else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names) if columns else batch


def plain_fields(fields: pa.Schema | pa.DataType) -> list[pa.Field]:
    """The columns of a schema, or the fields of a struct, with the types that `plain_batch` gives; metadata dropped."""
    return [pa.field(field.name, plain_type(field.type), nullable=field.nullable) for field in fields]


def plain_type(t: pa.DataType) -> pa.DataType:
    """The type that `plain_array` gives."""
    if isinstance(t, pa.JsonType):
        return pa.json_(plain_type(t.storage_type))
    if isinstance(t, pa.BaseExtensionType):
        return t if isinstance(t, pa.UuidType) else plain_type(t.storage_type)
    if is_type.is_dictionary(t) or is_type.is_run_end_encoded(t):
        return plain_type(t.value_type)
    if t in _COPIES:
        return _COPIES[t]
    if not _is_encoded(t):
        return t
    if is_type.is_struct(t):
        return pa.struct(plain_fields(t))
    if is_type.is_map(t):
        return pa.map_(plain_type(t.key_type), plain_type(t.item_type))
    value = pa.field(t.value_field.name, plain_type(t.value_type), nullable=t.value_field.nullable)
    if is_type.is_fixed_size_list(t):
        return pa.list_(value, t.list_size)
    large = is_type.is_large_list(t) or is_type.is_large_list_view(t)
    return pa.large_list(value) if large else pa.list_(value)


def plain_array(array: pa.Array) -> pa.Array:
    """A column, or a part of one, without encodings. It must be valid.

    Raises:
        pa.ArrowException: pyarrow lacks the means for this type.
    """
    t = array.type
    if isinstance(t, pa.JsonType):
        return pa.ExtensionArray.from_storage(plain_type(t), plain_array(array.storage))
    if isinstance(t, pa.BaseExtensionType):
        return array if isinstance(t, pa.UuidType) else plain_array(array.storage)
    if is_type.is_dictionary(t):
        return plain_array(array.dictionary).take(array.indices)
    if is_type.is_run_end_encoded(t):
        return plain_array(array.values).take(runs_of(array))
    if t in _COPIES:
        return array.cast(_COPIES[t])
    if not _is_encoded(t):
        return array
    if is_type.is_struct(t):
        # `flatten` puts the nulls of a struct on its fields, which ends the process where one is a union.
        fields = [array.field(number) for number in range(t.num_fields)] if _has_union(t) else array.flatten()
        children = [plain_array(child) for child in fields]
        return pa.StructArray.from_arrays(children, fields=plain_fields(t), mask=array.is_null())
    if is_type.is_map(t):
        return _around_map(array)
    wanted = plain_type(t)
    lengths = pc.list_value_length(array)
    if is_type.is_fixed_size_list(t) and not t.list_size:  # pyarrow 26 divides by it, which ends the process.
        return pa.array([[] if valid else None for valid in array.is_valid().to_pylist()], wanted)
    if is_type.is_fixed_size_list(t):  # Its nulls have values too, which `flatten` leaves out.
        values = plain_array(array.values.slice(array.offset * t.list_size, len(array) * t.list_size))
        return pa.FixedSizeListArray.from_arrays(values, type=wanted, mask=array.is_null())
    # Not by a cast: pyarrow 26 makes wrong lists of list views. `flatten` leaves out the values of nulls.
    maker = pa.LargeListArray if is_type.is_large_list(wanted) else pa.ListArray
    return maker.from_arrays(_offsets(lengths), plain_array(array.flatten()), type=wanted, mask=array.is_null())


def as_lists(array: pa.MapArray) -> pa.ListArray:
    """A map as lists of its entries. Not by a cast: pyarrow 26 makes wrong texts of views in extension types."""
    fields = [pa.field("key", array.type.key_type, nullable=False), pa.field("value", array.type.item_type)]
    entries = pa.StructArray.from_arrays([array.keys, array.items], fields=fields)
    return pa.ListArray.from_arrays(pc.add(array.offsets, 0), entries, mask=array.is_null())


def _around_map(array: pa.MapArray) -> pa.MapArray:
    lists = as_lists(array)
    keys, items = lists.flatten().flatten()
    offsets = _offsets(pc.list_value_length(lists))
    wanted = plain_type(array.type)
    return pa.MapArray.from_arrays(offsets, plain_array(keys), plain_array(items), type=wanted, mask=array.is_null())


def _offsets(lengths: pa.Array) -> pa.Array:
    ends = pc.cumulative_sum(pc.fill_null(lengths, 0))
    return pa.concat_arrays([pa.array([0], lengths.type), ends])


def runs_of(array: pa.RunEndEncodedArray) -> pa.Array:
    """Row -> the run that it is in. pyarrow itself unpacks the runs of a few types only."""
    numbers = pa.arange(0, len(array.run_ends))
    runs = pa.RunEndEncodedArray.from_arrays(array.run_ends, numbers)
    return pc.run_end_decode(runs.slice(array.offset, len(array)))


def _has_union(t: pa.DataType) -> bool:
    if isinstance(t, pa.BaseExtensionType):
        return _has_union(t.storage_type)
    return bool(is_type.is_union(t)) or any(_has_union(t.field(number).type) for number in range(t.num_fields))


def _is_encoded(t: pa.DataType) -> bool:
    """Whether there is something to unpack in this type, at whatever depth; not within unions."""
    if isinstance(t, pa.BaseExtensionType):  # pyarrow 26 makes wrong texts of JSON's views when a list of structs is flattened.
        return not isinstance(t, pa.JsonType | pa.UuidType)
    if is_type.is_dictionary(t) or is_type.is_run_end_encoded(t) or is_type.is_list_view(t) or is_type.is_large_list_view(t):
        return True
    if t in _COPIES:
        return True
    if is_type.is_union(t):
        return False
    return any(_is_encoded(t.field(number).type) for number in range(t.num_fields))

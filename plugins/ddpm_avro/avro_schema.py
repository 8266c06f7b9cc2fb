"""Which Avro type an Arrow type is written as, and its values in the form that the encoder takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core import DataError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNITS = {"s": "millis", "ms": "millis", "us": "micros", "ns": "nanos"}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one Arrow type is written.

    Attributes:
        schema: The Avro type, with its logical type.
        plain: The same without logical types, which is what values are encoded with.
        prepare: Makes of a column what `to_pylist` turns into the encoder's values.
    """

    schema: Any
    plain: Any
    prepare: Callable[[pa.Array], pa.Array]

    def optional(self) -> Encoding:
        """The same, or null."""
        if self.plain == "null":
            return self
        return Encoding(["null", self.schema], ["null", self.plain], self.prepare)


def record(fields: list[tuple[str, Encoding]], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record of these columns: its schema, with and without logical types."""
    return (
        {"type": "record", "name": name, "fields": [{"name": n, "type": e.schema, **_default(e)} for n, e in fields]},
        {"type": "record", "name": name, "fields": [{"name": n, "type": e.plain} for n, e in fields]},
    )


def _default(made: Encoding) -> dict[str, Any]:
    return {"default": None} if isinstance(made.schema, list) else {}


def _same(array: pa.Array) -> pa.Array:
    return array


class Encodings:
    """Finds how the columns of one schema are written; nested records and fixed types get names that are not taken.

    A type is a union with null unless its field says that it is never null.
    """

    def __init__(self, taken: str) -> None:
        self._taken = {taken}

    def column(self, field: pa.Field, path: str) -> Encoding:
        """How a column, or a field of a struct, is written.

        Raises:
            DataError: `avro_type`: Avro has no place for this type. `avro_name`: Avro does not allow this name.
        """
        if not _NAME.fullmatch(field.name):
            raise DataError(
                f"column {path!r} cannot be written as Avro: names are letters, digits and _, and do not begin with a digit",
                reason="avro_name",
                hint="Rename the column.",
            )
        return self._child(field, path)

    def _child(self, field: pa.Field, path: str) -> Encoding:
        made = self._of(field.type, path)
        return made.optional() if field.nullable else made

    def _name(self, path: str) -> str:
        name = plain = path.replace(".", "_")
        count = 1
        while name in self._taken:
            count += 1
            name = f"{plain}_{count}"
        self._taken.add(name)
        return name

    def _of(self, type_: pa.DataType, path: str) -> Encoding:
        types = pa.types
        for applies, build in (
            (types.is_dictionary, self._dictionary),
            (lambda t: isinstance(t, pa.BaseExtensionType), self._extension),
            (types.is_decimal, self._decimal),
            (types.is_struct, self._struct),
            (types.is_map, self._map),
            (_is_list, self._list),
            (types.is_fixed_size_binary, self._fixed),
            (types.is_timestamp, self._timestamp),
            (types.is_time, self._time),
            (types.is_date, self._date),
        ):
            if applies(type_):
                return build(type_, path)
        for applies, name, cast in _SIMPLE:
            if applies(type_):
                return Encoding(name, name, _caster(cast, path))
        if types.is_uint64(type_):
            return self._decimal(pa.decimal128(20, 0), path, before=_caster(pa.decimal128(20, 0), path))
        if type_ == pa.month_day_nano_interval():
            fixed = {"type": "fixed", "name": self._name(path), "size": 12}
            return Encoding({**fixed, "logicalType": "duration"}, fixed, _durations(path))
        raise DataError(
            f"column {path!r} is of type {type_}, which Avro has no type for", reason="avro_type", hint="Cast it first."
        )

    def _dictionary(self, type_: pa.DictionaryType, path: str) -> Encoding:
        made = self._of(type_.value_type, path)
        return Encoding(made.schema, made.plain, lambda array: made.prepare(array.dictionary_decode()))

    def _extension(self, type_: pa.BaseExtensionType, path: str) -> Encoding:
        if type_ == pa.uuid():
            return Encoding({"type": "string", "logicalType": "uuid"}, "string", _uuid_texts)
        made = self._of(type_.storage_type, path)
        return Encoding(made.schema, made.plain, lambda array: made.prepare(array.storage))

    def _decimal(self, type_: pa.DataType, path: str, before: Callable[[pa.Array], pa.Array] = _same) -> Encoding:
        if type_.scale < 0 or type_.scale > type_.precision:
            raise DataError(f"column {path!r} is of type {type_}, whose scale Avro does not allow", reason="avro_type")
        logical = {"type": "bytes", "logicalType": "decimal", "precision": type_.precision, "scale": type_.scale}
        return Encoding(logical, "bytes", lambda array: _decimal_bytes(before(array), type_.precision, type_.scale))

    def _struct(self, type_: pa.StructType, path: str) -> Encoding:
        name = self._name(path)
        fields = [(field.name, self.column(field, f"{path}.{field.name}")) for field in type_]
        schema, plain = record(fields, name)

        def prepare(array: pa.StructArray) -> pa.Array:
            columns = [made.prepare(column) for (_, made), column in zip(fields, array.flatten(), strict=True)]
            if not columns:
                return array
            return pa.StructArray.from_arrays(columns, [name for name, _ in fields], mask=array.is_null())

        return Encoding(schema, plain, prepare)

    def _list(self, type_: pa.DataType, path: str) -> Encoding:
        item = self._child(type_.value_field, f"{path}.item")

        def prepare(array: pa.Array) -> pa.Array:
            lists = array.cast(pa.large_list(type_.value_field))
            sizes = pc.fill_null(pc.list_value_length(lists), 0)
            offsets = pc.cumulative_sum(pa.concat_arrays([pa.array([0], sizes.type), sizes]))
            return pa.LargeListArray.from_arrays(offsets.cast(pa.int64()), item.prepare(lists.flatten()), mask=array.is_null())

        return Encoding({"type": "array", "items": item.schema}, {"type": "array", "items": item.plain}, prepare)

    def _map(self, type_: pa.MapType, path: str) -> Encoding:
        if not (pa.types.is_string(type_.key_type) or pa.types.is_large_string(type_.key_type)):
            raise DataError(f"column {path!r} is a map with keys of type {type_.key_type}; Avro has only text", reason="avro_type")
        value = self._child(type_.item_field, f"{path}.value")

        def prepare(array: pa.MapArray) -> pa.Array:
            # A map's own slice: `keys` and `items` are those of the whole array that it is a slice of.
            array = pa.concat_arrays([array, array.slice(0, 0)]) if array.offset else array
            first = array.offsets[0].as_py() if len(array) else 0
            last = array.offsets[-1].as_py() if len(array) else 0
            keys, items = array.keys.slice(first, last - first), array.items.slice(first, last - first)
            offsets = pc.subtract(array.offsets, first) if len(array) else pa.array([0], pa.int32())
            return pa.MapArray.from_arrays(offsets, keys, value.prepare(items), mask=array.is_null() if array.null_count else None)

        return Encoding({"type": "map", "values": value.schema}, {"type": "map", "values": value.plain}, prepare)

    def _fixed(self, type_: pa.FixedSizeBinaryType, path: str) -> Encoding:
        fixed = {"type": "fixed", "name": self._name(path), "size": type_.byte_width}
        return Encoding(fixed, fixed, _same)

    def _timestamp(self, type_: pa.TimestampType, path: str) -> Encoding:
        unit = _UNITS[type_.unit]
        logical = f"timestamp-{unit}" if type_.tz else f"local-timestamp-{unit}"
        to = pa.timestamp("ms" if type_.unit == "s" else type_.unit, type_.tz)
        return Encoding({"type": "long", "logicalType": logical}, "long", _caster(to, path, pa.int64()))

    def _date(self, type_: pa.DataType, path: str) -> Encoding:
        return Encoding({"type": "int", "logicalType": "date"}, "int", _caster(pa.date32(), path, pa.int32()))

    def _time(self, type_: pa.DataType, path: str) -> Encoding:
        if type_ in (pa.time32("s"), pa.time32("ms")):
            return Encoding({"type": "int", "logicalType": "time-millis"}, "int", _caster(pa.time32("ms"), path, pa.int32()))
        return Encoding({"type": "long", "logicalType": "time-micros"}, "long", _caster(pa.time64("us"), path, pa.int64()))


def _is_list(type_: pa.DataType) -> bool:
    types = pa.types
    return any(
        applies(type_)
        for applies in (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    )


def _caster(to: pa.DataType | None, path: str, view: pa.DataType | None = None) -> Callable[[pa.Array], pa.Array]:
    """Casts a column without loss, and then takes its bits for another type."""

    def cast(array: pa.Array) -> pa.Array:
        try:
            array = array if to is None or array.type == to else array.cast(to)
        except pa.ArrowInvalid as error:
            raise DataError(f"column {path!r} cannot be written as Avro without loss: {error}", reason="avro_type") from error
        return array if view is None else array.view(view)

    return cast


def _decimal_bytes(array: pa.Array, precision: int, scale: int) -> pa.Array:
    """Two's complement, highest byte first, as many bytes as the precision needs."""
    width = 16 if precision <= 38 else 32
    array = array.cast((pa.decimal128 if width == 16 else pa.decimal256)(precision, scale))
    size = (10**precision).bit_length() // 8 + 1
    raw = pc.binary_reverse(array.view(pa.binary(width)).cast(pa.binary()))
    return pc.binary_slice(raw, max(0, width - size), width)


def _uuid_texts(array: pa.Array) -> pa.Array:
    return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())


def _durations(path: str) -> Callable[[pa.Array], pa.Array]:
    def prepare(array: pa.Array) -> pa.Array:
        return pa.array([None if value is None else _duration(value, path) for value in array.to_pylist()], pa.binary(12))

    return prepare


def _duration(value: Any, path: str) -> bytes:
    millis, rest = divmod(value.nanoseconds, 1_000_000)
    if rest or min(value.months, value.days, millis) < 0 or millis >= 1 << 32:
        raise DataError(
            f"column {path!r}: an Avro duration has months, days and milliseconds, none negative; this is {value}",
            reason="avro_type",
        )
    return b"".join(int(part).to_bytes(4, "little") for part in (value.months, value.days, millis))


_T = pa.types
_SIMPLE: tuple[tuple[Callable[[pa.DataType], bool], str, pa.DataType | None], ...] = (
    (_T.is_null, "null", None),
    (_T.is_boolean, "boolean", None),
    (lambda t: (_T.is_integer(t) and t.bit_width < 32) or _T.is_int32(t), "int", pa.int32()),
    (lambda t: _T.is_int64(t) or _T.is_uint32(t), "long", pa.int64()),
    (lambda t: _T.is_float16(t) or _T.is_float32(t), "float", pa.float32()),
    (_T.is_float64, "double", None),
    (lambda t: _T.is_string(t) or _T.is_large_string(t) or _T.is_string_view(t), "string", None),
    (lambda t: _T.is_binary(t) or _T.is_large_binary(t) or _T.is_binary_view(t), "bytes", None),
)

"""From what the decoders read (`physical`) to the real Arrow types, whole columns at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_avro.arrow_schema import arrow_type
from ddpm_avro.datum import located
from ddpm_avro.schema import Node
from ddpm_avro.union_json import union_texts

Bad = dict[int, tuple[str, str]]
"""Row -> reason and message of the first thing wrong with it."""

_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_DAY = 86_400_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # The years 1 and 9999: what Python, Arrow's readers and databases share.
_RANGE = {
    "int": (-(1 << 31), (1 << 31) - 1),
    "date": (_FIRST_DAY, _LAST_DAY),
    "time-millis": (0, _DAY - 1),
    "time-micros": (0, _DAY * 1000 - 1),
    "timestamp-millis": (_FIRST_DAY * _DAY, (_LAST_DAY + 1) * _DAY - 1),
    "timestamp-micros": (_FIRST_DAY * _DAY * 1000, (_LAST_DAY + 1) * _DAY * 1000 - 1),
}


def finish(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    """The values of a type in its Arrow type, and which of them cannot be had in it.

    The array is a decoder's own, not a slice. A bad value is null in the result.
    """
    return (_LOGICAL.get(node.logical) or _KINDS.get(node.kind) or _unchanged)(node, array)


def _unchanged(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    if node.kind == "fixed":
        array = _fixed(node, array)
    elif node.kind == "bytes":
        array = _bytes(array)
    return array, {}


def _option(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    return finish(node.children[0], array)


def _record(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    columns, bad = finish_fields(node, array)
    fields = list(arrow_type(node))
    if not fields:
        return array, bad
    return pa.StructArray.from_arrays(columns, fields=fields, mask=_nulls(array)), bad


def finish_fields(node: Node, array: pa.StructArray) -> tuple[list[pa.Array], Bad]:
    """The columns of a record. Where the record is null, so are its fields."""
    columns, bad = [], Bad()
    for i, child in enumerate(node.children):
        column, wrong = finish(child, _field(array, i))
        columns.append(column)
        for row, problem in wrong.items():
            bad.setdefault(row, problem)
    return columns, bad


def _field(array: pa.StructArray, i: int) -> pa.Array:
    """A field's values, null where the record is."""
    values = array.field(i)
    if array.null_count and pa.types.is_union(values.type):
        values = _branches(values)
    if array.null_count:
        rows = pa.array(range(len(array)), pa.int64())
        values = values.take(pc.if_else(array.is_valid(), rows, None))
    return values


def _branches(array: pa.UnionArray) -> pa.StructArray:
    """A union of pyruhvro's as the other decoders have it: a record with one field for each branch."""
    rows = pa.array(range(len(array)), pa.int64())
    columns = []
    for i in range(array.type.num_fields):
        branch = array.field(i)
        chosen = pc.if_else(pc.equal(array.type_codes, i), rows, None)
        columns.append((branch.field(0) if pa.types.is_struct(branch.type) else branch).take(chosen))
    return pa.StructArray.from_arrays(columns, [f"b{i}" for i in range(len(columns))])


def _array(node: Node, array: pa.ListArray) -> tuple[pa.Array, Bad]:
    items, wrong = finish(node.children[0], array.values)
    made = pa.ListArray.from_arrays(array.offsets, items, type=arrow_type(node), mask=_nulls(array))
    return made, _of_parents(array, wrong)


def _map(node: Node, array: pa.ListArray) -> tuple[pa.Array, Bad]:
    entries = pa.table({"map": pc.list_parent_indices(array), "key": array.values.field(0)})
    if entries.group_by(["map", "key"]).aggregate([]).num_rows < entries.num_rows:
        array = _last_of_each_key(array)
    keys, (items, wrong) = array.values.field(0), finish(node.children[0], _field(array.values, 1))
    made = pa.MapArray.from_arrays(array.offsets, keys, items, type=arrow_type(node), mask=_nulls(array))
    return made, _of_parents(array, wrong)


def _last_of_each_key(array: pa.ListArray) -> pa.ListArray:
    """Of entries with one key the last is meant, as in JSON and in every Avro library that makes a dictionary."""
    parents, keys = pc.list_parent_indices(array).to_pylist(), array.values.field(0).to_pylist()
    last = {(parent, key): entry for entry, (parent, key) in enumerate(zip(parents, keys, strict=True))}
    sizes = [0] * len(array)
    for parent, _ in last:
        sizes[parent] += 1
    entries = array.values.take(pa.array(last.values(), pa.int64()))
    return pa.ListArray.from_arrays(pa.array(accumulate(sizes, initial=0), pa.int32()), entries, mask=_nulls(array))


def _of_parents(array: pa.ListArray, wrong: Bad) -> Bad:
    if not wrong:
        return wrong
    parents, bad = pc.list_parent_indices(array), Bad()
    for item, problem in sorted(wrong.items()):
        bad.setdefault(parents[item].as_py(), problem)
    return bad


def _enum(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    count = len(node.names)
    indices, bad = _within(array, 0, count - 1, lambda v: _wrong(node, f"there is no symbol {v} in an enum of {count}"))
    return pa.array(node.names, pa.string()).take(indices), bad


def _union(node: Node, array: pa.StructArray) -> tuple[pa.Array, Bad]:
    columns, bad = finish_fields(node, _branches(array) if pa.types.is_union(array.type) else array)
    texts = pa.array(union_texts(node, columns), pa.string())
    return pa.ExtensionArray.from_storage(pa.json_(), texts), bad


def _number(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    bad: Bad = {}
    if node.logical in _RANGE:
        low, high = _RANGE[node.logical]
        array, bad = _within(
            array, low, high, lambda v: ("logical_type", located(node, f"{v} is outside of {node.logical} ({low} to {high})"))
        )
    made = arrow_type(node)
    return (array.cast(pa.int32()) if made.bit_width == 32 else array).view(made), bad


def _int(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    array, bad = _within(array, *_RANGE["int"], lambda v: ("int_range", located(node, f"{v} does not fit an int of 32 bits")))
    return array.cast(pa.int32()), bad


def _within(array: pa.Array, low: int, high: int, problem: Callable[[int], tuple[str, str]]) -> tuple[pa.Array, Bad]:
    """The integers with those out of range null."""
    found = pc.min_max(array)
    if not found["min"].is_valid or (found["min"].as_py() >= low and found["max"].as_py() <= high):
        return array, {}
    outside = pc.or_(pc.less(array, low), pc.greater(array, high))
    bad = {row: problem(array[row].as_py()) for row in _rows(outside)}
    return pc.if_else(outside, pa.scalar(None, array.type), array), bad


def _uuid(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    if node.kind == "fixed":
        return pa.ExtensionArray.from_storage(pa.uuid(), _fixed(node, array)), {}
    bad: Bad = {}
    wrong = pc.invert(pc.match_substring_regex(array, _UUID))
    if pc.any(wrong).as_py():
        bad = {row: ("logical_type", located(node, f"{array[row].as_py()[:80]!r} is no UUID")) for row in _rows(wrong)}
        array = pc.if_else(wrong, None, array)
    digits = pc.replace_substring(pc.fill_null(array, "0" * 32), "-", "")
    raw = bytes.fromhex("".join(digits.to_pylist()))
    storage = pa.Array.from_buffers(pa.binary(16), len(array), [None, pa.py_buffer(raw)])
    if array.null_count:
        storage = pc.if_else(array.is_null(), pa.scalar(None, storage.type), storage)
    return pa.ExtensionArray.from_storage(pa.uuid(), storage), bad


def _decimal(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    made = arrow_type(node)
    width = made.byte_width
    raw = _fixed(node, array).cast(pa.binary()) if node.kind == "fixed" else _bytes(array)
    bad: Bad = {}
    sizes = pc.binary_length(raw)
    if (pc.max(sizes).as_py() or 0) > width:
        raw, bad = _shortened(node, raw, width) if node.kind == "fixed" else _too_long(node, raw, width)
        sizes = pc.binary_length(raw)
    negative = pc.fill_null(pc.greater_equal(pc.binary_slice(raw, 0, 1), pa.scalar(b"\x80")), False)
    missing = pc.subtract(width, sizes)
    ones, zeros = (pc.binary_repeat(pa.scalar(byte), missing) for byte in (b"\xff", b"\x00"))
    whole = pc.binary_join_element_wise(pc.if_else(negative, ones, zeros), raw, pa.scalar(b""))
    unscaled = pc.binary_reverse(whole).cast(pa.binary(width)).view(_integer(width))
    limit = pa.scalar(10**node.precision - 1, _integer(width))
    found = pc.min_max(unscaled)
    if found["max"].is_valid and (found["max"].as_py() > limit.as_py() or found["min"].as_py() < -limit.as_py()):
        outside = pc.greater(pc.abs(unscaled), limit)
        what = f"does not fit decimal({node.precision},{node.scale})"
        bad |= {row: ("decimal_length", located(node, f"{unscaled[row].as_py()} (unscaled) {what}")) for row in _rows(outside)}
        unscaled = pc.if_else(outside, pa.scalar(None, unscaled.type), unscaled)
    return unscaled.view(made), bad


def _integer(width: int) -> pa.DataType:
    return pa.decimal128(38, 0) if width == 16 else pa.decimal256(76, 0)


def _too_long(node: Node, raw: pa.Array, width: int) -> tuple[pa.Array, Bad]:
    """Long ones are not even looked at: the time that a number takes grows with the square of its length."""
    outside = pc.greater(pc.binary_length(raw), width)
    what = f"bytes are more than decimal({node.precision},{node.scale}) can have"
    bad = {row: ("decimal_length", located(node, f"{len(raw[row].as_py()):,} {what}")) for row in _rows(outside)}
    return pc.if_else(outside, pa.scalar(None, raw.type), raw), bad


def _shortened(node: Node, raw: pa.Array, width: int) -> tuple[pa.Array, Bad]:
    """A fixed may be wider than its numbers: the bytes in front repeat the sign."""
    front, rest = pc.binary_slice(raw, 0, node.size - width), pc.binary_slice(raw, node.size - width, node.size)
    negative = pc.greater_equal(pc.binary_slice(rest, 0, 1), pa.scalar(b"\x80"))
    ones, zeros = (pa.scalar(byte * (node.size - width)) for byte in (b"\xff", b"\x00"))
    outside = pc.not_equal(front, pc.if_else(negative, ones, zeros))
    what = f"the number is too large for decimal({node.precision},{node.scale})"
    bad = {row: ("decimal_length", located(node, what)) for row in _rows(outside)}
    return pc.if_else(outside, pa.scalar(None, rest.type), rest), bad


def _duration(node: Node, array: pa.Array) -> tuple[pa.Array, Bad]:
    made: list[Any] = []
    bad: Bad = {}
    for row, value in enumerate(_fixed(node, array).to_pylist()):
        if value is None:
            made.append(None)
            continue
        months, days, millis = (int.from_bytes(value[i : i + 4], "little") for i in (0, 4, 8))
        if max(months, days) >= 1 << 31:
            bad[row] = ("logical_type", located(node, f"a duration of {months} months and {days} days is too long"))
            made.append(None)
        else:
            made.append(pa.MonthDayNano([months, days, millis * 1_000_000]))
    return pa.array(made, pa.month_day_nano_interval()), bad


def _fixed(node: Node, array: pa.Array) -> pa.Array:
    """Bytes of a fixed, which pyruhvro was made to read as floats: it cannot read a fixed, and leaves their bits alone."""
    if not pa.types.is_struct(array.type):
        return array
    parts = [part.view(pa.binary(part.type.byte_width)).cast(pa.binary()) for part in array.flatten()]
    return pc.binary_join_element_wise(*parts, pa.scalar(b"")).cast(pa.binary(node.size))


def _bytes(array: pa.Array) -> pa.Array:
    """Bytes that pyruhvro was made to read as text."""
    return array.view(pa.binary())


def _rows(mask: pa.BooleanArray) -> list[int]:
    rows: list[int] = pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()
    return rows


def _nulls(array: pa.Array) -> pa.BooleanArray | None:
    return array.is_null() if array.null_count else None


def _wrong(node: Node, what: str) -> tuple[str, str]:
    return "avro_invalid", located(node, what)


_KINDS = {"int": _int, "option": _option, "record": _record, "array": _array, "map": _map, "enum": _enum, "union": _union}
_LOGICAL = {"uuid": _uuid, "decimal": _decimal, "duration": _duration} | dict.fromkeys(
    (
        "date", "time-millis", "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos",
        "local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos",
    ),
    _number,
)  # fmt: skip
_RANGE |= {f"local-{name}": _RANGE[name] for name in ("timestamp-millis", "timestamp-micros")}

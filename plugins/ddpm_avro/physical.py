"""The same bytes under a plainer schema: what the decoders are asked to read.

Logical types are taken off, names are replaced, an int is a long, an enum is its number, and a branch of a union is a record with one field, so that
the value tells which branch it was. For pyruhvro a map is an array of its entries (it would lose their order), a fixed a record of
floats and bytes are a string (it knows neither, and does not look into texts: `refuse_false_text` does). None of this changes a byte of the encoding. It lets one
Arrow step (`logical`) make the real types for every decoder, and keeps hostile names away from them.
"""

from __future__ import annotations

import json
from itertools import accumulate, chain
from typing import Any, cast

import pyarrow as pa

from ddpm_avro.schema import Node

SENTINEL = "end"
_INTEGERS = ("int", "long", "enum")  # Encoded alike. pyruhvro cuts an int of more than 32 bits, so all are read as long.


def fastavro_schema(node: Node) -> dict[str, Any]:
    """Schema for `fastavro.schemaless_reader`: a whole block as one array of records."""
    return {"type": "array", "items": _fastavro(node), "__fastavro_parsed": True, "__named_schemas": {}}


def ruhvro_schema(node: Node) -> str | None:
    """Schema for `pyruhvro.deserialize_array`: a block as a record with an array and a sentinel; None when it cannot read it.

    pyruhvro reads only what is tested here to come out as the other decoders have it. It ignores bytes that are left over: the
    random sentinel, which must follow the array directly, shows that none were.
    """
    if has_weightless(node) or not all(n.kind in _RUHVRO or _disguised(n) for n in node.walk()):
        return None
    if any((n.kind == "option" and n.null_at is None) or (n.kind == "record" and not n.children) for n in node.walk()):
        return None
    rows = {"name": "rows", "type": {"type": "array", "items": _Ruhvro().schema(node)}}
    return json.dumps({"type": "record", "name": "block", "fields": [rows, {"name": SENTINEL, "type": "double"}]})


def _disguised(node: Node) -> bool:
    """Whether pyruhvro can read this as something else: a fixed as floats, whose bits it keeps."""
    return node.kind == "fixed" and node.size % 4 == 0


def has_weightless(node: Node) -> bool:
    """Whether a few bytes can stand for any number of items; only the datum reader counts them.

    A block is read as an array, so records that take no bytes are such items too.
    """
    return node.least == 0 or any(n.kind == "array" and n.children[0].least == 0 for n in node.walk())


def refuse_false_text(node: Node, array: pa.Array) -> None:
    """Raise `pa.ArrowInvalid` when a string that pyruhvro read is not UTF-8."""
    if node.kind == "string":
        array.validate(full=True)
    elif node.kind in ("record", "option"):
        arrays = [array] if node.kind == "option" else [array.field(i) for i in range(array.type.num_fields)]
        for child, values in zip(node.children, arrays, strict=True):
            refuse_false_text(child, values)
    elif node.kind == "array":
        refuse_false_text(node.children[0], array.values)
    elif node.kind == "map":
        array.values.field(0).validate(full=True)
        refuse_false_text(node.children[0], array.values.field(1))
    elif node.kind == "union":
        for i, child in enumerate(node.children):
            if child.kind != "null":
                refuse_false_text(child, array.field(i).field(0))


_RUHVRO = {
    "null",
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "bytes",
    "string",
    "enum",
    "option",
    "union",
    "record",
    "array",
    "map",
}


def _branches(branches: list[Any]) -> list[Any]:
    """Branches of a union for fastavro, which looks them up as Python does, so that -1 is the last one. Here it is none.

    A length of 0 keeps the interpreter from adding the length to a negative index; a dict's own bound method is looked up as
    fast as a list's item.
    """
    methods = {"__getitem__": dict(enumerate(branches)).__getitem__, "__len__": {}.__len__}
    return cast("list[Any]", type("Branches", (list,), methods)(branches))


def _fastavro(node: Node) -> Any:
    kind = node.kind
    if kind in _INTEGERS:
        return "long"
    if kind in ("fixed", "boolean"):  # fastavro takes any byte for a boolean.
        return {"type": "fixed", "name": "fixed", "size": node.size or 1}
    if kind == "record":
        return _record([(f"f{i}", _fastavro(child)) for i, child in enumerate(node.children)])
    if kind == "array":
        return {"type": "array", "items": _fastavro(node.children[0])}
    if kind == "map":
        return {"type": "map", "values": _fastavro(node.children[0])}
    if kind == "option":
        branches = [_fastavro(node.children[0])]
        if node.null_at is not None:
            branches.insert(node.null_at, "null")
        return _branches(branches)
    if kind == "union":
        return _branches([_record([(f"b{i}", _fastavro(child))]) for i, child in enumerate(node.children)])
    return kind


def _record(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": "record", "fields": [{"name": name, "type": schema} for name, schema in fields]}


class _Ruhvro:
    """Gives each record a name of its own, since one name may be defined only once."""

    def __init__(self) -> None:
        self._records = 0

    def schema(self, node: Node) -> Any:
        if node.kind in _INTEGERS:
            return "long"
        if node.kind == "fixed":
            eights, fours = divmod(node.size, 8)
            return self._record([(f"d{i}", "double") for i in range(eights)] + [("f", "float")] * (fours // 4))
        if node.kind == "record":
            return self._record([(f"f{i}", self.schema(child)) for i, child in enumerate(node.children)])
        if node.kind == "array":
            return {"type": "array", "items": self.schema(node.children[0])}
        if node.kind == "map":
            return {"type": "array", "items": self._record([("k", "string"), ("v", self.schema(node.children[0]))])}
        if node.kind == "option":
            child = self.schema(node.children[0])
            return ["null", child] if node.null_at == 0 else [child, "null"]
        if node.kind == "union":
            return [
                "null" if child.kind == "null" else self._record([(f"b{i}", self.schema(child))])
                for i, child in enumerate(node.children)
            ]
        return "string" if node.kind == "bytes" else node.kind

    def _record(self, fields: list[tuple[str, Any]]) -> dict[str, Any]:
        self._records += 1
        record = _record(fields)
        record["name"] = f"r{self._records}"
        return record


def arrow_type(node: Node) -> pa.DataType:
    """The Arrow type of what the decoders make."""
    children = [arrow_type(child) for child in node.children]
    match node.kind:
        case "record":
            return pa.struct([(f"f{i}", child) for i, child in enumerate(children)])
        case "union":
            return pa.struct([(f"b{i}", child) for i, child in enumerate(children)])
        case "array":
            return pa.list_(children[0])
        case "map":
            return pa.list_(pa.struct([("k", pa.string()), ("v", children[0])]))
        case "option":
            return children[0]
        case "fixed":
            return pa.binary(node.size)
        case kind:
            return {
                "null": pa.null(), "boolean": pa.bool_(), "int": pa.int64(), "enum": pa.int64(), "long": pa.int64(),
                "float": pa.float32(), "double": pa.float64(), "bytes": pa.binary(), "string": pa.string(),
            }[kind]  # fmt: skip


_BOOLEANS = {b"\x00": False, b"\x01": True, None: None}


def to_arrow(node: Node, values: list[Any]) -> pa.Array:
    """A decoder's Python values as an array of `arrow_type`. By columns, which is several times faster than by rows.

    Raises:
        KeyError: A byte is no boolean.
    """
    match node.kind:
        case "option":
            return to_arrow(node.children[0], values)
        case "record" | "union" if node.children:
            return _structs(node, values)
        case "array":
            items = to_arrow(node.children[0], list(chain.from_iterable(filter(None, values))))
        case "map":
            entries = [entry for entry in values if entry]
            keys = pa.array(list(chain.from_iterable(entries)), pa.string())
            held = to_arrow(node.children[0], list(chain.from_iterable([entry.values() for entry in entries])))
            items = pa.StructArray.from_arrays([keys, held], ["k", "v"])
        case "boolean":
            return pa.array([_BOOLEANS[value] for value in values], pa.bool_())
        case _:
            return pa.array(values, arrow_type(node))
    offsets = pa.array(accumulate([len(value) if value else 0 for value in values], initial=0), pa.int32())
    return pa.ListArray.from_arrays(offsets, items, mask=_nulls(values))


def _structs(node: Node, values: list[Any]) -> pa.Array:
    nulls = _nulls(values)
    prefix = "f" if node.kind == "record" else "b"
    names = [f"{prefix}{i}" for i in range(len(node.children))]
    if node.kind == "union":
        columns = [[value.get(name) if value else None for value in values] for name in names]
    elif nulls is None:
        columns = [[value[name] for value in values] for name in names]
    else:
        columns = [[None if value is None else value[name] for value in values] for name in names]
    arrays = [to_arrow(child, column) for child, column in zip(node.children, columns, strict=True)]
    return pa.StructArray.from_arrays(arrays, names, mask=nulls)


def _nulls(values: list[Any]) -> pa.BooleanArray | None:
    return pa.array([value is None for value in values]) if None in values else None

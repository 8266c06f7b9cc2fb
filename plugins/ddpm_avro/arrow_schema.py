"""Which Arrow type an Avro type becomes. It depends on the schema alone, never on the data."""

from __future__ import annotations

import pyarrow as pa

from ddpm_avro.schema import Node

VALUE = "value"
"""The column of a schema whose top level is no record."""

_PLAIN = {
    "null": pa.null(), "boolean": pa.bool_(), "int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64(),
    "bytes": pa.binary(), "string": pa.string(), "enum": pa.string(), "union": pa.json_(),
}  # fmt: skip
_LOGICAL = {
    "date": pa.date32(),
    "time-millis": pa.time32("ms"),
    "time-micros": pa.time64("us"),
    "timestamp-millis": pa.timestamp("ms", "UTC"),
    "timestamp-micros": pa.timestamp("us", "UTC"),
    "timestamp-nanos": pa.timestamp("ns", "UTC"),
    "local-timestamp-millis": pa.timestamp("ms"),
    "local-timestamp-micros": pa.timestamp("us"),
    "local-timestamp-nanos": pa.timestamp("ns"),
    "uuid": pa.uuid(),
    "duration": pa.month_day_nano_interval(),
}


def arrow_type(node: Node) -> pa.DataType:
    """The Arrow type of this Avro type."""
    if node.logical == "decimal":
        return (pa.decimal128 if node.precision <= 38 else pa.decimal256)(node.precision, node.scale)
    if node.logical:
        return _LOGICAL[node.logical]
    match node.kind:
        case "record":
            return pa.struct([pa.field(name, arrow_type(child)) for name, child in zip(node.names, node.children, strict=True)])
        case "array":
            return pa.list_(arrow_type(node.children[0]))
        case "map":
            return pa.map_(pa.string(), arrow_type(node.children[0]))
        case "option":
            return arrow_type(node.children[0])
        case "fixed":
            return pa.binary(node.size)
        case kind:
            return _PLAIN[kind]


def arrow_schema(node: Node) -> pa.Schema:
    """The columns of a container with this schema."""
    if node.kind == "record":
        return pa.schema(list(arrow_type(node)))
    return pa.schema([pa.field(VALUE, arrow_type(node))])

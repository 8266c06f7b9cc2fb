"""Values of a union with several types, as JSON text: a column has one type, and JSON has a place for each."""

from __future__ import annotations

import base64
import math
from typing import Any

import orjson
import pyarrow as pa

from ddpm_avro.schema import Node


def union_texts(node: Node, columns: list[pa.Array]) -> list[str | None]:
    """JSON text of each value of a union, from one column for each branch of which at most one has a value in a row."""
    texts: list[str | None] = [None] * len(columns[0])
    for branch, column in zip(node.children, columns, strict=True):
        if branch.kind == "null":
            continue
        for row, value in enumerate(column.to_pylist()):
            if value is not None:
                texts[row] = orjson.dumps(_plain(branch, value)).decode()
    return texts


def _plain(node: Node, value: Any) -> Any:
    """What orjson writes as this value should look: decimals in digits, bytes in base64, NaN and infinities as text."""
    if value is None:
        return None
    if node.logical == "decimal":
        return orjson.Fragment(format(value, "f"))
    if node.logical == "duration":
        return {"months": value.months, "days": value.days, "milliseconds": value.nanoseconds // 1_000_000}
    if node.logical:
        return value
    match node.kind:
        case "union":
            return orjson.Fragment(value)
        case "option":
            return _plain(node.children[0], value)
        case "record":
            return {name: _plain(child, value[name]) for name, child in zip(node.names, node.children, strict=True)}
        case "array":
            return [_plain(node.children[0], item) for item in value]
        case "map":
            return {key: _plain(node.children[0], item) for key, item in value}
        case "bytes" | "fixed":
            return base64.b64encode(value).decode()
        case "float" | "double" if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case _:
            return value

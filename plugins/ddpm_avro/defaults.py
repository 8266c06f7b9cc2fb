"""Defaults of fields, from the JSON of a schema to an Arrow value."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from ddpm_avro import physical
from ddpm_avro.datum import located
from ddpm_avro.logical import finish
from ddpm_avro.schema import MISSING, Node
from ddpm_core import DataError

_INTEGERS = {"int": 31, "long": 63}


def default_array(node: Node, default: Any) -> pa.Array:
    """One value of a type, from how a schema writes it.

    Raises:
        DataError: `schema_resolution`: it is no value of this type.
    """
    try:
        values = physical.to_arrow(node, [_value(node, default)])
        array, bad = finish(node, values)
    except (ValueError, TypeError, KeyError, OverflowError, pa.ArrowException) as error:
        raise DataError(located(node, f"the default is no value of its type: {error}"), reason="schema_resolution") from error
    if bad:
        raise DataError(f"the default is no value of its type: {bad[0][1]}", reason="schema_resolution")
    return array


def _value(node: Node, default: Any) -> Any:
    """The value as the datum reader makes it."""
    match node.kind:
        case "null" if default is None:
            return None
        case "boolean" if isinstance(default, bool):
            return bytes([default])
        case "int" | "long" if type(default) is int and -(1 << _INTEGERS[node.kind]) <= default < 1 << _INTEGERS[node.kind]:
            return default
        case "float" | "double" if isinstance(default, int | float) and not isinstance(default, bool):
            return float(default)
        case "float" | "double" if default in ("NaN", "Infinity", "-Infinity"):
            return math.nan if default == "NaN" else math.copysign(math.inf, -1 if default.startswith("-") else 1)
        case "string" if isinstance(default, str):
            return default
        case "bytes" if isinstance(default, str):
            return default.encode("latin-1")
        case "fixed" if isinstance(default, str) and len(default) == node.size:
            return default.encode("latin-1")
        case "enum" if default in node.names:
            return node.names.index(default)
        case "array" if isinstance(default, list):
            return [_value(node.children[0], item) for item in default]
        case "map" if isinstance(default, dict):
            return {key: _value(node.children[0], item) for key, item in default.items()}
        case "option":
            return None if default is None and node.null_at is not None else _value(node.children[0], default)
        case "union":
            return _in_union(node, default)
        case "record" if isinstance(default, dict):
            fields = enumerate(zip(node.names, node.children, node.defaults, strict=True))
            return {f"f{i}": _value(child, _field(default, name, own)) for i, (name, child, own) in fields}
    raise ValueError(f"{default!r} is no {node.kind}"[:200])


def _field(default: dict[str, Any], name: str, own: Any) -> Any:
    found = default.get(name, own)
    if found is MISSING:
        raise ValueError(f"field {name!r} is missing")
    return found


def _in_union(node: Node, default: Any) -> dict[str, Any]:
    """A default is of the first type that takes it; the specification once had it be of the first one."""
    for i, branch in enumerate(node.children):
        try:
            return {f"b{i}": _value(branch, default)}
        except ValueError:
            continue
    raise ValueError(f"{default!r} is of none of the types"[:200])

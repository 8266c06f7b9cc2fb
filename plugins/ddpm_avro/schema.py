"""An Avro schema as a tree in which every name is resolved, checked before any data is read with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ddpm_core import DataError

MAX_NODES = 10_000
"""Types in all, once names are written out; a schema of ten lines can otherwise stand for billions."""

PRIMITIVES = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
"""Primitive type -> the fewest bytes that a value takes."""

_LOGICAL = {
    "int": ("date", "time-millis"),
    "long": (
        "time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos",
        "local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos",
    ),
    "string": ("uuid",),
}  # fmt: skip
_MAX_PRECISION = 76  # The most that an Arrow decimal has.


MISSING: Any = object()
"""Instead of the default of a field that has none."""


@dataclass(frozen=True, slots=True)
class Node:
    """One type of a schema.

    Attributes:
        kind: A primitive type, `record`, `enum`, `fixed`, `array`, `map`, `union`, or `option`: a union of which only one branch
            is not null.
        path: Where it is, for messages: `order.items[].price`.
        least: The fewest bytes that a value takes.
        logical: The logical type, or an empty string. One that is unknown or does not fit its type is ignored, as the Avro
            specification demands.
        children: The types of fields, branches, items, values; of an option, the branch that is not null.
        names: Names of a record's fields, or an enum's symbols.
        null_at: Of an option: the index of null, or None when it has no null.
        size: Of a fixed: bytes.
        precision, scale: Of a decimal.
        known_as: Of a record, an enum or a fixed: its name and its aliases, without namespaces.
        aliases: Of a record: the aliases of each field.
        defaults: Of a record: each field's default as JSON has it, or `MISSING`; of an enum: its default symbol, or nothing.
    """

    kind: str
    path: str
    least: int
    logical: str = ""
    children: tuple[Node, ...] = ()
    names: tuple[str, ...] = ()
    null_at: int | None = None
    size: int = 0
    precision: int = 0
    scale: int = 0
    known_as: tuple[str, ...] = ()
    aliases: tuple[tuple[str, ...], ...] = field(default=(), compare=False)
    defaults: tuple[Any, ...] = field(default=(), compare=False)

    def walk(self) -> Iterator[Node]:
        """This type and all within it."""
        yield self
        for child in self.children:
            yield from child.walk()


def read_schema(text: bytes, max_depth: int = 128, references: Sequence[bytes] = ()) -> Node:
    """The tree of a schema in JSON.

    Args:
        text: The JSON.
        max_depth: Levels of nesting that are allowed: deep schemas make decoders recurse, and fastavro crashes the process when it
            runs out of stack.
        references: Schemas in JSON whose names it may use; each may use those of the ones before.

    Raises:
        DataError: `avro_invalid`: it is no Avro schema. `depth`: it contains itself, or is nested too deep or too large.
    """
    resolver = _Resolver(max_depth)
    for reference in references:
        resolver.node(_from_json(reference), "", "", in_union=False)
    return resolver.node(_from_json(text), "", "", in_union=False)


def _from_json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DataError("the schema's JSON is nested too deep", reason="depth") from error
    except ValueError as error:
        raise DataError(f"the schema is not JSON: {error}", reason="avro_invalid") from error


class _Resolver:
    def __init__(self, max_depth: int) -> None:
        self._max_depth = max_depth
        self._named: dict[str, tuple[dict[str, Any], str]] = {}
        self._open: list[str] = []
        self._count = 0
        self._depth = 0

    def node(self, schema: Any, namespace: str, path: str, *, in_union: bool) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise DataError(f"the schema stands for more than {MAX_NODES:,} types", reason="depth")
        if self._depth > self._max_depth:
            raise DataError(f"the schema is nested more than {self._max_depth} levels deep, at {path[:80]}", reason="depth")
        self._depth += 1
        try:
            return self._node(schema, namespace, path, in_union)
        finally:
            self._depth -= 1

    def _node(self, schema: Any, namespace: str, path: str, in_union: bool) -> Node:
        if isinstance(schema, list):
            return self._union(schema, namespace, path, in_union)
        if isinstance(schema, str):
            if schema in PRIMITIVES:
                return Node(schema, path, PRIMITIVES[schema])
            return self._reference(schema, namespace, path, in_union)
        if not isinstance(schema, dict) or "type" not in schema:
            raise _invalid(f"{_shown(schema)} is no type", path)
        kind = schema["type"]
        if isinstance(kind, dict | list):
            return self.node(kind, namespace, path, in_union=in_union)
        if kind in ("record", "error", "enum", "fixed"):
            return self._define(schema, namespace, path, in_union)
        if kind == "array":
            return Node("array", path, 1, children=(self._child(schema, "items", namespace, f"{path}[]", in_union),))
        if kind == "map":
            return Node("map", path, 1, children=(self._child(schema, "values", namespace, f"{path}{{}}", in_union),))
        if not isinstance(kind, str):
            raise _invalid(f"{_shown(kind)} is no type", path)
        if kind not in PRIMITIVES:
            return self._reference(kind, namespace, path, in_union)
        return _primitive(schema, kind, path, in_union)

    def _child(self, schema: dict[str, Any], key: str, namespace: str, path: str, in_union: bool) -> Node:
        if key not in schema:
            raise _invalid(f"{schema['type']} without {key!r}", path)
        return self.node(schema[key], namespace, path, in_union=in_union)

    def _union(self, schema: list[Any], namespace: str, path: str, in_union: bool) -> Node:
        if not schema:
            raise _invalid("a union without branches", path)
        nulls = [i for i, branch in enumerate(schema) if branch in ("null", {"type": "null"})]
        if len(nulls) > 1 or any(isinstance(branch, list) for branch in schema):
            raise _invalid("a union with a union or a second null in it", path)
        rest = [branch for i, branch in enumerate(schema) if i not in nulls]
        if len(rest) == 1:
            child = self.node(rest[0], namespace, path, in_union=in_union)
            null_at = nulls[0] if nulls else None
            return Node("option", path, 1 + (0 if nulls else child.least), children=(child,), null_at=null_at)
        branches = tuple(self.node(branch, namespace, path, in_union=True) for branch in schema)
        return Node("union", path, 1 + min(branch.least for branch in branches), children=branches)

    def _define(self, schema: dict[str, Any], namespace: str, path: str, in_union: bool) -> Node:
        name = schema.get("name")
        if not isinstance(name, str) or not name:
            raise _invalid(f"{schema['type']} without a name", path)
        if "." not in name:
            namespace = str(schema.get("namespace", namespace) or "")
            full = f"{namespace}.{name}" if namespace else name
        else:
            full, namespace = name, name.rpartition(".")[0]
        if full in self._named and self._named[full][0] is not schema:
            raise _invalid(f"the name {full!r} is defined twice", path)
        self._named[full] = (schema, namespace)
        if schema["type"] == "enum":
            return _enum(schema, path)
        if schema["type"] == "fixed":
            return _fixed(schema, path)
        self._open.append(full)
        fields = schema.get("fields")
        if not isinstance(fields, list) or not all(isinstance(f, dict) and isinstance(f.get("name"), str) for f in fields):
            raise _invalid(f"record {full!r} without a list of named fields", path)
        names = tuple(field["name"] for field in fields)
        if len(set(names)) < len(names):
            raise _invalid(f"record {full!r} has two fields of one name", path)
        children = tuple(
            self._child(field, "type", namespace, f"{path}.{field['name']}" if path else field["name"], in_union)
            if "type" in field
            else _no_type(field, path)
            for field in fields
        )
        self._open.pop()
        return Node(
            "record",
            path,
            sum(child.least for child in children),
            children=children,
            names=names,
            known_as=_known_as(schema),
            aliases=tuple(_texts(field.get("aliases")) for field in fields),
            defaults=tuple(field.get("default", MISSING) for field in fields),
        )

    def _reference(self, name: str, namespace: str, path: str, in_union: bool) -> Node:
        full = f"{namespace}.{name}" if "." not in name and namespace else name
        if full not in self._named:
            full = name
        if full not in self._named:
            raise _invalid(f"{name!r} is no type", path)
        if full in self._open:
            raise DataError(f"record {full!r} contains itself, at {path!r}; such schemas are not supported", reason="depth")
        schema, outer = self._named[full]
        return self._define(schema, outer, path, in_union)


def _primitive(schema: dict[str, Any], kind: str, path: str, in_union: bool) -> Node:
    logical = schema.get("logicalType")
    if kind == "bytes" and logical == "decimal":
        return _decimal(schema, Node(kind, path, 1))
    # Python has no nanoseconds, and values of a union go through Python.
    fits = logical in _LOGICAL.get(kind, ()) and not (in_union and str(logical).endswith("nanos"))
    return Node(kind, path, PRIMITIVES[kind], logical=str(logical) if fits else "")


def _enum(schema: dict[str, Any], path: str) -> Node:
    symbols = schema.get("symbols")
    if not isinstance(symbols, list) or not symbols or not all(isinstance(s, str) for s in symbols):
        raise _invalid("an enum without symbols", path)
    default = schema.get("default")
    defaults = (default,) if default in symbols else ()
    return Node("enum", path, 1, names=tuple(symbols), known_as=_known_as(schema), defaults=defaults)


def _known_as(schema: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name.rpartition(".")[2] for name in (schema["name"], *_texts(schema.get("aliases"))))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _fixed(schema: dict[str, Any], path: str) -> Node:
    size = schema.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size < 1 << 24:
        raise _invalid(f"a fixed of size {_shown(size)}", path)
    logical = schema.get("logicalType")
    if logical == "decimal":
        return _decimal(schema, Node("fixed", path, size, size=size, known_as=_known_as(schema)))
    known = (logical == "duration" and size == 12) or (logical == "uuid" and size == 16)
    return Node("fixed", path, size, size=size, logical=str(logical) if known else "", known_as=_known_as(schema))


def _decimal(schema: dict[str, Any], plain: Node) -> Node:
    precision, scale = schema.get("precision", 0), schema.get("scale", 0)
    valid = type(precision) is int and type(scale) is int and 0 < precision <= _MAX_PRECISION and 0 <= scale <= precision
    if not valid:
        return plain
    return replace(plain, logical="decimal", precision=precision, scale=scale)


def _no_type(field: dict[str, Any], path: str) -> Node:
    raise _invalid(f"field {field['name']!r} without a type", path)


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _invalid(what: str, path: str) -> DataError:
    return DataError(f"the schema is wrong{f' at {path!r}' if path else ''}: {what}", reason="avro_invalid")

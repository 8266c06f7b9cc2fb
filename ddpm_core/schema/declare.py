"""Column types as users write them: `ts=timestamp,amount=decimal(12,2)`."""

from __future__ import annotations

import re
from difflib import get_close_matches

import pyarrow as pa

from ddpm_core.errors import ConfigError, Problem
from ddpm_core.schema import types

_NAMES: dict[str, pa.DataType] = {
    "bigint": pa.int64(),
    "int64": pa.int64(),
    "long": pa.int64(),
    "integer": pa.int32(),
    "int": pa.int32(),
    "int32": pa.int32(),
    "int4": pa.int32(),
    "smallint": pa.int16(),
    "int16": pa.int16(),
    "int2": pa.int16(),
    "tinyint": pa.int8(),
    "utinyint": pa.uint8(),
    "uint8": pa.uint8(),
    "usmallint": pa.uint16(),
    "uint16": pa.uint16(),
    "uinteger": pa.uint32(),
    "uint32": pa.uint32(),
    "ubigint": pa.uint64(),
    "uint64": pa.uint64(),
    "double": pa.float64(),
    "double precision": pa.float64(),
    "float64": pa.float64(),
    "float8": pa.float64(),
    "float": pa.float64(),
    "real": pa.float32(),
    "float32": pa.float32(),
    "float4": pa.float32(),
    "boolean": pa.bool_(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "string": pa.string(),
    "varchar": pa.string(),
    "timestamp": pa.timestamp("us"),
    "datetime": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "timestamp with time zone": pa.timestamp("us", "UTC"),
    "timestamp without time zone": pa.timestamp("us"),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "interval": pa.duration("us"),
    "uuid": types.UUID,
    "json": types.JSON,
    "jsonb": types.JSON,
    "blob": pa.binary(),
    "bytea": pa.binary(),
    "binary": pa.binary(),
}
"""`float` is a double, as in Postgres and standard SQL; DuckDB's 32 bits would lose digits of those who meant the other.
`int8` is missing on purpose: it counts bits to some and bytes to others."""

TYPE_NAMES = (
    "bigint, integer, smallint, tinyint, ubigint, uinteger, usmallint, utinyint, double, real, decimal(p,s), boolean, text, "
    "timestamp, timestamptz, date, time, interval, uuid, json, blob, and lists such as text[]"
)
"""The type names that messages list: one for each type."""

_DECIMAL = re.compile(r"(?:decimal|numeric)\s*\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\)")
_WHERE = "--columns"


def parse_columns(text: str) -> pa.Schema:
    """Read `name=type,name=type`. Commas inside parentheses or double quotes do not separate.

    A name in double quotes is taken as it stands, `""` in it being one quote. Type names are those of docs/schema.md, in any case.

    Raises:
        ConfigError: With every problem found.
    """
    problems: list[Problem] = []
    fields: dict[str, pa.Field] = {}
    for part in _split(text):
        try:
            field = _field(part)
        except _WrongError as wrong:
            problems.append(wrong.problem)
            continue
        if field.name in fields:
            problems.append(Problem(_WHERE, f"column {field.name!r} is declared twice"))
        fields[field.name] = field
    if not fields and not problems:
        problems.append(Problem(_WHERE, "no column is declared", "write name=type, such as ts=timestamp"))
    if problems:
        raise ConfigError(problems)
    return pa.schema(list(fields.values()))


class _WrongError(Exception):
    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.problem = Problem(_WHERE, what, hint)


def _split(text: str) -> list[str]:
    parts, start, depth, quoted = [], 0, 0, False
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and not quoted and depth <= 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return parts if len(parts) > 1 or parts[0].strip() else []


def _field(part: str) -> pa.Field:
    part = part.strip()
    if not part:
        raise _WrongError("there is nothing between two commas", "write name=type, such as ts=timestamp")
    if part.startswith('"'):
        quoted = re.match(r'"((?:[^"]|"")*)"\s*=', part)
        if not quoted:
            raise _WrongError(f"{part!r} has a quoted name that does not end, or no type", 'write "name"=type')
        name, spelled = quoted[1].replace('""', '"'), part[quoted.end() :]
    else:
        name, equals, spelled = part.partition("=")
        if not equals:
            raise _WrongError(f"{part!r} has no type", f"write {part}=type, such as {part}=text")
        name = name.strip()
    if not name:
        raise _WrongError(f"{part!r} has no column name", "write name=type, such as ts=timestamp")
    return pa.field(name, _type(name, spelled))


def _type(name: str, spelled: str) -> pa.DataType:
    wanted = " ".join(spelled.lower().split())
    if not wanted:
        raise _WrongError(f"column {name!r} has no type", f"types: {TYPE_NAMES}")
    if wanted.endswith("[]"):
        return pa.list_(_type(name, wanted[:-2]))
    if wanted in _NAMES:
        return _NAMES[wanted]
    decimal = _DECIMAL.fullmatch(wanted)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2] or 0)
        if not (1 <= precision <= 38 and 0 <= scale <= precision):
            raise _WrongError(f"column {name!r}: {wanted} is out of range", "decimal(p,s) takes p from 1 to 38 and s from 0 to p")
        return pa.decimal128(precision, scale)
    if re.match(r"(?:decimal|numeric)\b", wanted):
        raise _WrongError(f"column {name!r}: {wanted!r} needs a precision and a scale", "write decimal(12,2)")
    if re.fullmatch(r"(?:varchar|char|text|string)\s*\(.*\)", wanted):
        raise _WrongError(f"column {name!r}: {wanted!r} has a length, and texts have none here", f"write {name}=text")
    if wanted == "int8":
        raise _WrongError(f"column {name!r}: int8 may mean 8 bytes or 8 bits", "write bigint or tinyint")
    near = get_close_matches(wanted, [*_NAMES, "decimal", "numeric"], n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    raise _WrongError(
        f"column {name!r} has the unknown type {wanted!r}", f"{meant}Types: {TYPE_NAMES}" if near else f"types: {TYPE_NAMES}"
    )

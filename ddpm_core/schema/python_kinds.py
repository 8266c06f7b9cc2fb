"""What kind of value a Python object is, and which type a column of such values has."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

import pyarrow as pa

from ddpm_core.schema import types
from ddpm_core.schema.types import INT64_MAX, INT64_MIN

PythonKind: TypeAlias = Literal[
    "bool", "int", "huge", "float", "decimal", "text", "binary", "naive", "aware", "date", "time", "duration", "uuid", "nested", "alien"
]  # fmt: skip
"""`huge` is an integer beyond 64 bits; `naive` and `aware` are datetimes; `alien` is what no rule knows."""

NATURAL: dict[PythonKind, pa.DataType] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "text": pa.string(),
    "binary": pa.binary(),
    "naive": pa.timestamp("us"),
    "aware": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "duration": pa.duration("us"),
    "uuid": types.UUID,
    "nested": types.JSON,
}
_WIDENS: tuple[tuple[PythonKind, PythonKind], ...] = (
    ("int", "float"),
    ("int", "decimal"),
    ("date", "naive"),
    ("date", "aware"),
)
_INFERRED_SCALE = 9
"""Digits after the point that an inferred decimal column has at least; the first batch may show fewer than the next needs."""

_BY_TYPE: dict[type, PythonKind] = {
    bool: "bool", float: "float", Decimal: "decimal", str: "text", bytes: "binary", bytearray: "binary", memoryview: "binary",
    date: "date", timedelta: "duration", UUID: "uuid", dict: "nested", list: "nested", tuple: "nested",
}  # fmt: skip


def kind_of(value: Any) -> PythonKind:
    """The kind of one value that is not None."""
    known = _BY_TYPE.get(type(value))
    if known:
        return known
    match value:
        case bool():
            return "bool"
        case numbers.Integral():
            return "int" if INT64_MIN <= int(value) <= INT64_MAX else "huge"
        case float() | numbers.Real() if not isinstance(value, numbers.Rational):
            return "float"
        case datetime():
            return "naive" if value.utcoffset() is None else "aware"
        case time():
            return "time" if value.tzinfo is None else "alien"
        case Mapping():
            return "nested"
    return next((name for base, name in _BY_TYPE.items() if isinstance(value, base)), "alien")


def inferred_type(values: Sequence[Any]) -> pa.DataType:
    """The type that most values have, the first seen of equals; whole numbers count with the fractions beside them.

    `pa.null()` when there is no value.
    """
    counted: Counter[PythonKind] = Counter(map(kind_of, (value for value in values if value is not None)))
    del counted["alien"]
    if counted["huge"]:  # It is never a float, and what it is instead the user must say.
        counted["int"] += counted["huge"]
    del counted["huge"]
    for narrow, wide in _WIDENS:
        if counted[narrow] and counted[wide]:
            counted[wide] += counted.pop(narrow)
    if not +counted:
        return pa.null()
    winner = max(counted, key=counted.__getitem__)
    return _decimal_type(values) if winner == "decimal" else NATURAL[winner]


def _decimal_type(values: Sequence[Any]) -> pa.DataType:
    scales = [-int(value.as_tuple().exponent) for value in values if isinstance(value, Decimal) and value.is_finite()]
    return pa.decimal128(38, min(max([_INFERRED_SCALE, *scales]), 37))

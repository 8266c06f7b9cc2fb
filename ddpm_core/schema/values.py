"""Python values as one Arrow column, by the rules for what fits into what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa

from ddpm_core.schema import types
from ddpm_core.schema.cast import cast_column
from ddpm_core.schema.cast_numbers import exact_decimal
from ddpm_core.schema.lists import Lists
from ddpm_core.schema.names import match_names
from ddpm_core.schema.outcome import REFUSALS, without
from ddpm_core.schema.python_kinds import NATURAL, PythonKind, kind_of
from ddpm_core.schema.spell import UnspeakableError, check_json, json_text, plain_digits
from ddpm_core.schema.types import kind, plain_type, sql_name


class Fault(NamedTuple):
    """Why a value does not fit.

    Attributes:
        reason: The reason code.
        source: What the value is, in SQL words.
    """

    reason: str
    source: str


class Column(NamedTuple):
    """A column, null where `faults` names the row."""

    data: pa.Array
    faults: dict[int, Fault]


_AT_ONCE: dict[frozenset[type], pa.DataType] = {
    frozenset([str]): pa.string(),
    frozenset([int]): pa.int64(),
    frozenset([float]): pa.float64(),
    frozenset([int, float]): pa.float64(),
    frozenset([bool]): pa.bool_(),
    frozenset([bytes]): pa.binary(),
    frozenset([date]): pa.date32(),
    frozenset([timedelta]): pa.duration("us"),
    frozenset([UUID]): types.UUID,
}
_WHAT: dict[PythonKind, str] = {"huge": "integer beyond 64 bits", "decimal": "decimal", "nested": "json"}
_NOTHING = type(None)


def column_of(values: Sequence[Any], target: pa.DataType, *, text_is_json: bool = False) -> Column:
    """Make a column of this type. Values of one plain Python type take one call of Arrow's; only mixtures are looked at singly.

    Args:
        values: Any objects; None is null.
        target: The column's type.
        text_is_json: For a JSON column: a str is JSON text, and refused when it is none. Otherwise it is a JSON string.
    """
    seen = frozenset(map(type, values)) - {_NOTHING}
    if not seen:
        return Column(pa.nulls(len(values), target), {})
    wanted = kind(plain_type(target))
    if wanted == "json":
        return _json_column(values, target, text_is_json=text_is_json)
    made = _at_once(values, seen, target)
    if made is not None:
        data, bad = cast_column(made, target)
        source = sql_name(made.type)
        return Column(data, {row: Fault(reason, source) for row, reason in bad.items()})
    return _one_kind_at_a_time(values, target)


def _at_once(values: Sequence[Any], seen: frozenset[type], target: pa.DataType) -> pa.Array | None:
    natural = _AT_ONCE.get(seen)
    if natural is None and seen <= {Decimal, int} and pa.types.is_decimal(target):
        natural = target
    if natural is None or (len(seen) == 2 and natural != target):
        return None
    try:
        return pa.array(values, natural)
    except (*REFUSALS, UnicodeEncodeError, pa.ArrowTypeError):
        return None


def _one_kind_at_a_time(values: Sequence[Any], target: pa.DataType) -> Column:
    groups: dict[PythonKind, list[int]] = {}
    for row, value in enumerate(values):
        if value is not None:
            groups.setdefault(kind_of(value), []).append(row)
    place: list[int | None] = [None] * len(values)
    parts: list[pa.Array] = []
    faults: dict[int, Fault] = {}
    at = 0
    for of_kind, rows in groups.items():
        part, bad = _part(of_kind, [values[row] for row in rows], target)
        for number, row in enumerate(rows):
            if number in bad:
                faults[row] = bad[number]
            else:
                place[row] = at + number
        parts.append(part)
        at += len(part)
    return Column(pa.concat_arrays(parts).take(pa.array(place, pa.int64())), faults)


_MOST_BITS = 14_284
"""Of an integer: 4,300 digits, which is also the most that Python spells."""


def _part(of_kind: PythonKind, values: list[Any], target: pa.DataType) -> Column:
    """Values of one kind, none of them None."""
    bare = plain_type(target)
    wanted = kind(bare)
    if of_kind == "alien":
        return _none_fits(values, target, _what_is)
    if of_kind == "nested" and wanted in _NESTED_COLUMNS:
        made = _NESTED_COLUMNS[wanted](values, bare)
        return Column(made.data.cast(target), made.faults)
    if of_kind == "huge":
        if wanted not in ("int", "decimal", "text"):
            reason = "int_range" if wanted == "float" else "type_mismatch"
            return _none_fits(values, target, lambda _: _WHAT["huge"], reason)
        # To turn a million digits from one base into another takes half a minute.
        long = {row for row, value in enumerate(values) if int(value).bit_length() > _MOST_BITS}
        made = _decimals([Decimal(0 if row in long else int(value)) for row, value in enumerate(values)], target, of_kind)
        fault = Fault("int_range" if wanted == "int" else "number_range", _WHAT["huge"])
        return Column(without(made.data, long), made.faults | dict.fromkeys(long, fault)) if long else made
    if of_kind == "decimal":
        return _decimals(values, target, of_kind)
    natural, faults = _natural(of_kind, values)
    data, bad = cast_column(natural, target)
    source = _WHAT.get(of_kind) or sql_name(natural.type)
    return Column(data, {row: Fault(reason, source) for row, reason in bad.items()} | faults)


def _natural(of_kind: PythonKind, values: list[Any]) -> Column:
    """Values of one kind in the type that the kind has by itself."""
    if of_kind == "nested":
        return _json_column(values, types.JSON)
    natural = NATURAL[of_kind]
    plainly: list[Any] = list(map(_PLAINLY.get(of_kind, lambda value: value), values))
    try:
        return Column(pa.array(plainly, natural), {})
    except (*REFUSALS, UnicodeEncodeError):
        pass
    reason = "surrogate" if of_kind == "text" else "time_range"
    faults: dict[int, Fault] = {}
    for row, value in enumerate(plainly):
        try:
            pa.array([value], natural)
        except (*REFUSALS, UnicodeEncodeError):
            faults[row] = Fault(reason, sql_name(natural))
            plainly[row] = None
    return Column(pa.array(plainly, natural), faults)


_PLAINLY: dict[PythonKind, Callable[[Any], Any]] = {"int": int, "float": float, "binary": bytes, "text": str.__str__}


def _decimals(values: list[Decimal], target: pa.DataType, of_kind: PythonKind) -> Column:
    """Decimals differ in precision and scale from row to row, so each is brought to the target by itself."""
    bare = plain_type(target)
    wanted = kind(bare)
    made: list[Any] = []
    faults: dict[int, Fault] = {}
    for row, value in enumerate(values):
        fit: Any = None
        reason = "number_range"
        if wanted == "decimal":
            fit = exact_decimal(value, bare)
        elif wanted == "text":
            fit = plain_digits(value) if value.is_finite() else None
        elif value.is_finite():
            fit, reason = _cast_alone(value, bare)
        if fit is None:
            faults[row] = Fault(reason, _WHAT[of_kind])
        made.append(fit)
    return Column(pa.array(made, bare).cast(target), faults)


def _cast_alone(value: Decimal, target: pa.DataType) -> tuple[Any, str]:
    try:
        data, bad = cast_column(pa.array([value]), target)
    except REFUSALS:  # More digits than any decimal of Arrow's has.
        whole = value == value.to_integral_value() if abs(value.adjusted()) < 10_000 else value.adjusted() > 0
        return None, "int_range" if kind(target) == "int" and whole else "number_range"
    return data[0].as_py(), bad.get(0, "")


def _json_column(values: Sequence[Any], target: pa.DataType, *, text_is_json: bool = False) -> Column:
    texts: list[str | None] = []
    faults: dict[int, Fault] = {}
    for row, value in enumerate(values):
        text = None
        if value is not None:
            try:
                if text_is_json and isinstance(value, str):
                    check_json(value)
                    text = value
                else:
                    text = json_text(value)
            except UnspeakableError as error:
                faults[row] = Fault(error.reason, _what_is(value))
        texts.append(text)
    return Column(pa.array(texts, pa.string()).cast(target), faults)


def _what_is(value: Any) -> str:
    of_kind = kind_of(value)
    if of_kind == "alien":
        return f"Python object of type {type(value).__name__}"
    return _WHAT.get(of_kind) or sql_name(NATURAL[of_kind])


def _none_fits(values: list[Any], target: pa.DataType, what: Callable[[Any], str], reason: str = "type_mismatch") -> Column:
    return Column(pa.nulls(len(values), target), {row: Fault(reason, what(value)) for row, value in enumerate(values)})


def _list_column(values: list[Any], target: pa.DataType) -> Column:
    faults = {row: Fault("type_mismatch", "json") for row, value in enumerate(values) if isinstance(value, Mapping)}
    lists = [None if row in faults else value for row, value in enumerate(values)]
    elements = column_of([element for items in lists for element in items or ()], target.value_type)
    parts = Lists(elements.data, pa.array([None if items is None else len(items) for items in lists], pa.int32()))
    faults |= _faults_of_rows(parts, elements)
    data = parts.around(elements.data)
    if faults:
        data = without(data, faults)
    if not pa.types.is_fixed_size_list(target):
        return Column(data.cast(target), faults)
    wrong = [row for row, items in enumerate(lists) if items is not None and len(items) != target.list_size]
    faults |= {row: Fault("type_mismatch", "json") for row in wrong}
    return Column(without(data, wrong).cast(target), faults)


def _struct_column(values: list[Any], target: pa.DataType) -> Column:
    faults = {row: Fault("type_mismatch", "json") for row, value in enumerate(values) if not isinstance(value, Mapping)}
    rows = [{} if row in faults else {str(key): item for key, item in value.items()} for row, value in enumerate(values)]
    names = list(dict.fromkeys(name for row in rows for name in row))
    matched = match_names(names, [field.name for field in target])
    for row, value in enumerate(rows):
        if any(value.get(names[number]) is not None for number in matched.unknown):
            faults.setdefault(row, Fault("unknown_column", "json"))
    children = []
    for field in target:
        sources = [names[number] for number in matched.sources.get(field.name, [])]
        found = [[value[name] for name in sources if value.get(name) is not None] for value in rows]
        for row, several in enumerate(found):
            if len(several) > 1:
                faults.setdefault(row, Fault("column_conflict", "json"))
        child = column_of([several[0] if several else None for several in found], field.type)
        for row, fault in child.faults.items():
            faults.setdefault(row, Fault(fault.reason, "json"))
        children.append(child.data)
    data = pa.StructArray.from_arrays(children, fields=list(target))
    return Column(without(data, faults) if faults else data, faults)


def _map_column(values: list[Any], target: pa.DataType) -> Column:
    faults: dict[int, Fault] = {}
    keys: list[Any] = []
    items: list[Any] = []
    lengths: list[int] = []
    for row, value in enumerate(values):
        pairs = list(value.items()) if isinstance(value, Mapping) else value
        if not all(isinstance(pair, tuple) and len(pair) == 2 and pair[0] is not None for pair in pairs):
            faults[row] = Fault("type_mismatch", "json")
            pairs = []
        keys += [pair[0] for pair in pairs]
        items += [pair[1] for pair in pairs]
        lengths.append(len(pairs))
    key_column, item_column = column_of(keys, target.key_type), column_of(items, target.item_type)
    for column in (key_column, item_column):
        faults |= _faults_of_rows(Lists(column.data, pa.array(lengths, pa.int32())), column)
    if key_column.faults:  # A map's key is never null: make the column of the good rows, and put those back in their places.
        good = [row for row in range(len(values)) if row not in faults]
        made = _map_column([values[row] for row in good], target).data
        place = {row: number for number, row in enumerate(good)}
        return Column(made.take(pa.array([place.get(row) for row in range(len(values))], pa.int64())), faults)
    offsets = Lists(key_column.data, pa.array(lengths, pa.int32())).around(key_column.data).offsets
    data = pa.MapArray.from_arrays(offsets, key_column.data, item_column.data, type=target)
    return Column(without(data, faults) if faults else data, faults)


def _faults_of_rows(lists: Lists, elements: Column) -> dict[int, Fault]:
    return {row: Fault(reason, "json") for row, reason in lists.owners({e: f.reason for e, f in elements.faults.items()}).items()}


_NESTED_COLUMNS: dict[str, Callable[[list[Any], pa.DataType], Column]] = {
    "list": _list_column,
    "struct": _struct_column,
    "map": _map_column,
}

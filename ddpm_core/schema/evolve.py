"""How a table may change so that the values of a batch have a place: what is added, what is widened, and why. Rules only; no SQL.

A column is added when a value has no column, and widened when a value does not fit and its type is a safe widening of the column's:
every value that was in the column is the same afterwards, and reads the same. Nothing else is ever changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.types as is_type

from ddpm_core.schema.cast import cast_column
from ddpm_core.schema.complaint import shown
from ddpm_core.schema.conform import unknown_fields
from ddpm_core.schema.names import match_names
from ddpm_core.schema.types import kind, plain_type, sql_name
from ddpm_core.values import dataclass

MOST_DIGITS = 38
"""More digits than this no decimal column gets."""

_BY_RANGE = ("int_range", "number_range")
"""The reasons for which a value is refused that a wider column would take."""


@dataclass(frozen=True, slots=True)
class NewTable:
    """The table is missing and is made."""

    fields: tuple[pa.Field, ...]

    @property
    def why(self) -> str:
        """For people."""
        return "the table does not exist"


@dataclass(frozen=True, slots=True)
class NewColumn:
    """A column is added; the rows that are there have null in it."""

    field: pa.Field

    @property
    def why(self) -> str:
        """For people."""
        return (
            f"the data has values of type {sql_name(self.field.type)} in {shown(self.field.name)}, and the table has no such column"
        )


@dataclass(frozen=True, slots=True)
class WiderColumn:
    """A column gets a type that holds all that the old one did, and more."""

    name: str
    old: pa.DataType
    new: pa.DataType
    value: str

    @property
    def why(self) -> str:
        """For people."""
        return f"column {shown(self.name)} is {sql_name(self.old)}, and {self.value} needs {sql_name(self.new)}"


Change = NewTable | NewColumn | WiderColumn


def new_columns(data: pa.RecordBatch, target: pa.Schema) -> list[NewColumn]:
    """The columns that these rows need and the target lacks."""
    return [NewColumn(field) for field in unknown_fields(data, target)]


def wider_columns(data: pa.RecordBatch, target: pa.Schema) -> list[WiderColumn]:
    """The columns of the target in which a value of these rows does not fit, and which a safe widening would make hold it.

    Casts the columns that could be widened; call it when `conform` refused rows by range.
    """
    found: list[WiderColumn] = []
    matched = match_names(data.schema.names, target.names)
    for field in target:
        for number in matched.sources.get(field.name, ()):
            array = data.column(number)
            wider = widened(field.type, array.type)
            if wider is None:
                continue
            bad = cast_column(array, field.type).bad
            row = next((row for row, reason in bad.items() if reason in _BY_RANGE), None)
            if row is not None:
                found.append(WiderColumn(field.name, field.type, wider, shown(array[row])))
                break
    return found


def refused_by_range(reasons: Sequence[str]) -> bool:
    """Whether a wider column could be what refused rows lack."""
    return any(reason in _BY_RANGE for reason in reasons)


def widened(old: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    """The narrowest type that holds every value of both exactly, where going there from `old` is a safe widening; else None.

    Safe: integer to a wider integer to decimal, real to double, decimal to a longer decimal. An integer is never widened to a
    double, which would round it, and nothing is widened to text, which would change what comparing and sorting mean.
    """
    old, new = plain_type(old), plain_type(new)
    match kind(old), kind(new):
        case "int", "int":
            wider = _integer(old, new)
        case ("int", "decimal") | ("decimal", "int" | "decimal"):
            wider = _decimal(old, new)
        case "float", "float":
            wider = new if new.bit_width > old.bit_width else old
        case _:
            return None
    return None if wider is None or wider == old else wider


def most_general(expected: pa.Schema) -> pa.Schema:
    """What a parser should read so that a value that needs a wider column is not refused before the sink sees it."""
    return pa.schema([field.with_type(_most_general(field.type)) for field in expected])


def after(target: pa.Schema, changes: Sequence[Change]) -> pa.Schema:
    """The columns of the target once these changes are made."""
    for change in changes:
        match change:
            case NewTable(fields):
                target = pa.schema(list(fields))
            case NewColumn(field):
                target = target.append(field)
            case WiderColumn(name, _, new, _):
                at = target.get_field_index(name)
                target = target.set(at, target.field(at).with_type(new))
    return target


def _most_general(data_type: pa.DataType) -> pa.DataType:
    if is_type.is_signed_integer(data_type):
        return pa.int64()
    if is_type.is_float32(data_type) or is_type.is_float16(data_type):
        return pa.float64()
    if is_type.is_decimal(data_type) and data_type.precision < MOST_DIGITS:
        return pa.decimal128(MOST_DIGITS, data_type.scale)
    return data_type


def _integer(old: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    """Between integers, signs included: what unsigned values need is one width more."""
    signed = is_type.is_signed_integer(old) or is_type.is_signed_integer(new)
    widths = [_signed_width(t) if signed else t.bit_width for t in (old, new)]
    width = max(widths)
    if width > 64:
        return _decimal(old, new)
    names = {8: "int8", 16: "int16", 32: "int32", 64: "int64"}
    return getattr(pa, names[width] if signed else f"u{names[width]}")()


def _signed_width(t: pa.DataType) -> int:
    return int(t.bit_width) * (1 if is_type.is_signed_integer(t) else 2)


def _decimal(old: pa.DataType, new: pa.DataType) -> pa.DataType | None:
    whole = max(_whole_digits(old), _whole_digits(new))
    scale = max(_scale(old), _scale(new))
    return pa.decimal128(whole + scale, scale) if whole + scale <= MOST_DIGITS else None


def _whole_digits(t: pa.DataType) -> int:
    if kind(t) == "decimal":
        return int(t.precision - t.scale)
    return len(str(2 ** (t.bit_width - (1 if is_type.is_signed_integer(t) else 0)) - 1))


def _scale(t: pa.DataType) -> int:
    return int(t.scale) if kind(t) == "decimal" else 0

"""What becomes a boolean, an integer, a float or a decimal."""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation

import pyarrow as pa

from ddpm_core.schema import kernels as pc
from ddpm_core.schema.outcome import Bad, Outcome, attempt, mismatch, rows_where, set_aside, without
from ddpm_core.schema.types import EXACT_IN_DOUBLE, JSON_INT, JSON_NUMBER, Kind

_EXACT_WHOLE = {16: 2**11, 32: 2**24, 64: EXACT_IN_DOUBLE}
_MOST_DIGITS = {32: 9, 64: 18, 128: 38, 256: 76}
"""Bits of a decimal -> the digits that are sure to fit."""
_EXACTLY = Context(prec=100, traps=[Inexact, InvalidOperation])


def to_bool(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Only booleans, and the texts `true` and `false`."""
    if source != "text":
        return mismatch(array, target)
    spelled, bad = _only_spelled(array, "true|false")
    return Outcome(pc.equal(spelled, "true"), bad)


def to_int(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Whole numbers in range, and texts that spell one as JSON does."""
    bad: Bad = {}
    match source:
        case "int":
            lowest, highest = (max(_bounds(array.type)[0], _bounds(target)[0]), min(_bounds(array.type)[1], _bounds(target)[1]))
            outside = pc.or_(pc.less(array, pa.scalar(lowest, array.type)), pc.greater(array, pa.scalar(highest, array.type)))
            array, bad = set_aside(array, outside, "int_range")
        case "float":
            lowest, highest = _bounds(target)
            array = _as_double(array)
            whole = pc.equal(array, pc.floor(array))
            inside = pc.and_(pc.greater_equal(array, float(lowest)), pc.less(array, float(highest + 1)))
            array, bad = set_aside(array, pc.invert(pc.and_(whole, inside)), "type_mismatch")
        case "decimal":
            array = _as_wide_decimal(array)
            array, bad = set_aside(array, pc.not_equal(pc.trunc(array), array), "type_mismatch")
        case "text":
            array, bad = _only_spelled(array, JSON_INT)
        case _:
            return mismatch(array, target)
    data, more = attempt(array, lambda part: part.cast(target), "int_range")
    return Outcome(data, bad | more)


def to_float(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Whole numbers that stay exact, every float and decimal that stays finite (rounded), and texts that spell a JSON number."""
    bad: Bad = {}
    match source:
        case "int":
            exact = _EXACT_WHOLE[target.bit_width]
            lowest, highest = _bounds(array.type)
            outside = pc.or_(
                pc.less(array, pa.scalar(max(lowest, -exact), array.type)),
                pc.greater(array, pa.scalar(min(highest, exact), array.type)),
            )
            array, bad = set_aside(array, outside, "int_range")
            return Outcome(array.cast(pa.float64()).cast(target), bad)
        case "float":
            array = _as_double(array)
        case "decimal":
            # By its digits: Arrow's own cast is off by one unit in the last place for some values.
            array = array.cast(pa.string()).cast(pa.float64())
        case "text":
            texts, bad = _only_spelled(array, JSON_NUMBER)
            array = texts.cast(pa.float64())
            array, more = set_aside(array, pc.is_inf(array), "number_range")
            array, inexact = set_aside(array, _too_large_for_double(array, texts), "int_range")
            bad = bad | more | inexact
        case _:
            return mismatch(array, target)
    data = array.cast(target)
    if target.bit_width < 64:
        overflown = pc.and_(pc.is_inf(data.cast(pa.float32())), pc.is_finite(array))
        data, more = set_aside(data, overflown, "number_range")
        bad = bad | more
    return Outcome(data, bad)


def to_decimal(array: pa.Array, source: Kind, target: pa.DataType) -> Outcome:
    """Exact, or refused; only floats are rounded to the scale, since they carry noise in their last digits."""
    match source:
        case "int":
            # Arrow wants room for every integer of the source's type before it looks at the values.
            wide = pa.decimal128(38, target.scale) if 0 <= target.scale <= 18 else pa.decimal256(76, max(target.scale, 0))
            return attempt(array.cast(wide), lambda part: part.cast(target), "number_range")
        case "float":
            array = _as_double(array)
            limit = 10.0 ** (target.precision - target.scale)
            fits = pc.and_(pc.is_finite(array), pc.less_equal(pc.abs(array), limit))
            array, bad = set_aside(array, pc.invert(fits), "number_range")
            data, more = attempt(array, lambda part: part.cast(target), "number_range")
            return Outcome(data, bad | more)
        case "decimal":
            array, bad = set_aside(array, _more_whole_digits(array, target), "number_range")
            data, more = attempt(array, lambda part: part.cast(target), "number_range")
            return Outcome(data, bad | more)
        case "text":
            return _decimal_of_text(array, target)
        case _:
            return mismatch(array, target)


def _more_whole_digits(array: pa.Array, target: pa.DataType) -> pa.BooleanArray:
    """Where a decimal has more digits before the point than the target: pyarrow 26 makes other numbers of some of them, in silence."""
    room, has = target.precision - target.scale, array.type.precision - array.type.scale
    if has <= room:
        return pa.repeat(False, len(array))
    limit = pa.scalar(Decimal(1).scaleb(room), pa.decimal256(76, max(array.type.scale, 0)))
    return pc.greater_equal(pc.abs(_as_wide_decimal(array)), limit)


def _decimal_of_text(array: pa.StringArray, target: pa.DataType) -> Outcome:
    """Arrow reads what is plain and has room in the target. All else is read one by one: pyarrow 26 crashes on `1e-999999999`, takes
    `1e-77` for 0, and makes other numbers of some that are too large, in silence.
    """
    array, bad = _only_spelled(array, JSON_NUMBER)
    digits, whole = _MOST_DIGITS[target.bit_width], target.precision - target.scale
    fraction = rf"(?:\.[0-9]{{1,{digits - whole}}})?" if digits > whole else ""
    pattern = rf"-?[0-9]{{1,{whole}}}{fraction}" if whole > 0 and target.scale >= 0 else rf"-?0{fraction}"
    plain = pc.match_substring_regex(array, _whole(pattern))
    rest = rows_where(pc.invert(plain))
    if not rest:
        data, more = attempt(array, lambda part: part.cast(target), "number_range")
        return Outcome(data, bad | more)
    data, more = attempt(without(array, rest), lambda part: part.cast(target), "number_range")
    values = data.to_pylist()
    for row in rest:
        values[row] = exact_decimal(array[row].as_py(), target)
        if values[row] is None:
            more[row] = "number_range"
    return Outcome(pa.array(values, target), bad | more)


def exact_decimal(number: Decimal | str, target: pa.DataType) -> Decimal | None:
    """The number with the target's digits, or None when it has more, or is no number."""
    try:
        value = Decimal(number)
        if not value.is_finite():
            return None
        if not value:
            return Decimal(0)
        if not -target.scale <= value.adjusted() < target.precision - target.scale:
            return None
        return value.quantize(Decimal(1).scaleb(-target.scale), context=_EXACTLY)
    except (Inexact, InvalidOperation):
        return None


def _too_large_for_double(numbers: pa.Array, texts: pa.StringArray) -> pa.BooleanArray:
    """Where a whole number is spelled that a double need not hold exactly."""
    whole = pc.match_substring_regex(texts, _whole(JSON_INT))
    large = pc.greater_equal(pc.abs(numbers), float(EXACT_IN_DOUBLE))
    last = pc.is_in(texts, pa.array([str(EXACT_IN_DOUBLE), str(-EXACT_IN_DOUBLE)]))
    return pc.and_(pc.and_(whole, large), pc.invert(last))


def _only_spelled(array: pa.StringArray, pattern: str) -> Outcome:
    return set_aside(array, pc.invert(pc.match_substring_regex(array, _whole(pattern))), "type_mismatch")


def _whole(pattern: str) -> str:
    return rf"\A(?:{pattern})\z"


def _as_double(array: pa.Array) -> pa.Array:
    # Through float32: pyarrow 26 compares halves by their bits.
    return (array.cast(pa.float32()) if array.type == pa.float16() else array).cast(pa.float64())


def _as_wide_decimal(array: pa.Array) -> pa.Array:
    """Decimals of 32 and 64 bits have few kernels."""
    return array.cast(pa.decimal128(38, array.type.scale)) if array.type.bit_width < 128 else array


def _bounds(integer: pa.DataType) -> tuple[int, int]:
    bits = integer.bit_width
    return (0, 2**bits - 1) if pa.types.is_unsigned_integer(integer) else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

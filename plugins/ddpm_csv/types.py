"""Which type a column of text has, and its values in that type."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

from ddpm_core import Reject, conform
from ddpm_csv.dialect import Dialect, occurs

NULL, TEXT = pa.null(), pa.string()
TYPE_NAMES = {
    "null": NULL,
    "boolean": pa.bool_(),
    "bigint": pa.int64(),
    "decimal": pa.decimal128(38, 0),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "text": TEXT,
    **{f"decimal(38,{scale})": pa.decimal128(38, scale) for scale in range(1, 39)},
}
"""The types that are found by looking at values, as positions remember them."""

TRUE, FALSE = ("true", "True", "TRUE"), ("false", "False", "FALSE")
"""How booleans may be spelled."""

READ_EXACTLY = (pa.bool_(), pa.timestamp("us"), pa.timestamp("us", "UTC"))
"""The types of which pyarrow.csv takes only what the rules take."""

READ_PLAINLY = (*READ_EXACTLY, pa.int64(), pa.float64(), pa.date32())
"""Those of which it takes more, but nothing that `are_plain` lets pass."""

_TRUE, _FALSE, _BOOLEAN = pa.array(TRUE), pa.array(FALSE), pa.array([*TRUE, *FALSE])
_INTEGER = r"\A-?(?:0|[1-9][0-9]*)\z"
_NUMBER = r"\A-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\z"
_DATE = r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\z"
_SURPLUS_DIGITS = r"(\.[0-9]{6})[0-9]+"
_ZEROS_BEHIND = r"(\.[0-9]*?)0+\z"
_DIGITS_OF_A_DOUBLE = 15
"""A decimal number with so many digits comes back from a double as it was; not every one with more does."""

_EXACT_BELOW = 2.0**53
"""From there on a whole number may not be the same in a double."""

_REFUSALS = (pa.ArrowInvalid, pa.ArrowNotImplementedError)


def is_text(kind: pa.DataType) -> bool:
    """Whether quotes make a difference for null: an empty text, or no bytes, is a value there."""
    tests = (is_type.is_string, is_type.is_large_string, is_type.is_string_view, is_type.is_binary, is_type.is_large_binary)
    return any(test(kind) for test in tests)


def without_nulls(texts: pa.StringArray, nulls: pa.Array) -> pa.StringArray:
    """The texts, null where one stands for null, in quotes or not."""
    return pc.if_else(pc.is_in(texts, value_set=nulls), pa.scalar(None, TEXT), texts)


def type_of(texts: pa.StringArray) -> pa.DataType:
    """The first type of `TYPE_NAMES` that every one of these texts fits; what fits is what docs/schema.md says of text.

    A number may begin with no zero or plus and hold no separators of thousands: such a text is a name, a phone number, a code.
    Fractions that a double might round are decimals instead, where one decimal type holds all of them.
    """
    texts = texts.drop_null()
    if not len(texts):
        return NULL
    if pc.all(pc.is_in(texts, value_set=_BOOLEAN)).as_py():
        return pa.bool_()
    if _all_match(texts, _INTEGER):
        return next((kind for kind in (pa.int64(), pa.decimal128(38, 0)) if _fits(texts, kind)), TEXT)
    if _all_match(texts, _NUMBER):
        return _decimal_of(texts) or (pa.float64() if _fits(texts, pa.float64()) else TEXT)
    if _all_match(texts, _DATE) and _casts(texts, pa.date32()):
        return pa.date32()
    texts = pc.replace_substring_regex(texts, _SURPLUS_DIGITS, r"\1")
    return next((kind for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")) if _casts(texts, kind)), TEXT)


def _decimal_of(texts: pa.StringArray) -> pa.DataType | None:
    """The decimal type of 38 digits that holds all of these numbers as they are written; None where doubles will do, or none does.

    Doubles do where no number has more digits than they keep, from its first that is not 0 on, and without zeros at the end of its
    fraction; and where there is an exponent, since that is how floating point numbers are written.
    """
    if pc.max(pc.binary_length(texts)).as_py() <= _DIGITS_OF_A_DOUBLE or _any(pc.match_substring_regex(texts, "[eE]")):
        return None
    digits = pc.replace_substring_regex(pc.replace_substring_regex(texts, _ZEROS_BEHIND, r"\1"), "[-.]", "")
    long = texts.filter(pc.greater(pc.binary_length(pc.ascii_ltrim(digits, "0")), _DIGITS_OF_A_DOUBLE))
    if not len(long) or pc.all(pc.equal(long.cast(pa.float64()).cast(TEXT), long)).as_py():  # Doubles, as programs write them.
        return None
    scale = pc.max(pc.binary_length(pc.replace_substring_regex(texts, r"\A[^.]*\.?", ""))).as_py()
    kind = TYPE_NAMES.get(f"decimal(38,{scale})")
    return kind if kind is not None and _fits(texts, kind) else None


def typed(texts: pa.StringArray, name: str, wanted: pa.DataType) -> tuple[pa.Array, list[Reject]]:
    """These texts in a type, null where one does not fit, and a reject for each of those; `index` is the row."""
    if wanted == TEXT:
        return texts, []
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), wanted), []
    way = _AT_ONCE.get(wanted)
    column = way(texts) if way else None
    return carefully(texts, name, wanted) if column is None else (column, [])


def carefully(texts: pa.StringArray, name: str, wanted: pa.DataType) -> tuple[pa.Array, list[Reject]]:
    """As `typed`, by the rules for every target; what the faster ways must agree with."""
    values: pa.Array = texts
    if wanted == pa.bool_():
        values = _plain_booleans(texts)
    elif is_type.is_nested(wanted):
        values = pa.ExtensionArray.from_storage(pa.json_(), texts)
    conformed = conform(pa.RecordBatch.from_arrays([values], names=[name]), pa.schema([pa.field(name, wanted)]))
    if conformed.data is None:
        return pa.nulls(len(texts), wanted), conformed.rejects
    column = conformed.data.column(0)
    if conformed.rejects:
        places: list[int | None] = [None] * len(texts)
        for place, row in enumerate(conformed.kept or ()):
            places[row] = place
        column = column.take(pa.array(places, pa.int64()))
    return column, conformed.rejects


def are_plain(data: bytes, dialect: Dialect) -> bool:
    """Whether no field of this text looks like one that pyarrow.csv takes for a number or date, and the rules do not.

    That is one with white space around it, leading zeros, a plus, hexadecimal digits, or a point at either end. What is left of NaN and
    numbers that are too large, `are_exact` finds.
    """
    return not occurs(dialect.odd_number, data)


def are_exact(column: pa.Array) -> bool:
    """Whether these doubles are numbers below those that a double may have rounded."""
    if not pc.all(pc.is_finite(column)).as_py():
        return bool(column.null_count == len(column))
    ends = pc.min_max(column).as_py()
    return bool(max(-ends["min"], ends["max"]) < _EXACT_BELOW)


def _integers(texts: pa.StringArray) -> pa.Array | None:
    """What Arrow takes is as the rules want it, but for leading zeros and hexadecimal digits; `-0` is left to the careful way."""
    column = _cast(texts, pa.int64())
    if column is None or _any(pc.and_(pc.starts_with(texts, "0"), pc.greater(pc.binary_length(texts), 1))):
        return None
    return None if pc.min(column).as_py() <= 0 and _any(pc.starts_with(texts, "-0")) else column


def _doubles(texts: pa.StringArray) -> pa.Array | None:
    """Arrow takes NaN, infinities, a plus, leading zeros, and points at either end."""
    column = _cast(texts, pa.float64())
    if column is None:
        return None
    if not are_exact(column):
        return None
    return column if _plainly_spelled(texts) or _all_match(texts, _NUMBER) else None


def _plainly_spelled(texts: pa.StringArray) -> bool:
    """Whether these texts, which Arrow takes for numbers, are digits and perhaps a point between digits. Much faster than a pattern."""
    _, offsets, content = texts.buffers()
    if offsets is None or content is None or content.to_pybytes().translate(None, b"0123456789.-"):
        return False
    if _any(pc.starts_with(texts, ".")) or _any(pc.ends_with(texts, ".")):
        return False
    if _any(pc.starts_with(texts, "-.")) or _any(pc.starts_with(texts, "-0")):
        return False
    zero = pc.starts_with(texts, "0")
    return not _any(zero) or not _any(
        pc.and_not(pc.and_(zero, pc.greater(pc.binary_length(texts), 1)), pc.starts_with(texts, "0."))
    )


def _any(found: pa.BooleanArray) -> bool:
    return bool(pc.any(found).as_py())


def _booleans(texts: pa.StringArray) -> pa.Array | None:
    known = pc.or_(pc.is_in(texts, value_set=_BOOLEAN), texts.is_null())
    if not pc.all(known).as_py():
        return None
    return pc.if_else(texts.is_valid(), pc.is_in(texts, value_set=_TRUE), pa.scalar(None, pa.bool_()))


def _plain_booleans(texts: pa.StringArray) -> pa.StringArray:
    for spelled, plain in ((_TRUE, "true"), (_FALSE, "false")):
        texts = pc.if_else(pc.is_in(texts, value_set=spelled), plain, texts)
    return texts


def _cast(texts: pa.StringArray, kind: pa.DataType) -> pa.Array | None:
    try:
        return texts.cast(kind)
    except _REFUSALS:
        return None


def _casts(texts: pa.StringArray, kind: pa.DataType) -> bool:
    # The first one alone, first: texts that are no times would be tried one by one.
    return _cast(texts[:1], kind) is not None and _cast(texts, kind) is not None


def _fits(texts: pa.StringArray, kind: pa.DataType) -> bool:
    return not typed(texts, "", kind)[1]


def _all_match(texts: pa.StringArray, pattern: str) -> bool:
    return pc.all(pc.match_substring_regex(texts, pattern)).as_py() is not False


_AT_ONCE: dict[pa.DataType, Callable[[pa.StringArray], pa.Array | None]] = {
    pa.bool_(): _booleans,
    pa.int64(): _integers,
    pa.float64(): _doubles,
    pa.date32(): lambda texts: _cast(texts, pa.date32()),
    pa.timestamp("us"): lambda texts: _cast(texts, pa.timestamp("us")),
    pa.timestamp("us", "UTC"): lambda texts: _cast(texts, pa.timestamp("us", "UTC")),
}

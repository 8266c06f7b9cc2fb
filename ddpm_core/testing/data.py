"""Data that breaks careless code: every Arrow type with its edges, hostile names and texts, nasty JSON. All made by code."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

TYPE_FAMILIES = (
    "bool", "integers", "unsigned", "floats", "decimal", "text", "binary", "date", "time", "timestamp", "timestamp_utc",
    "duration", "list", "struct", "map", "dictionary",
)  # fmt: skip
"""The families of `all_types`. A capability record names those that come back exactly as they went in."""

_MAKERS: dict[str, Callable[[random.Random], Any]] = {
    "bool": lambda r: r.random() < 0.5,
    "floats": lambda r: r.choice((r.uniform(-1e6, 1e6), r.uniform(-1, 1) * 10.0 ** r.randint(-300, 300))),
    "decimal": lambda r: Decimal(r.randint(-(10**28), 10**28)).scaleb(-9),
    "text": lambda r: "".join(r.choice("abc ÄÖ漢😀\"'\\\n\t,;") for _ in range(r.randint(0, 20))),
    "binary": lambda r: r.randbytes(r.randint(0, 20)),
    "date": lambda r: date(1970, 1, 1) + timedelta(days=r.randint(-100_000, 100_000)),
    "time": lambda r: time(r.randrange(24), r.randrange(60), r.randrange(60), r.randrange(1_000_000)),
    "timestamp": lambda r: datetime(2000, 1, 1) + timedelta(microseconds=r.randint(-(10**16), 10**16)),  # noqa: DTZ001
    "timestamp_utc": lambda r: datetime(2000, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=r.randint(-(10**16), 10**16)),  # noqa: UP017
    "duration": lambda r: timedelta(microseconds=r.randint(-(10**15), 10**15)),
    "list": lambda r: [r.choice((None, r.randint(-9, 9))) for _ in range(r.randint(0, 4))],
    "struct": lambda r: {"n": r.choice((None, r.randint(-9, 9))), "t": r.choice((None, "", "x"))},
    "map": lambda r: [(f"k{n}", r.choice((None, n))) for n in range(r.randint(0, 3))],
    "dictionary": lambda r: r.choice(("red", "green", "blue")),
}

_EDGES: dict[str, list[Any]] = {
    "bool": [True, False],
    "floats": [0.0, -0.0, 0.5, float("inf"), float("-inf"), float("nan")],
    "decimal": [Decimal(0), Decimal("0.000000001"), Decimal("-99999999999999999999999999999.999999999")],
    "text": ["", " ", "NULL", "\\N", "null", "a,b", "quote \" and ' both", "line\nbreak\r\n", "tab\there", "\\", "漢字 😀 é"],
    "binary": [b"", b"\x00", b"\x00\xff\\x41", bytes(range(256))],
    "date": [date(1970, 1, 1), date(1, 1, 1), date(9999, 12, 31), date(1600, 2, 29)],
    "time": [time(0, 0), time(23, 59, 59, 999_999)],
    "timestamp": [datetime(1970, 1, 1), datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999)],  # noqa: DTZ001
    "timestamp_utc": [
        datetime(1970, 1, 1, tzinfo=timezone.utc),  # noqa: UP017
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc),  # noqa: UP017
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc),  # noqa: UP017
    ],
    "duration": [timedelta(0), timedelta(microseconds=-1), timedelta(days=10_000)],
    "list": [[], [None], [1, None, 3]],
    "struct": [{"n": None, "t": None}, {"n": 1, "t": ""}],
    "map": [[], [("a", None)], [("a", 1), ("b", 2)]],
    "dictionary": ["red", "red", "blue"],
}


def all_types(rows: int = 40, *, families: Iterable[str] = TYPE_FAMILIES, seed: int = 0) -> pa.RecordBatch:
    """A batch with columns of every type of these families: edge values first, then random ones, nulls among them.

    The first column, `id`, numbers the rows from 0. The same seed gives the same batch.
    """
    import pyarrow as pa

    chosen = random.Random(seed)  # noqa: S311 - test data, the same in each run
    types = {
        "bool": {"bool": pa.bool_()},
        "integers": {f"int{bits}": getattr(pa, f"int{bits}")() for bits in (8, 16, 32, 64)},
        "unsigned": {f"uint{bits}": getattr(pa, f"uint{bits}")() for bits in (8, 16, 32, 64)},
        "floats": {"float32": pa.float32(), "float64": pa.float64()},
        "decimal": {"decimal": pa.decimal128(38, 9)},
        "text": {"text": pa.string(), "large_text": pa.large_string()},
        "binary": {"binary": pa.binary()},
        "date": {"date": pa.date32()},
        "time": {"time": pa.time64("us")},
        "timestamp": {"timestamp": pa.timestamp("us")},
        "timestamp_utc": {"timestamp_utc": pa.timestamp("us", "UTC")},
        "duration": {"duration": pa.duration("us")},
        "list": {"list": pa.list_(pa.int64())},
        "struct": {"struct": pa.struct({"n": pa.int64(), "t": pa.string()})},
        "map": {"map": pa.map_(pa.string(), pa.int64())},
        "dictionary": {"dictionary": pa.dictionary(pa.int32(), pa.string())},
    }
    columns = {"id": pa.array(range(rows), pa.int64())}
    for family in families:
        for name, arrow in types[family].items():
            columns[name] = pa.array(_values(family, name, rows, chosen), arrow)
    return pa.RecordBatch.from_pydict(columns)


def _values(family: str, name: str, rows: int, chosen: random.Random) -> list[Any]:
    if family in ("integers", "unsigned"):
        bits = int(name.lstrip("uint"))
        low, high = (0, 2**bits - 1) if family == "unsigned" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        edges: list[Any] = [0, 1, low, high]
        made: list[Any] = [chosen.randint(low, high) for _ in range(rows)]
    else:
        edges = _EDGES[family]
        made = [_MAKERS[family](chosen) for _ in range(rows)]
    if name == "float32":  # Only what 32 bits hold comes back the same.
        made = [float(int(value)) if abs(value) < 2**20 else 0.25 for value in made]
    values = [None, *edges, *made]
    return [None if at % 7 == 6 and at > len(edges) else value for at, value in enumerate(values[:rows])]


def hostile_names(max_bytes: int = 63) -> list[str]:
    """Names of columns or tables that every database can hold when it is quoted, and that break whoever forgets to.

    No two differ in case only. None has a NUL or is empty: those are refused, not quoted.
    """
    names = [
        "select", "Order By", "semi;colon", 'double"quote', "single'quote", "back`tick", "percent%s", "brace{0}", "colon:name",
        "dot.in.name", "dash-ed", "$1", "?", "漢字", "über😀", "drop table x; --", "/* c */", "new\nline", "tab\there", "back\\slash",
        " leading", "trailing ", "0", "true", "null", "a,b", "(paren)", "[bracket]", "#hash", "@at",
    ]  # fmt: skip
    return [*names, "x" * max_bytes]


def hostile_texts() -> list[str]:
    """Values of a text column that break careless quoting, escaping and copying. None has a NUL."""
    return [
        *_EDGES["text"], "'; DROP TABLE x; --", '""', "''", "\\.", "\\n", "%s", "{}", "$1", "\ufeffbom", "\u2028", "\x01\x1f\x7f",
        "e\u0301", "\U0010ffff", "x" * 100_000,
    ]  # fmt: skip


def nasty_json_lines() -> list[tuple[bytes, str]]:
    """Single lines that JSON parsers get wrong, each with what is wrong with it; an empty text where the line is good JSON."""
    return [
        (b'{"a": 1}', ""),
        (b"{}", ""),
        ('{"ключ": "значение"}'.encode(), ""),
        (b'{"a": "\\u0000"}', ""),
        (b'{"a": "\\ud83d\\ude00"}', ""),
        (b'{"a": 9223372036854775807}', ""),
        (b'{"a": 18446744073709551616}', ""),
        (b'{"a": ' + b"9" * 400 + b"}", ""),
        (b'{"a": 0.1e-400}', ""),
        (b'{"a": 1, "a": 2}', "one key twice"),
        (b'{"a": 1e400}', "a number beyond all floats"),
        (b'{"a": NaN}', "NaN is no JSON"),
        (b'{"a": -Infinity}', "Infinity is no JSON"),
        (b'{"a": 01}', "a leading zero"),
        (b'{"a": 1,}', "a trailing comma"),
        (b"{'a': 1}", "single quotes"),
        (b'{"a": 1', "cut off"),
        (b'{"a": "x', "cut off in a string"),
        (b'{"a": "\xff\xfe"}', "invalid UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "a surrogate in UTF-8"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"a": "\x00"}', "a raw NUL"),
        (b'{"a": "\x01"}', "a raw control character"),
        (b'{"a": 1} {"a": 2}', "two documents"),
        (b'{"a": 1} x', "text after the document"),
        (b"[1, 2]", "no object"),
        (b'"text"', "no object"),
        (b"null", "no object"),
        (b"1", "no object"),
        (b"<a/>", "no JSON"),
        (b"\xef\xbb\xbf", "nothing but a byte order mark"),
        (b"[" * 1_000 + b"]" * 1_000, "1,000 deep, no object"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "100,000 deep"),
    ]

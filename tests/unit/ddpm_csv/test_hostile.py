"""The expected outcome of documents made to break readers. A change of one is a change of what users were promised."""

from __future__ import annotations

import io
from typing import Any

import pytest

from ddpm_core import BuildContext, DataError, Document
from ddpm_csv.options import CsvOptions
from ddpm_csv.parser import build

CORPUS: dict[str, tuple[bytes, dict[str, Any], list[tuple[Any, ...]], list[str], str]] = {
    # name: document, options, rows, reasons of the rejects, reason of the error
    "empty": (b"", {}, [], [], ""),
    "only a byte order mark": (b"\xef\xbb\xbf", {}, [], [], ""),
    "only line ends": (b"\n\r\n\n", {}, [], [], ""),
    "only a header": (b"a,b", {}, [], [], ""),
    "only a header and its line end": (b"a,b\r\n", {}, [], [], ""),
    "byte order mark and quotes": (b'\xef\xbb\xbf"a","b"\n1,x\n', {}, [(1, "x")], [], ""),
    "quotes in the middle": (b'a,b\n5" pipe,x\n6,y "q" z\n', {}, [('5" pipe', "x"), ("6", 'y "q" z')], [], ""),
    "text after a closing quote": (b'a,b\n"x"y,1\n"z",2\n', {}, [("z", 2)], ["csv_invalid"], ""),
    "space before a quote": (b'a,b\n "x",1\n', {}, [(' "x"', 1)], [], ""),
    "unclosed quote at the end": (b'a,b\n1,x\n2,"y\n3,z\n', {}, [(1, "x"), (3, "z")], ["csv_invalid"], ""),
    "unclosed quote that another one closes": (b'a,b\n1,"x\n2,"y"\n3,z\n', {}, [(3, "z")], ["csv_invalid"], ""),
    "quote at the very end": (b'a,b\n1,"', {}, [], ["csv_invalid"], ""),
    "NUL bytes in a field": (b"a,b\n1,x\x00y\n", {}, [(1, "x\x00y")], [], ""),
    "NUL bytes in the header": (b"a\x00,b\n1,x\n", {}, [], [], "wrong_format"),
    "mixed line ends": (b"a,b\r\n1,x\n2,y\r3,z\r\n\n\r4,w", {}, [(1, "x"), (2, "y"), (3, "z"), (4, "w")], [], ""),
    "lone carriage returns": (b'a,b\r1,x\r2,"y\rz"\r', {}, [(1, "x"), (2, "y\rz")], [], ""),
    "ragged": (b"a,b\n1\n2,x\n3,y,z\n,\n", {}, [(2, "x"), (None, None)], ["field_count", "field_count"], ""),
    "a trailing delimiter": (b"a,b,\n1,x,\n", {}, [(1, "x", None)], [], ""),
    "white space as a line": (b"a,b\n1,x\n   \n", {}, [(1, "x")], ["field_count"], ""),
    "a blank line in one column": (b"a\n1\n\n2\n", {}, [(1,), (2,)], [], ""),
    "100,000 columns": (b",".join([b"c"] * 100_000) + b"\n", {}, [], [], "too_many_columns"),
    "a field of 20 MB": (b"a,b\n1,x\n2," + b"y" * 20_000_000 + b"\n3,z\n", {}, [(1, "x"), (3, "z")], ["too_large"], ""),
    "a field of 20 MB in quotes": (b'a,b\n1,x\n2,"' + b"y" * 20_000_000 + b'"\n3,z\n', {}, [(1, "x"), (3, "z")], ["too_large"], ""),
    "a quote unclosed for long": (
        b'a,b\n1,"x\n' + b"2,y\n" * 20_000,
        {"max_record_bytes": 30_000},
        [(2, "y")] * 20_000,
        ["csv_invalid"],
        "",
    ),
    "UTF-16 without the option": ("a,b\n1,x\n".encode("utf-16"), {}, [], [], "encoding"),
    "UTF-16": ("a,b\n1,ż\n".encode("utf-16"), {"encoding": "utf-16"}, [(1, "ż")], [], ""),
    "half a UTF-16 character at the end": (
        "a,b\n1,x\n".encode("utf-16-le") + b"2",
        {"encoding": "utf-16-le"},
        [(1, "x")],
        ["encoding"],
        "",
    ),
    "half a surrogate pair": (b"a,b\n1,\xed\xa0\x80\n2,x\n", {}, [(2, "x")], ["encoding"], ""),
    "latin-1 read as UTF-8": (b"a,b\n1,\xe9\n2,x\n", {}, [(2, "x")], ["encoding"], ""),
    "a header that is not UTF-8": (b"a,\xe9\n1,x\n", {}, [], [], "encoding"),
    "an unclosed quote in the header": (b'a,"b\n1,x\n', {}, [], [], "csv_invalid"),
    "formulas stay as they are": (b"a,b\n1,=1+1\n2,@SUM(A1)\n3,-x\n", {}, [(1, "=1+1"), (2, "@SUM(A1)"), (3, "-x")], [], ""),
    "Parquet": (b"PAR1\x15\x04\x15\x00\n", {}, [], [], "wrong_format"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\n", {}, [], [], "wrong_format"),
    "blank lines for longer than a block": (b"\n" * 3_000_000 + b"a,b\n1,x\n", {}, [(1, "x")], [], ""),
    "two million line ends in quotes": (b'a,b\n1,"' + b"\n" * 2_000_000 + b'"\n', {}, [(1, "\n" * 2_000_000)], [], ""),
    "a header of quoted fields without end": (b'"",' * 100_000 + b"\n", {}, [], [], "too_many_columns"),
    "a giant number": (b"a,b\n" + b"9" * 100_000 + b",x\n", {}, [("9" * 100_000, "x")], [], ""),
    "an exponent without end": (b"a,b\n1e-999999999,x\n2,y\n", {}, [(0.0, "x"), (2.0, "y")], [], ""),
}


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_document_has_the_expected_outcome(name: str) -> None:
    data, options, rows, reasons, error = CORPUS[name]
    found: list[tuple[Any, ...]] = []
    rejects, records, ended = [], 0, ""
    try:
        for step in build(CsvOptions(**options), BuildContext()).parse_document(Document(name, "x#1", io.BytesIO(data))):
            found += [tuple(row.values()) for row in step.data.to_pylist()] if step.data is not None else []
            rejects += [reject.reason for reject in step.rejects]
            records += step.records
    except DataError as raised:
        ended = raised.reason
    assert (found, rejects, ended) == (rows, reasons, error)
    assert records == len(rows) + len(reasons)
    assert all(not isinstance(value, float) or value in (0.0, 2.0) for row in found for value in row)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(DataError) as caught:
        list(build(CsvOptions(), BuildContext()).parse_document(Document("x.csv", "x#1", io.BytesIO("a\n1".encode("utf-16")))))
    assert str(caught.value) == "x.csv begins with a byte order mark of UTF-16\nSet -o format.encoding=utf-16."
    with pytest.raises(DataError) as caught:
        list(build(CsvOptions(), BuildContext()).parse_document(Document("x.csv", "x#1", io.BytesIO(b"a,\xe9x\n"))))
    assert str(caught.value) == (
        "not UTF-8: invalid continuation byte at byte 3 of the header of x.csv\nName the file's encoding, such as -o format.encoding=cp1250."
    )
    with pytest.raises(DataError) as caught:
        list(build(CsvOptions(), BuildContext()).parse_document(Document("x.csv", "x#1", io.BytesIO(b"a\x00,b\n"))))
    assert str(caught.value) == (
        "x.csv is no CSV: its first line holds NUL bytes\nAnother format, or another encoding, such as -o format.encoding=utf-16-le?"
    )
    with pytest.raises(DataError) as caught:
        list(build(CsvOptions(), BuildContext()).parse_document(Document("x.csv", "x#1", io.BytesIO(b"a," * 1600 + b"\n"))))
    assert str(caught.value) == (
        "x.csv has 1,601 columns, and 1,600 are allowed\n"
        "Is this a CSV file at all, and is its delimiter right? Name it with -o format.delimiter=';'."
    )


def test_many_unclosed_quotes_take_no_quadratic_time() -> None:
    data = b"a,b\n" + b'1,"""x\n' * 20_000
    steps = list(build(CsvOptions(max_record_bytes=1 << 20), BuildContext()).parse_document(Document("x", "x#1", io.BytesIO(data))))
    assert sum(step.records for step in steps) == sum(len(step.rejects) for step in steps) + sum(
        step.data.num_rows for step in steps if step.data is not None
    )

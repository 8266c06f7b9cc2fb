"""Hostile CSV. Most cases are a bad record between good ones, so that a lost neighbour would show."""

from __future__ import annotations

from collections.abc import Iterator

from test_data.bad_input.case import Cases

HEADER = b"id,name\n"
GOOD = b"1,first\n"
LAST = b"9,last\n"
MEGABYTE = 1 << 20


def between(*records: bytes) -> bytes:
    return HEADER + GOOD + b"".join(record + b"\n" for record in records) + LAST


def late(record: bytes) -> bytes:
    """A record that comes after the sample that decides the columns' types."""
    return HEADER + GOOD * 300_000 + record + b"\n" + LAST


def repeated(before: bytes, piece: bytes, size: int, after: bytes) -> Iterator[bytes]:
    block = piece * (MEGABYTE // len(piece))
    yield before
    for _ in range(size // len(block)):
        yield block
    yield after


def cases() -> Cases:
    """All of them."""
    c = Cases("csv", "csv_cases.py")
    _shape(c)
    _quotes(c)
    _encodings(c)
    _numbers(c)
    _times(c)
    _size(c)
    return c


def _shape(c: Cases) -> None:
    c.add("empty file", b"")
    c.add("only a byte order mark", b"\xef\xbb\xbf")
    c.add("only line ends", b"\n\r\n\n")
    c.add("only a header", b"id,name")
    c.add("only a header and its line end", b"id,name\r\n")
    c.add("a header of delimiters", b",,,\n1,2,3,4\n")
    c.add("a header of white space", b"  ,\t\n1,2\n")
    c.add("duplicate header", b"id,id,ID\n1,2,3\n")
    c.add("duplicate header that takes the name of another", b"id,id_2,id\n1,2,3\n")
    c.add("header with a line end in quotes", b'"i\nd",name\n1,x\n')
    c.add("names that a database takes for its own", b"_ddpm_id,select,rowid\n1,2,3\n")
    c.add("too few fields", between(b"5"), process=True)
    c.add("too many fields", between(b"5,x,y"))
    c.add("ragged on every line", b"id,name\n" + b"1\n1,2,3\n" * 400, process=True)
    c.add("a trailing delimiter", b"id,name,\n1,x,\n2,y\n")
    c.add("white space as a line", between(b"   "))
    c.add("no delimiter anywhere", b"name\nfirst\n\nlast\n")
    c.add("mixed line ends", b"id,name\r\n1,x\n2,y\r3,z\r\n\n\r4,w")
    c.add("lone carriage returns", b'id,name\r1,x\r2,"y\rz"\r')
    c.add("last line cut off", HEADER + GOOD + b"9,la")
    c.add("formulas stay as they are", between(b"2,=1+1", b"3,@SUM(A1)", b'4,"=HYPERLINK(""http://x"")"', b"5,-x"))
    c.add("null spellings in quotes", between(b'"",""', b'NA,"NA"', b"null,null"))


def _quotes(c: Cases) -> None:
    c.add("quotes in the middle", between(b'5,5" pipe', b'6,y "q" z'))
    c.add("text after a closing quote", between(b'5,"x"y'))
    c.add("space before a quote", between(b'5, "x"'))
    c.add("quotes only", between(b'5,""""', b'6,""', b'7,""""""'))
    c.add("unclosed quote at the end", HEADER + GOOD + b'2,"y\n' + LAST, process=True)
    c.add("unclosed quote that another one closes", HEADER + b'1,"x\n2,"y"\n' + LAST)
    c.add("quote at the very end", HEADER + b'1,"')
    c.add("unclosed quote in the header", b'id,"name\n1,x\n')
    c.add("backslashes are no escapes", between(b'5,"x\\"', b"6,\\n"))
    c.add("unclosed quote in every line", lambda: HEADER + b'1,"x\n' * 20_001)
    c.add("three quotes in every line", lambda: HEADER + b'1,"""x\n' * 20_001, max_record_bytes=MEGABYTE)
    c.add(
        "50 MB behind an unclosed quote", lambda: repeated(HEADER + b'0,"x\n', b"1,some text\n", 50 * MEGABYTE, LAST), process=True
    )
    c.add("50 MB behind an unclosed quote in the header", lambda: repeated(b'id,"name\n', b"1,some text\n", 50 * MEGABYTE, LAST))
    c.add(
        "a quote unclosed for longer than max_record_bytes",
        lambda: HEADER + b'1,"x\n' + b"2,y\n" * 20_000,
        max_record_bytes=30_000,
    )


def _encodings(c: Cases) -> None:
    c.add("byte order mark and quotes", b'\xef\xbb\xbf"id","name"\n1,x\n')
    c.add("NUL in a field", between(b"5,a\x00b"))
    c.add("NUL in a number", between(b"5\x00,x"))
    c.add("NUL in the header", b"id\x00,name\n1,x\n")
    c.add("NUL bytes and nothing else", bytes(10_000))
    c.add("UTF-16 without the option", "id,name\n1,x\n".encode("utf-16"))
    c.add("UTF-16 without a byte order mark", "id,name\n1,x\n".encode("utf-16-le"))
    c.add("UTF-16 with the option", "id,name\n1,ż\n".encode("utf-16"), encoding="utf-16")
    c.add("UTF-16, half a character at the end", "id,name\n1,x\n".encode("utf-16-le") + b"2", encoding="utf-16-le")
    c.add("UTF-16, lone surrogate", "id,name\n1,x\n".encode("utf-16-le") + b"2\0,\0\0\xd8\n\0", encoding="utf-16-le")
    c.add("UTF-32", "id,name\n1,x\n".encode("utf-32"))
    for name, text in {
        "bytes that are never UTF-8": b"\xff\xfe",
        "overlong encoding of /": b"\xc0\xaf",
        "encoded surrogate": b"\xed\xa0\x80",
        "beyond U+10FFFF": b"\xf4\x90\x80\x80",
        "character cut off": b"\xe2\x82",
        "Latin-1": "é".encode("latin-1"),
    }.items():
        c.add(f"not UTF-8: {name}", between(b"5," + text))
    c.add("not UTF-8, in quotes", between(b'5,"\xe9,\n"'), process=True)
    c.add("not UTF-8, in the header", b"id,\xe9\n1,x\n")
    c.add("not UTF-8, on every line", HEADER + b"1,\xe9\n" * 500)
    c.add("random bytes", between(b"5," + bytes(range(256)).translate(None, b'\r\n,"')))
    c.add("Parquet named CSV", b"PAR1\x15\x04\x15\x00\n")
    c.add("gzip named CSV", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\n")
    c.add("JSON named CSV", b'{"id": 1, "name": "x"}\n{"id": 2, "name": "y"}\n')


def _numbers(c: Cases) -> None:
    for text in (
        b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"18446744073709551616", b"9" * 38, b"9" * 39,
        b"1e400", b"-1e400", b"1e-400", b"1e-999999999", b"1e999999999", b"nan", b"NaN", b"inf", b"-Infinity", b"007", b"+1", b".5", b"1.", b"0x10", b"1_000", b"1 000",
    ):  # fmt: skip
        shown = text.decode() if len(text) < 30 else f"{len(text)} nines"
        c.add(f"the number {shown}", between(text + b",x"))
    for text in (b"9223372036854775808", b"1e400", b"nan", b"1e-999999999", b"hello"):
        c.add(f"{text.decode()} in a column of integers, late", lambda text=text: late(text + b",x"))  # type: ignore[misc]
    for size in (5_000, 1_000_000, 10_000_000):
        c.add(f"a number of {size:,} digits", lambda size=size: between(b"9" * size + b",x"), process=size == 1_000_000)  # type: ignore[misc]
    c.add("a number of 1,000,000 digits in a column of integers, late", lambda: late(b"9" * 1_000_000 + b",x"), process=True)
    c.add("a fraction of 1,000,000 digits", lambda: between(b"0." + b"9" * 1_000_000 + b",x"))
    c.add("an exponent of 100,000 digits", lambda: between(b"1e" + b"9" * 100_000 + b",x"))


def _times(c: Cases) -> None:
    for text in (
        "2020-02-30", "2020-13-01", "0000-00-00", "0001-01-01", "9999-12-31", "10000-01-01", "-0001-01-01", "2020-01-01 24:00",
        "2020-01-01 23:59:60", "2020-01-01T00:00:00.1234567890123", "2020-01-01T00:00:00+99:99", "9999-12-31T23:59:59-12:00",
    ):  # fmt: skip
        c.add(f"the date {text}", f"day,name\n2020-01-01,x\n{text},y\n2020-01-03,z\n".encode())


def _size(c: Cases) -> None:
    c.add("a field of 20 MB", lambda: between(b"5," + b"y" * (20 * MEGABYTE)), process=True)
    c.add("a field of 20 MB in quotes", lambda: between(b'5,"' + b"y" * (20 * MEGABYTE) + b'"'))
    c.add("a field of 15 MB, which is allowed", lambda: between(b"5," + b"y" * (15 * MEGABYTE)))
    c.add("a field of 15 MB of quotes, which is allowed", lambda: between(b'5,"' + b'""' * (7 * MEGABYTE) + b'"'))
    c.add("a field of 15 MB of line ends, which is allowed", lambda: between(b'5,"' + b"\n" * (15 * MEGABYTE) + b'"'))
    c.add("one line of 100 MB", lambda: repeated(HEADER + b"5,", b"x", 100 * MEGABYTE, b"\n" + LAST), process=True)
    c.add("100 MB without a line end", lambda: repeated(b"", b"x", 100 * MEGABYTE, b""))
    c.add("100 MB of commas in a line", lambda: repeated(HEADER, b",", 100 * MEGABYTE, b"\n" + LAST))
    c.add("15 MB of commas in a line", lambda: repeated(HEADER, b",", 15 * MEGABYTE, b"\n" + LAST), process=True)
    c.add("10,000,000 empty lines", lambda: repeated(HEADER, b"\n", 10_000_000, LAST), process=True)
    c.add("10,000,000 empty lines before the header", lambda: repeated(b"", b"\n", 10_000_000, HEADER + LAST))
    c.add("1,600 columns", lambda: b",".join(b"c%d" % n for n in range(1_600)) + b"\n" + b",".join([b"1"] * 1_600) + b"\n")
    c.add("100,000 columns", lambda: b",".join([b"c"] * 100_000) + b"\n", process=True)
    c.add("a header of 15 MB of commas", lambda: b"," * (15 * MEGABYTE) + b"\n1\n")
    c.add("a name of 1 MB", lambda: b"id," + b"n" * MEGABYTE + b"\n1,x\n")
    c.add("9 MB of quoted fields in a line", lambda: between(b'"",' * (3 * MEGABYTE)), process=True)
    c.add("15 MB of quoted fields in the header", lambda: b'"",' * (5 * MEGABYTE) + b"\n" + GOOD)
    c.add("18 MB of quoted fields in a line", lambda: between(b'"",' * (6 * MEGABYTE)), process=True)
    c.add("a record over max_record_bytes", between(b"5," + b"x" * 200), max_record_bytes=100)
    c.add(
        "many columns without a value",
        lambda: b",".join(b"c%d" % n for n in range(1_500)) + b"\n" + (b"," * 1_499 + b"\n") * 10_000,
    )

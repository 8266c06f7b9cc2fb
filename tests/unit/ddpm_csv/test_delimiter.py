"""The delimiter that is found where nobody names it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, Document, Messages, Parsed, Position
from ddpm_csv.options import CsvOptions
from ddpm_csv.parser import build


def parsed(data: bytes, *, size: int = 2 << 20, start: Position | None = None, **options: Any) -> list[Parsed]:
    parser = build(CsvOptions(**options), BuildContext(batch_bytes=size))
    return list(parser.parse_document(Document("x.csv", "x.csv#1", io.BytesIO(data), start or Position(0), len(data))))


def rows(steps: list[Parsed]) -> list[dict[str, Any]]:
    return [row for step in steps if step.data is not None for row in step.data.to_pylist()]


def names(data: bytes, **options: Any) -> list[str]:
    resume = parsed(data, **options)[0].resume
    assert resume is not None
    found: list[str] = resume["names"]
    return found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        pytest.param(b"Datum;Betrag, EUR\n21.11.2026;12,50\n", ["Datum", "Betrag, EUR"], id="a decimal comma"),
        pytest.param(b"Betrag, EUR;Saldo, EUR\n1,5;9,0\n", ["Betrag, EUR", "Saldo, EUR"], id="decimal commas make more fields"),
        pytest.param(b"name\tcity, state\nx\tParis, TX\n", ["name", "city, state"], id="text with a comma and a blank"),
        pytest.param(b"a;b,c\n1;2\n3;4\n", ["a", "b,c"], id="a comma in the header alone"),
        pytest.param(b"a,b;c\n1,2\n3,4\n", ["a", "b;c"], id="a semicolon in the header alone"),
        pytest.param(b"a,b;c\n1,2\n3,4;5\n6;7\n3,4\n", ["a", "b;c"], id="most records"),
        pytest.param(b"a;b,c\n1;2\n3;4,5\n6,7\n3;4", ["a", "b,c"], id="most records, of which the last has no line end"),
        pytest.param(b"a,b;c;d\n1,2;3;4\n", ["a,b", "c", "d"], id="the more fields"),
        pytest.param(b"a,b;c\n1,2;3\n", ["a", "b;c"], id="the order"),
        pytest.param(b"a|b;c\n1|2;3\n", ["a|b", "c"], id="the order of the others"),
        pytest.param(b'"a,b";c\n"1,2";3\n4;5\n', ["a,b", "c"], id="commas in quotes"),
        pytest.param(b'a;"b,c\n,"\n1;"x\n;"\n', ["a", "b,c\n,"], id="line ends in quotes"),
        pytest.param(b'a;b,c\n1,"x";2\n3;4\n', ["a", "b,c"], id="text after a closing quote"),
        pytest.param(b"a, b, c\n1, 2, 3\n", ["a", "b", "c"], id="blanks behind the only delimiter"),
        pytest.param(b"a;b,c\n1\n2\n", ["a;b", "c"], id="no record agrees: the first in the order"),
        pytest.param(b"a;b,c\r\r\n1;2,3;4\r\n", ["a;b", "c"], id="no record agrees, and blank lines"),
        pytest.param(b"a\n1,2;3\n", ["a"], id="one column"),
    ],
)
def test_the_delimiter_is_the_one_that_parts_the_first_records_evenly(data: bytes, found: list[str]) -> None:
    assert names(data) == found


def test_a_header_alone_is_parted_by_the_first_delimiter_in_the_order() -> None:
    (step,) = parsed(b"a;b,c;d|e", header="false")
    assert rows([step]) == [{"column_1": "a;b", "column_2": "c;d|e"}]


def test_so_are_documents_without_a_header_and_in_other_encodings() -> None:
    text = "Miete, März;12,50\nStrom;9,99\nGas;1\n"
    expected = [["Miete, März", "12,50"], ["Strom", "9,99"], ["Gas", "1"]]
    for encoding in ("utf-8", "utf-16", "cp1250"):
        found = rows(parsed(text.encode(encoding), header="false", encoding=encoding))
        assert [list(row.values()) for row in found] == expected


def test_a_record_that_goes_on_after_the_sample_has_no_say() -> None:
    long = b"x" * (1 << 18)
    data = b"a;b,c\n1;2\n" + long + b",3\n" + b"4,5\n" * 10
    assert names(data) == ["a", "b,c"]


def test_no_more_than_a_hundred_records_have_a_say() -> None:
    assert names(b"a;b,c\n" + b"1;2\n" * 99 + b"3,4\n" * 500) == ["a", "b,c"]
    assert names(b"a;b,c\n" + b"1;2\n" * 49 + b"3,4\n" * 500) == ["a;b", "c"]


def test_the_first_message_shows_the_delimiter() -> None:
    values: list[bytes | None] = [b"x, y;1,5\nz;2,5", b"w;3,5"]
    positions = {"t/0": Position(0)}
    batch = Messages(values, ["t/0"] * 2, [0, 1], positions, {"t/0": Position(2)})
    step = build(CsvOptions(header=False), BuildContext()).parse_messages(batch)
    assert [list(row.values()) for row in rows([step])] == [["x, y", "1,5"], ["z", "2,5"], ["w", "3,5"]]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("line", ["sep=;", '"sep=;"'])
@pytest.mark.parametrize("options", [{}, {"delimiter": ";"}, {"header": "false", "column_names": "a,b"}])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_line_that_declares_the_delimiter_is_no_header(line: str, end: str, options: dict[str, Any], encoding: str) -> None:
    lines = [line, *(["a,1;b"] if "header" not in options else []), "1,2;x", "3,4;y", "z", ""]
    data = end.join(lines).encode(encoding)
    whole = parsed(data, size=16, encoding=encoding, **options)
    first = next(iter(rows(whole)[0]))
    assert rows(whole) == [{first: "1,2", "b": "x"}, {first: "3,4", "b": "y"}]
    (reject,) = [reject for step in whole for reject in step.rejects]
    codec = "utf-8" if encoding == "utf-8-sig" else "utf-16-le"
    assert (reject.reason, reject.raw) == ("field_count", "z".encode(codec))
    assert reject.byte_offset == data.index("z".encode(codec))
    for done in range(1, len(whole)):
        start = Position(sum(step.records for step in whole[:done]), {"resume": whole[done - 1].resume})
        assert rows(parsed(data, size=16, start=start, encoding=encoding, **options)) == rows(whole[done:])


@pytest.mark.parametrize("delimiter", [",", "\t", "|", ":", " ", "^", "\x01"])
def test_any_character_that_is_no_letter_or_digit_can_be_declared(delimiter: str) -> None:
    data = f"sep={delimiter}\nid{delimiter}n;m\n7{delimiter}1;2\n".encode()
    assert rows(parsed(data)) == [{"id": 7, "n;m": "1;2"}]


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (b"sep=;\n1;2\n", {"delimiter": ","}, [{"sep=;": "1;2"}]),
        (b"sep=;x\n1;2\n", {}, [{"sep=": 1, "x": 2}]),
        (b" sep=;\n1;2\n", {}, [{"sep=": 1, "column_2": 2}]),
        (b"SEP=\n1\n", {}, [{"SEP=": 1}]),
        (b"sep=5\noct=6\n", {"header": "false"}, [{"column_1": "sep=5"}, {"column_1": "oct=6"}]),
        (b"sep=5\na5b\n", {"delimiter": "5"}, []),
        (b"sep=\xc5\xbc\n1\n", {}, [{"sep=ż": 1}]),
        (b"sep='\n1\n", {"quote": "'"}, [{"sep='": 1}]),
        (b"a,b\nsep=;,1\n", {}, [{"a": "sep=;", "b": 1}]),
        (b"sep=;\n", {}, []),
        (b"sep=;", {"header": "false"}, []),
        (b"made by x\nsep=;\na;b\n1;2\n", {"skip_lines": "1"}, [{"a": 1, "b": 2}]),
        (b"sep=;\nsep=,\n1\n", {}, [{"sep=,": 1}]),
    ],
)
def test_another_line_declares_nothing(data: bytes, options: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    assert rows(parsed(data, **options)) == expected


@settings(max_examples=60, deadline=None)
@given(blank=st.integers(0, 40), size=st.integers(16, 40))
def test_blank_lines_before_it_make_no_difference(blank: int, size: int) -> None:
    data = b"\n" * blank + b"sep=;\r\na,1;b\r\n1;2\r\n"
    steps = parsed(data, size=size)
    assert rows(steps) == [{"a,1": 1, "b": 2}]
    assert steps[-1].byte_offset is not None
    assert steps[-1].byte_offset(0) == data.index(b"1;2")
    assert steps[-1].resume == {
        "delimiter": ";",
        "names": ["a,1", "b"],
        "grows": True,
        "byte": len(data),
        "types": {"a,1": "bigint", "b": "bigint"},
    }

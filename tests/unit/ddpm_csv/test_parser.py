"""What becomes of documents and messages in CSV."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core import BuildContext, ConfigError, DataError, Document, Messages, Parsed, Position
from ddpm_core.config.options import check_options
from ddpm_csv.options import CsvOptions
from ddpm_csv.parser import CsvParser, build

UTC = timezone.utc  # noqa: UP017


def csv_parser(columns: dict[str, Any] | None = None, **options: Any) -> CsvParser:
    declared = pa.schema(list(columns.items())) if columns else None
    return build(check_options(CsvOptions, options, owner="format csv"), BuildContext(columns=declared))


def steps_of(data: bytes, *, parser: CsvParser | None = None, start: Position | None = None, **options: Any) -> list[Parsed]:
    document = Document("x.csv", "x.csv#1", io.BytesIO(data), start or Position(0), len(data))
    return list((parser or csv_parser(**options)).parse_document(document))


def rows_of(steps: Sequence[Parsed]) -> list[dict[str, Any]]:
    return [row for step in steps if step.data is not None for row in step.data.to_pylist()]


def rejects_of(steps: Sequence[Parsed]) -> list[tuple[str, str, bytes | None, int | None]]:
    return [(r.reason, r.message, r.raw, r.byte_offset) for step in steps for r in step.rejects]


def type_found(*values: str) -> str:
    (step,) = steps_of(("x,y\n" + "".join(f"{value},\n" for value in values)).encode())
    assert step.data is not None
    return str(step.data.schema.field("x").type)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1", "-5", "", "NA", "null"], "int64"),
        (["1", "9223372036854775807"], "int64"),
        (["1", "9223372036854775808"], "decimal128(38, 0)"),
        (["1", "1" + "0" * 38], "string"),
        (["1", "2.5"], "double"),
        (["1e5"], "double"),
        (["9007199254740993", "0.5"], "decimal128(38, 1)"),
        (["12345678901234567890.1234"], "decimal128(38, 4)"),
        (["1234567890.123456", "0.30000000000000004", "-0.5"], "double"),
        (["1234567890.12345678", "1", "", "-0.5"], "decimal128(38, 8)"),
        (["123456789.123456", "0.00000123456789012345"], "double"),
        (["-0.0000000001234567890123456"], "decimal128(38, 25)"),
        (["1.50000000000000000000"], "double"),
        (["1.50000000000000000000", "12345678901234567"], "decimal128(38, 20)"),
        (["12345678901234567890.1234", "1e5"], "double"),
        (["0.12345678901234567", "1e5"], "double"),
        (["0.12345678901234567", "123456789012345678901.5"], "decimal128(38, 17)"),
        (["0.12345678901234567", "1234567890123456789012.5"], "double"),
        (["0." + "0" * 23 + "1234567890123456"], "double"),
        (["0." + "0" * 22 + "1234567890123456"], "decimal128(38, 38)"),
        (["12345678901234567.", "0.5"], "string"),
        (["1e400"], "string"),
        (["00501", "10001"], "string"),
        (["+48123456789"], "string"),
        (["1 000"], "string"),
        ([".5"], "string"),
        (["nan"], "string"),
        (["0x1F"], "string"),
        (["1", "x"], "string"),
        ([" 1"], "string"),
        (["true", "False", "TRUE"], "bool"),
        (["true", "1"], "string"),
        (["t"], "string"),
        (["2020-01-02"], "date32[day]"),
        (["2020-02-30"], "string"),
        (["02.01.2020"], "string"),
        (["2020-01-02", "2020-01-02 12:30"], "timestamp[us]"),
        (["2020-01-02T12:30:00.1234567"], "timestamp[us]"),
        (["2020-01-02T12:30:00Z", "2020-01-02 12:30+02:00"], "timestamp[us, tz=UTC]"),
        (["2020-01-02T12:30:00Z", "2020-01-02 12:30"], "string"),
        (["12:30"], "string"),
        (["", "NA"], "null"),
        (['""'], "string"),
        (['""', "1"], "int64"),
        (['"1"', '"2"'], "int64"),
    ],
)
def test_a_column_has_the_type_that_all_values_of_the_sample_fit(values: list[str], found: str) -> None:
    assert type_found(*values) == found


def test_a_value_that_does_not_fit_later_is_a_reject_and_its_neighbours_stay() -> None:
    parser = csv_parser()
    steps_of(b"id,t\n1,x\n", parser=parser)
    steps = steps_of(b"id,t\n2,a\nabc,b\n3,c\n007,d\n", parser=parser)
    assert rows_of(steps) == [{"id": 2, "t": "a"}, {"id": 3, "t": "c"}]
    assert rejects_of(steps) == [
        ("type_mismatch", "column 'id' is bigint, the value 'abc' is text", b"abc,b", 9),
        ("type_mismatch", "column 'id' is bigint, the value '007' is text", b"007,d", 19),
    ]


def test_the_type_is_that_of_the_sample_not_of_the_first_step() -> None:
    parser = build(CsvOptions(), BuildContext(batch_rows=1, batch_bytes=16))
    steps = steps_of(b"a\n1\n2\nx\n", parser=parser)
    assert len(steps) == 3
    assert rows_of(steps) == [{"a": "1"}, {"a": "2"}, {"a": "x"}]


def test_long_fractions_keep_every_digit_and_a_run_that_goes_on_knows_their_scale() -> None:
    data = b"a,b\n12345678901234567890.1234,x\n1,y\n0.5,z\n0.12345,w\n"
    first = steps_of(data[: data.index(b"0.5")])
    assert first[-1].resume is not None
    assert first[-1].resume["types"] == {"a": "decimal(38,4)", "b": "text"}
    assert [row["a"] for row in rows_of(first)] == [Decimal("12345678901234567890.1234"), Decimal(1)]
    rest = steps_of(data, start=Position(2, {"resume": first[-1].resume}))
    assert rows_of(rest) == [{"a": Decimal("0.5"), "b": "z"}]
    assert [(reason, raw) for reason, _, raw, _ in rejects_of(rest)] == [("number_range", b"0.12345,w")]


def test_declared_columns_win_and_decimals_are_exact() -> None:
    columns = {"zip": pa.string(), "price": pa.decimal128(12, 2), "at": pa.timestamp("us", "UTC"), "n": pa.int16()}
    steps = steps_of(b"zip,PRICE,at,n\n501,1.10,2020-01-02 03:04,7\n1,0.005,NA,1\n2,1,x,1\n3,1,NA,70000\n", columns=columns)
    assert rows_of(steps) == [{"zip": "501", "PRICE": Decimal("1.10"), "at": datetime(2020, 1, 2, 3, 4, tzinfo=UTC), "n": 7}]
    assert [(reason, raw) for reason, _, raw, _ in rejects_of(steps)] == [
        ("number_range", b"1,0.005,NA,1"),
        ("type_mismatch", b"2,1,x,1"),
        ("int_range", b"3,1,NA,70000"),
    ]


def test_null_is_what_the_options_spell_and_quotes_make_text() -> None:
    data = b'a,b,c\n1,,x\n"",NA,"NA"\n"NA",null,""\n2,\\N,-\n'
    assert rows_of(steps_of(data)) == [
        {"a": 1, "b": None, "c": "x"},
        {"a": None, "b": None, "c": "NA"},
        {"a": None, "b": None, "c": ""},
        {"a": 2, "b": "\\N", "c": "-"},
    ]
    assert rows_of(steps_of(data, quoted_nulls="true"))[1:3] == [{"a": None, "b": None, "c": None}] * 2
    assert rows_of(steps_of(b"a,b\n-,NA\n", nulls="-")) == [{"a": None, "b": "NA"}]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("\ufeffa,b", ["a", "b"]),
        (" a ,,b\t", ["a", "column_2", "b"]),
        ("a,a,A,a_2", ["a", "a_3", "A_4", "a_2"]),
        ('"x, y","z ""q""","l1\nl2"', ["x, y", 'z "q"', "l1\nl2"]),
    ],
)
def test_names_of_a_header_become_distinct(header: str, names: list[str]) -> None:
    (step,) = (
        steps_of(f"{header}\n{',' * header.count(',')}\n".encode(), delimiter=",", nulls="-")
        if '"' not in header
        else steps_of(f"{header}\n1,2,3\n".encode())
    )
    assert step.data is not None
    assert step.data.schema.names == names


def test_without_a_header_columns_are_numbered_or_named_by_the_user() -> None:
    assert rows_of(steps_of(b"1,x\n2,y\n", header="false")) == [{"column_1": 1, "column_2": "x"}, {"column_1": 2, "column_2": "y"}]
    assert rows_of(steps_of(b"1,x\n", header="false", column_names="id,t")) == [{"id": 1, "t": "x"}]
    assert rows_of(steps_of(b"a,b\n1,x\n", column_names=["id", "t"])) == [{"id": 1, "t": "x"}]
    with pytest.raises(DataError) as caught:
        steps_of(b"a,b\n1,x\n", column_names="id")
    assert str(caught.value) == "x.csv has 2 columns in its header, and column_names has 1"


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (b"a\tb,c\n", {"delimiter": "tab"}),
        (b"a\tb\n", {}),
        (b"a;b\n", {}),
        (b"a|b\n", {}),
        (b'"x,y";b\n', {}),
        (b'"x\ny,z";b\n', {}),
        (b"a~b\n", {"delimiter": "~"}),
    ],
)
def test_the_delimiter_is_given_or_told_by_the_first_record(data: bytes, options: dict[str, str]) -> None:
    between = options.get(
        "delimiter", chr(next(byte for byte in data[data.rfind(b'"') + 1 :] if chr(byte) in ";|\t")) if not options else ""
    )
    line = f"1{ {'tab': chr(9)}.get(between, between) }2\n".encode()
    assert [list(row.values()) for row in rows_of(steps_of(data + line, **options))] == [[1, 2]]


def test_other_quotes_and_escapes() -> None:
    assert rows_of(steps_of(b"a,b\n'x,y',it''s\n", quote="'")) == [{"a": "x,y", "b": "it''s"}]
    assert rows_of(steps_of(b'a,b\n"x,y"\n', quote="none")) == [{"a": '"x', "b": 'y"'}]
    data = rb"a,b" + b"\n" + rb'"say \"hi\"",x\,y' + b"\n" + rb'"back\\",1' + b"\n"
    assert rows_of(steps_of(data, escape="\\")) == [{"a": 'say "hi"', "b": "x,y"}, {"a": "back\\", "b": "1"}]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1250", "utf-16", "utf-16-be", "utf-32", "shift_jis", "utf-8-sig"])
def test_other_encodings(encoding: str) -> None:
    text = "名,b\n表,1\n" if encoding == "shift_jis" else "nümé,b\nß,1\n"
    data = text.encode(encoding)
    (step,) = steps_of(data, encoding=encoding)
    assert rows_of([step]) == [{text.split(",")[0]: text.split("\n")[1].split(",")[0], "b": 1}]
    assert step.resume is not None
    assert step.resume["byte"] == len(data)
    assert step.raw is not None
    assert step.raw(0) == text.split("\n")[1].encode(encoding.replace("-sig", "")).removeprefix("".encode(encoding))


def test_bytes_that_are_not_in_the_encoding_cost_their_record() -> None:
    steps = steps_of(b"a,b\n1,x\n2,\x81\n3,y\n", encoding="cp1252")
    assert rows_of(steps) == [{"a": 1, "b": "x"}, {"a": 3, "b": "y"}]
    message = "not cp1252: a byte that means nothing at byte 3 of the record"
    assert rejects_of(steps) == [("encoding", message, b"2,\x81", 8)]
    steps = steps_of("a,b\n1,ż\n2,x\n".encode("utf-16-le") + b"\x00\xd8,\x00y\x00\n\x00", encoding="utf-16-le")
    assert [(reason, raw, at) for reason, _, raw, at in rejects_of(steps)] == [("encoding", b"\x00\xd8,\x00y\x00", 24)]


def test_a_document_may_grow_by_whole_records() -> None:
    whole = b"a,b\n1,x\n2,y\n3,z\n"
    first = steps_of(whole[:12])
    rest = steps_of(whole, start=Position(2, {"resume": first[-1].resume}))
    assert rows_of(rest) == [{"a": 3, "b": "z"}]
    first = steps_of(whole[:11])  # The line end is missing.
    rest = steps_of(whole, start=Position(2, {"resume": first[-1].resume}))
    assert (rows_of(rest), rejects_of(rest)) == ([{"a": 3, "b": "z"}], [])
    rest = steps_of(whole[:11] + b"yy\n3,z\n", start=Position(2, {"resume": first[-1].resume}))
    message = "the line was taken for complete when the document ended in it; this was added to it later"
    assert rejects_of(rest) == [("line_continued", message, b"yy", 11)]
    assert rows_of(rest) == [{"a": 3, "b": "z"}]


def test_lines_before_the_header_can_be_skipped() -> None:
    assert rows_of(steps_of(b"# made by x\n\na,b\n1,2\n", skip_lines="1")) == [{"a": 1, "b": 2}]


def test_messages_have_a_header_each_or_none() -> None:
    parsed = csv_parser().parse_messages(messages(b"a,b\n1,x\n2,y\n", b"a,b\nz\n", None, b"a,b\n", b"a,b\n3,w\n"))
    assert rows_of([parsed]) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "w"}]
    assert [(r.index, r.reason) for r in parsed.rejects] == [(1, "field_count"), (2, "no_value"), (3, "no_rows")]
    parser = csv_parser(header="false", column_names="a,b")
    for _ in range(2):
        parsed = parser.parse_messages(messages(b"1,x", b"2,y\n3,z\n", b"", b"4", b"5,v", b"6,u\nx"))
        assert rows_of([parsed]) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}, {"a": 5, "b": "v"}]
        assert [(r.index, r.reason, r.raw) for r in parsed.rejects] == [
            (2, "csv_invalid", b""),
            (3, "field_count", b"4"),
            (5, "field_count", b"6,u\nx"),
        ]
    parsed = parser.parse_messages(messages(b"7,s", b"x,t", b'8,"r\n"'))
    assert rows_of([parsed]) == [{"a": 7, "b": "s"}, {"a": 8, "b": "r\n"}]
    assert [r.message for r in parsed.rejects] == ["column 'a' is bigint, the value 'x' is text"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ",,"}, "format csv: the delimiter must be one ASCII character, not ',,'"),
        ({"delimiter": "none"}, "format csv: the delimiter must be one ASCII character or `tab`"),
        ({"quote": "ż"}, "format csv: the quote must be one ASCII character, not 'ż'"),
        ({"delimiter": '"'}, "format csv: delimiter, quote and escape must be different characters"),
        ({"quote": ";"}, "format csv: name the delimiter where quote or escape is one of comma, tab, semicolon and |"),
        ({"encoding": "klingon"}, "format csv, option 'encoding': there is no text encoding 'klingon'"),
        ({"encoding": "rot13"}, "format csv, option 'encoding': there is no text encoding 'rot13'"),
        (
            {"encoding": "utf-7"},
            "format csv, option 'encoding': encoding 'utf-7' cannot be read in pieces; convert the file to utf-8 first",
        ),
        (
            {"column_names": "a,A"},
            "format csv: column_names must be different from each other, also without regard to case, and not empty",
        ),
    ],
)
def test_options_that_cannot_be_say_why(options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        csv_parser(**options)
    assert str(caught.value) == message


def test_dates_and_times_come_as_such() -> None:
    assert rows_of(steps_of(b"d,t\n2020-01-02,2020-01-02T03:04:05.6Z\n")) == [
        {"d": date(2020, 1, 2), "t": datetime(2020, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)}
    ]


def messages(*values: bytes | None) -> Messages:
    positions = {"t/0": Position(0)}
    return Messages(list(values), ["t/0"] * len(values), list(range(len(values))), positions, {"t/0": Position(len(values))})


def test_a_message_that_is_no_more_than_a_header_is_set_aside() -> None:
    values: list[bytes | None] = [b"id,name\n1,a\n", b"7,b\n", b""]
    messages = Messages(values, ["p"] * 3, [0, 1, 2], {"p": Position(0)}, {"p": Position(3)})
    parsed = build(CsvOptions(), BuildContext()).parse_messages(messages)
    why = "the message holds a header at most; where each message is a record, set header to false"
    assert [(r.index, r.reason, r.message, r.raw) for r in parsed.rejects] == [
        (1, "no_rows", why, b"7,b\n"),
        (2, "no_rows", why, b""),
    ]
    assert parsed.data is not None
    assert parsed.data.to_pylist() == [{"id": 1, "name": "a"}]

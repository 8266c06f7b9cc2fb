"""What users are promised of reading JSON: records, rejects with stable reasons, positions."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pytest

from ddpm_core import BuildContext, DataError, Document, Messages, Parsed, Position
from ddpm_core.testing import dribble
from ddpm_json.options import JsonOptions
from ddpm_json.parser import JsonParser, build


@dataclass
class Read:
    steps: list[Parsed] = field(default_factory=list)
    error: DataError | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        found = [row for step in self.steps if step.data is not None for row in step.data.to_pylist()]
        return [{name: value for name, value in row.items() if value is not None} for row in found]

    @property
    def rejects(self) -> list[tuple[str, bytes | None, int | None]]:
        return [(reject.reason, reject.raw, reject.byte_offset) for step in self.steps for reject in step.rejects]

    @property
    def resume(self) -> Any:
        return self.steps[-1].resume


def new_parser(*, rows: int = 65_536, **options: Any) -> JsonParser:
    return build(JsonOptions(**options), BuildContext(batch_rows=rows))


def read(data: bytes, parser: JsonParser | None = None, *, resume: Any = None, offset: int = 0, stream: Any = None) -> Read:
    start = Position(offset, {"resume": resume} if resume else {})
    document = Document("f.json", "f#1", cast(BinaryIO, stream or BytesIO(data)), start)
    out = Read()
    try:
        out.steps.extend((parser or new_parser()).parse_document(document))
    except DataError as error:
        out.error = error
    return out


def only_message(data: bytes, **options: Any) -> tuple[str, str]:
    (reject,) = [reject for step in read(data, new_parser(**options)).steps for reject in step.rejects]
    return reject.reason, reject.message


ROW = {"a": 1}

LAYOUTS = {
    b'{"a":1}\n{"a":2}\n': "lines",
    b'\xef\xbb\xbf \r\n{"a":1}\r\n{"a":2}': "lines",
    b'{"a":1}': "lines",
    b'{"a":1} {"a":2}\n{"a":3}': "lines",
    b'[{"a":1},{"a":2}]': "end",
    b'\xef\xbb\xbf[\n  {"a": 1},\n  {"a": 2}\n]\n': "end",
    b'{\n  "a": 1\n}\n': "objects",
    b'{\n  "a": 1\n}{"a":2}\n\n{"a":\n3}': "objects",
    b'{"a":[\n{"b":1},\n{"b":2}\n]}': "objects",
    b'{"a":\n{"b":1}\n}': "objects",
}


@pytest.mark.parametrize("data", list(LAYOUTS))
def test_the_layout_is_told_by_the_first_lines(data: bytes) -> None:
    got = read(data)
    assert (got.resume["layout"], got.rejects, got.error) == (LAYOUTS[data], [], None)
    assert got.resume["byte"] == len(data.rstrip()) or LAYOUTS[data] == "lines"
    assert read(data, stream=dribble(data)).rows == got.rows
    assert len(got.rows) == data.count(b'"a"')


def test_ndjson_whose_first_line_is_broken_is_still_ndjson() -> None:
    for broken in (b'{"a":1', b'{"a":"x', b'{"a":1,', b"[1,2]", b"x", b'{"a"'):
        got = read(broken + b'\n{"a":1}\n{"a":2}\n')
        assert (got.rows, len(got.rejects), got.rejects[0][1]) == ([{"a": 1}, {"a": 2}], 1, broken)


@pytest.mark.parametrize("data", [b"", b" \n\r\n", b"\xef\xbb\xbf", b"[]", b"[ ]\n"])
def test_an_empty_document_has_no_records(data: bytes) -> None:
    got = read(data)
    assert (got.rows, got.rejects, got.error) == ([], [], None)


OTHERS = {
    b"Obj\x01\x04": ("wrong_format", "f.json is not JSON: it looks like an Avro container\nRead it with --format avro."),
    b"PAR1\x15": ("wrong_format", "f.json is not JSON: it looks like a Parquet file\nRead it with --format parquet."),
    b"\x1f\x8b\x08": (
        "wrong_format",
        "f.json is not JSON: it looks like data compressed with gzip\nDecompress it first, for example: gzip -dc FILE | ddpm ingest --format json",
    ),
    b"SQLite format 3\x00": (
        "wrong_format",
        "f.json is not JSON: it looks like an SQLite database\nExport it as one of the formats that `ddpm plugins list` names.",
    ),
    '{"a":1}\n'.encode("utf-16"): (
        "encoding",
        "f.json is not UTF-8: it looks like UTF-16 or UTF-32\nConvert it first, for example: iconv -f UTF-16 -t UTF-8 FILE | ddpm ingest --format json",
    ),
}


@pytest.mark.parametrize("data", list(OTHERS))
def test_another_format_is_named_before_any_record_is_rejected(data: bytes) -> None:
    got = read(data + b'\n{"a":1}\n')
    assert got.error is not None
    assert (got.steps, got.error.reason, str(got.error)) == ([], *OTHERS[data])


def deep(levels: int) -> bytes:
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


BAD: list[tuple[bytes, str, str]] = [
    (b'{"a":\xff}', "encoding", "not UTF-8: invalid start byte at byte 6 of the record"),
    (b'{"a":"\xff"}', "encoding", "not UTF-8: invalid start byte at byte 7 of the record"),
    (b'{"a":NaN}', "json_invalid", "not JSON: NaN is no JSON value, at character 6"),
    (b'{"a":"NaN","b":-Infinity}', "json_invalid", "not JSON: -Infinity is no JSON value, at character 16"),
    (b'{"a":1} x', "json_invalid", "not JSON: expecting value, at character 9"),
    (b'{"a":01}', "json_invalid", "not JSON: expecting ',' delimiter, at character 7"),
    (b'{"a":"b\tc"}', "json_invalid", "not JSON: invalid control character at, at character 8"),
    (b"[1]", "not_an_object", "the record is an array, not an object"),
    (b'"x"', "not_an_object", "the record is a string, not an object"),
    (b"null", "not_an_object", "the record is null, not an object"),
    (b"true", "not_an_object", "the record is a boolean, not an object"),
    (b"12", "not_an_object", "the record is a number, not an object"),
    (deep(129), "json_depth", "objects and arrays are nested more than 128 deep"),
    (deep(100_000), "json_depth", "objects and arrays are nested more than 128 deep"),
    (b'{"a":1e400}', "number_range", "the number 1e400 is too large for 64 bits"),
    (b'{"a":' + b"9" * 5000 + b"}", "int_range", "an integer of 5,000 digits fits no column"),
    (b'{"a":18446744073709551616}', "int_range", "column 'a': 18446744073709551616 (integer beyond 64 bits) does not fit bigint"),
    (b'{"a":-9223372036854775809}', "int_range", "column 'a': -9223372036854775809 (integer beyond 64 bits) does not fit bigint"),
    (b'{"a":"\\ud800"}', "surrogate", "a string holds half of a surrogate pair, which is no character"),
    (b'{"a":"x"}', "type_mismatch", "column 'a' is bigint, the value 'x' is text"),
]


@pytest.mark.parametrize("bad", BAD, ids=[f"{reason}-{raw[:12]!r}" for raw, reason, _ in BAD])
def test_a_bad_line_does_not_cost_its_neighbours(bad: tuple[bytes, str, str]) -> None:
    raw, reason, message = bad
    parser = new_parser()
    read(b'{"a":0}\n', parser)
    got = read(b'{"a":1}\n' + raw + b'\n{"a":2}\n', parser)
    assert got.rows == [{"a": 1}, {"a": 2}]
    assert got.rejects == [(reason, raw, 8)]
    assert [reject.message for step in got.steps for reject in step.rejects] == [message]
    (step,) = got.steps
    assert step.origin is not None
    assert (step.records, step.origin.to_pylist()) == (3, [0, 2])


def test_nesting_up_to_the_limit_is_kept_as_json_text() -> None:
    (row,) = read(deep(128)).rows
    assert row["a"] == "[" * 127 + "]" * 127
    assert only_message(b'{"a":[[1]]}\n', max_depth=2) == ("json_depth", "objects and arrays are nested more than 2 deep")


def test_more_objects_and_arrays_than_memory_should_hold_are_set_aside_and_brackets_in_text_do_not_count() -> None:
    many = b'{"a":1}\n{"a":2,"b":[' + b"[]," * 1_000_000 + b'[]]}\n{"a":3,"b":"' + b"[" * 2_000_000 + b'"}\n'
    got = read(many)
    assert [row["a"] for row in got.rows] == [1, 3]
    assert [reason for reason, _, _ in got.rejects] == ["collection_limit"]
    (message,) = [reject.message for step in got.steps for reject in step.rejects]
    assert message == "there are more than 1,000,000 objects and arrays in the record"


def test_an_unknown_field_of_any_depth_crashes_nothing_on_the_fast_way() -> None:
    parser = new_parser()
    read(b'{"a":1}\n{"a":2}\n', parser)
    assert parser._reader.arrow.ready
    for name in (b"a", b"new"):
        got = read(b'{"a":1}\n{"' + name + b'":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", parser)
        assert [reason for reason, _, _ in got.rejects] == ["json_depth"]


def test_duplicate_keys_last_wins() -> None:
    parser = new_parser()
    for _ in range(2):
        assert read(b'{"a":1,"a":2}\n', parser).rows == [{"a": 2}]


def test_two_documents_on_a_line_are_two_records() -> None:
    got = read(b'{"a":1} {"a":"\xc3\xa4"}\n\n  {"a":3}\n')
    (step,) = got.steps
    assert step.records == 3
    assert step.raw is not None
    assert step.byte_offset is not None
    assert [(step.raw(i), step.byte_offset(i)) for i in range(3)] == [(b'{"a":1}', 0), (b'{"a":"\xc3\xa4"}', 8), (b'{"a":3}', 22)]
    assert got.rejects == [("type_mismatch", b'{"a":"\xc3\xa4"}', 8)]


def test_original_bytes_come_from_every_way_of_reading() -> None:
    first, second = b'{"a":1,"b":"},{"}', b'{"a":2}'
    for data, at in (
        (b"%b\n%b\n", (0, 18)),
        (b"%b\r\n%b\r\n", (0, 19)),
        (b"[%b , %b]", (1, 21)),
        (b"{\n" + first[1:] + b"%b", (0, 18)),
    ):
        parser = new_parser()
        whole = data % ((first, second) if data.count(b"%b") == 2 else (second,))
        for _ in range(2):  # The second time the columns are known.
            (step,) = read(whole, parser).steps
            assert step.raw is not None
            assert step.byte_offset is not None
            assert [step.byte_offset(0), step.byte_offset(1)] == list(at)
            assert step.raw(1) == second


def test_a_record_that_is_too_large_is_set_aside_in_every_layout() -> None:
    big = b'{"a":"' + b"x" * 40 + b'"}'
    for data in (
        b'{"a":"1"}\n' + big + b'\n{"a":"2"}\n',
        b'[{"a":"1"},' + big + b',{"a":"2"}]',
        b'{\n"a":"1"}' + big + b'{"a":"2"}',
    ):
        got = read(data, new_parser(max_record_bytes=20))
        assert got.rows == [{"a": "1"}, {"a": "2"}]
        assert got.rejects == [("too_large", big[:20], data.index(big))]
        assert only_message(data, max_record_bytes=20) == (
            "too_large",
            f"the record has {49 if data.endswith(bytes([10])) else 48} bytes, more than the 20 allowed; only its beginning is kept",
        )


def test_a_file_still_being_written_is_continued_with_the_whole_record() -> None:
    begun = read(b'{"a":1}\n{"a":22')
    assert begun.rows == [{"a": 1}]
    assert begun.rejects == [("json_truncated", b'{"a":22', 8)]
    assert begun.resume == {"byte": 8, "layout": "lines", "grows": True, "seen": 15}
    assert [reject.message for step in begun.steps for reject in step.rejects] == [
        "the document ends within the record: not JSON: expecting ',' delimiter, at character 8"
    ]
    again = read(b'{"a":1}\n{"a":22', resume=begun.resume, offset=2)
    assert (again.steps, again.error) == ([], None)
    grown = read(b'{"a":1}\n{"a":223}\n{"a":3}', resume=begun.resume, offset=2)
    assert (grown.rows, grown.rejects) == ([{"a": 223}, {"a": 3}], [])
    assert grown.resume == {"byte": 25, "layout": "lines", "grows": True}


@pytest.mark.parametrize("half", [b'{"a":{"b":1}', b'{"a":[{},{}', b'{"a":"}', b'{"a":1,"b":{}'])
def test_half_a_record_that_ends_like_a_whole_one_is_continued_too(half: bytes) -> None:
    begun = read(b'{"a":1}\n' + half)
    assert begun.rejects == [("json_truncated", half, 8)]
    assert begun.resume == {"byte": 8, "layout": "lines", "grows": True, "seen": 8 + len(half)}


def test_blanks_after_a_bad_last_line_do_not_make_it_read_again() -> None:
    got = read(b'{"a":1}\n[1]\n  ')
    assert (got.rejects, got.resume) == ([("not_an_object", b"[1]", 8)], {"byte": 14, "layout": "lines", "grows": True})


def test_a_last_line_cut_within_a_character_is_truncated() -> None:
    assert read(b'{"a":"1"}\n{"a":"\xc3').rejects == [("json_truncated", b'{"a":"\xc3', 10)]


TRUNCATED = {
    b'[{"a":1},{"a"': "f.json is cut off: it ends within a record, at byte 9",
    b'[{"a":1},': "f.json is cut off: its array is not closed, at byte 9",
    b'{\n"a":1}\n{"a":': "f.json is cut off: it ends within a record, at byte 9",
}


@pytest.mark.parametrize("data", list(TRUNCATED))
def test_a_truncated_document_lands_up_to_where_it_ends(data: bytes) -> None:
    got = read(data)
    assert got.error is not None
    assert (got.rows, got.error.reason, got.error.message) == ([ROW], "json_truncated", TRUNCATED[data])
    assert got.error.hint == "What came before has been read. Get the complete document and read it again."


def test_what_follows_the_array_is_an_error() -> None:
    got = read(b'[{"a":1}\n]\n{"a":2}')
    assert got.error is not None
    assert (got.rows, got.error.reason) == ([ROW], "json_invalid")
    assert got.error.message == "f.json goes on after the end of its array, at byte 11"


DOCUMENTS = [
    b'{"a":1}\n{"a":2}{"a":3}\n\n[4]\n{"a":5}\n{"a',
    b'[{"a":1},{"a":2} , [3],\n{"a":4},{"b":[1,{"c":"],["}]}]  ',
    b'{\n"a":1}{"a":2}\n\n{"a":3} x {"b":"}{"}',
]


@pytest.mark.parametrize("data", DOCUMENTS)
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_every_resume_point_gives_what_one_pass_gives(data: bytes, rows: int) -> None:
    steps = read(data, new_parser(rows=rows)).steps
    assert sum(step.records for step in steps) == 6 or b"x" in data or b"]," in data
    done = Read()
    for number, step in enumerate(steps):
        done.steps.append(step)
        rest = read(data, resume=step.resume, offset=1)
        assert rest.rows == Read(steps[number + 1 :]).rows
        assert rest.rejects == Read(steps[number + 1 :]).rejects


def test_a_step_holds_no_more_rows_than_allowed() -> None:
    for data in (b'{"a":1}\n' * 10, b"[" + b",".join([b'{"a":1}'] * 10) + b"]"):
        parser = new_parser(rows=4)
        for _ in range(2):
            steps = read(data, parser).steps
            assert max(step.records for step in steps) <= 4
            assert sum(step.records for step in steps) == 10
            assert sum(step.nbytes for step in steps) == len(data)


def test_expected_decimals_are_read_digit_by_digit() -> None:
    schema = pa.schema([("amount", pa.decimal128(38, 18)), ("big", pa.decimal128(38, 0)), ("n", pa.int32())])
    record = b'{"amount":0.123456789012345678,"big":18446744073709551616,"n":1,"f":0.5}'
    want = {"amount": Decimal("0.123456789012345678"), "big": Decimal(18446744073709551616), "n": 1, "f": 0.5}
    for data in (record + b"\n" + record, b"[" + record + b"," + record + b"]"):
        parser = new_parser()
        parser.expect(schema)
        for _ in range(2):
            got = read(data, parser)
            assert (got.rows, got.rejects) == ([want, want], [])
    parser = new_parser()
    parser.expect(schema)
    assert parser.parse_messages(messages(b"[" + record + b"]")).data.to_pylist() == [want]


def test_expected_types_are_read_on_the_fast_way_too() -> None:
    schema = pa.schema([("at", pa.timestamp("us", "UTC")), ("n", pa.int16()), ("f", pa.float32()), ("d", pa.decimal128(10, 2))])
    parser = new_parser()
    parser.expect(schema)
    line = b'{"at":"2026-01-02T03:04:05Z","n":1,"f":0.5,"d":1.25}\n'
    first = read(line * 2, parser)
    assert parser._reader.arrow.ready
    assert parser._reader.arrow.read(line * 3, 3) is not None
    assert read(line * 2, parser).rows == first.rows
    assert first.rows[0]["d"] == Decimal("1.25")


# Messages.


def messages(*values: bytes | None) -> Messages:
    at = {"t/0": Position(0)}
    return Messages(
        list(values), ["t/0"] * len(values), list(range(len(values))), at, at, nbytes=sum(len(v or b"") for v in values)
    )


def test_a_message_is_an_object_or_an_array_of_objects() -> None:
    parser = new_parser()
    parsed = parser.parse_messages(messages(b'{"a":1}', b'[{"a":2},{"a":3}]', b' {"a":\n4} ', b"[]", b'\xef\xbb\xbf{"a":5}'))
    assert parsed.data.to_pylist() == [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}, {"a": 5}]
    assert parsed.origin is not None
    assert (parsed.records, parsed.origin.to_pylist(), parsed.rejects) == (5, [0, 1, 1, 2, 4], [])
    assert parsed.raw is not None
    assert parsed.raw(1) == b'[{"a":2},{"a":3}]'


def test_a_bad_message_is_one_reject_and_lands_nothing() -> None:
    parser = new_parser(max_record_bytes=30)
    parser.parse_messages(messages(b'{"a":1}'))
    bad = [b'[{"a":2},{"a":"x"},{"a":"y"}]', b'{"a":3}{"a":4}', b'[{"a":5},6]', b"", b'{"a":"' + b"x" * 40 + b'"}', b'{"a":"z"}']
    parsed = parser.parse_messages(messages(b'{"a":0}', None, *bad, b'{"a":9}'))
    assert parsed.data.to_pylist() == [{"a": 0}, {"a": 9}]
    assert [(reject.index, reject.reason, reject.raw) for reject in parsed.rejects] == [
        (1, "no_value", None),
        (2, "type_mismatch", bad[0]),
        (3, "json_invalid", bad[1]),
        (4, "not_an_object", bad[2]),
        (5, "json_invalid", bad[3]),
        (6, "too_large", bad[4]),
        (7, "type_mismatch", bad[5]),
    ]


@pytest.fixture(params=[True, False], ids=["known", "unknown"])
def some_parser(request: pytest.FixtureRequest) -> JsonParser:
    parser = new_parser()
    if request.param:
        parser.parse_messages(messages(b'{"a":1,"b":"x"}'))
    return parser


def test_messages_that_hold_several_objects_are_never_taken_for_rows(some_parser: JsonParser) -> None:
    values = [b'{"a":1}\n{"a":2}', b"", b'{"a":3}\n{"a":4}', b'{"a":5}']
    parsed = some_parser.parse_messages(messages(*values))
    assert [reject.index for reject in parsed.rejects] == [0, 1, 2]
    assert [row["a"] for row in parsed.data.to_pylist()] == [5]

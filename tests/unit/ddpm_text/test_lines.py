"""Each line is a row, in whatever pieces it comes, and is written back as it was."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, ConfigError, DataError, Document, Messages, Parsed, Position
from ddpm_core.config.options import check_options
from ddpm_text.lines_parser import build
from ddpm_text.lines_serializer import build as build_serializer
from ddpm_text.options import LinesOptions
from tests.examples import examples


def read(data: bytes, start: Position | None = None, batch_rows: int = 16_384, **options: Any) -> list[Parsed]:
    parser = build(LinesOptions(**options), BuildContext(batch_rows=batch_rows))
    return list(parser.parse_document(Document("f.txt", "p#1", io.BytesIO(data), start or Position(0))))


def lines_of(steps: list[Parsed], column: str = "line") -> list[str]:
    return [row[column] for step in steps if step.data is not None for row in step.data.to_pylist()]


def slowly(data: bytes, encoding: str, blank: str) -> tuple[list[str], list[bytes]]:
    """One line after the other: the lines, and those that are no text."""
    good, bad = [], []
    for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n")[: None if not data.endswith(b"\n") else -1]:
        content = line.removesuffix(b"\r")
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            bad.append(content)
            continue
        good += [text] if text or blank == "keep" else []
    return good, bad


PIECES = st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\r\n", b" ", b"\xff", b"\xc3", b"\xa4", b"\x81", b"\x00", "漢".encode()]))


@settings(max_examples=examples(120), deadline=None)
@given(
    pieces=PIECES,
    encoding=st.sampled_from(["utf-8", "latin-1", "cp1252", "shift_jis", "ascii"]),
    blank=st.sampled_from(["keep", "skip"]),
    batch_rows=st.integers(1, 5),
)
def test_the_fast_way_and_the_slow_way_agree_and_any_step_can_be_resumed(
    pieces: list[bytes], encoding: str, blank: str, batch_rows: int
) -> None:
    data = b"".join(pieces)
    if not data:
        return
    steps = read(data, batch_rows=batch_rows, encoding=encoding, blank=blank)
    good, bad = slowly(data, encoding, blank)
    assert lines_of(steps) == good
    assert [reject.raw for step in steps for reject in step.rejects] == bad
    assert sum(step.records for step in steps) == len(good) + len(bad) + sum(step.filtered for step in steps)
    done = records = 0
    for step in steps:
        done += step.data.num_rows if step.data is not None else 0
        records += step.records
        rest = read(data, Position(records, {"resume": step.resume}), encoding=encoding, blank=blank)
        assert lines_of(rest) == good[done:]


def test_a_line_that_is_no_text_is_set_aside_with_its_place() -> None:
    (step,) = read(b"good\r\nb\xff\xfed\r\nlast\r\n")
    assert lines_of([step]) == ["good", "last"]
    assert step.origin.to_pylist() == [0, 2]
    (reject,) = step.rejects
    assert (reject.index, reject.reason, reject.raw, reject.byte_offset) == (1, "encoding", b"b\xff\xfed", 6)
    assert reject.message == "it is not valid utf-8: byte 2 of it, ff fe 64"
    assert step.raw is not None
    assert step.byte_offset is not None
    assert (step.raw(2), step.byte_offset(2)) == (b"last", 12)


def test_a_line_that_is_too_long_is_set_aside() -> None:
    steps = read(b"a\n" + b"x" * 5000 + b"\nb\n", max_record_bytes=100)
    assert lines_of(steps) == ["a", "b"]
    (reject,) = [reject for step in steps for reject in step.rejects]
    assert (reject.reason, reject.byte_offset, len(reject.raw or b"")) == ("too_large", 2, 100)


def test_a_document_that_grew_within_its_last_line_says_so() -> None:
    (step,) = read(b"a\nb")
    start = Position(2, {"resume": step.resume})
    rest = read(b"a\nbc\nd\n", start)
    assert lines_of(rest) == ["d"]
    assert [(r.reason, r.raw, r.byte_offset) for s in rest for r in s.rejects] == [("line_continued", b"c", 3)]
    rest = read(b"a\nb\nd\n", start)
    assert (lines_of(rest), [s.rejects for s in rest]) == (["d"], [[], []])


def test_blank_lines_may_be_left_out() -> None:
    (step,) = read(b"a\n\n\nb\n", blank="skip")
    assert (lines_of([step]), step.records, step.filtered, step.origin.to_pylist()) == (["a", "b"], 4, 2, [0, 3])


def test_a_message_is_a_row_as_it_is() -> None:
    values = [b"a\nb\n", None, b"", b"\xff", b"x" * 200]
    messages = Messages(values, ["t"] * 5, list(range(5)), {"t": Position(0)}, {"t": Position(5)})
    parsed = build(LinesOptions(max_record_bytes=100), BuildContext()).parse_messages(messages)
    assert parsed.data.to_pylist() == [{"line": "a\nb\n"}, {"line": ""}]
    assert parsed.origin.to_pylist() == [0, 2]
    assert [(reject.index, reject.reason) for reject in parsed.rejects] == [(1, "no_value"), (3, "encoding"), (4, "too_large")]


@pytest.mark.parametrize("name", ["utf-16", "utf_7", "hz", "rot13", "hex", "no-such-thing", "cp037"])
def test_an_encoding_that_lines_cannot_be_cut_in_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(LinesOptions, {"encoding": name}, owner="format lines")
    assert str(caught.value) == (
        f"format lines, option 'encoding': {name!r} is no encoding of text that contains ASCII, such as utf-8 or latin-1"
    )


# Writing.


def written(data: pa.RecordBatch, **options: Any) -> bytes:
    stream = io.BytesIO()
    writer = build_serializer(LinesOptions(**options), BuildContext()).document_writer(stream, data.schema)
    writer.write(data)
    writer.close()
    return stream.getvalue()


def test_any_text_column_is_written() -> None:
    texts = pa.array(["ä", "", "b"])
    for column in (texts, texts.cast(pa.large_string()), texts.cast(pa.string_view()), texts.dictionary_encode()):
        assert written(pa.record_batch({"any": column})) == "ä\n\nb\n".encode()
    assert written(pa.record_batch({"n": [1], "t": ["é"]}), column="t", encoding="latin-1") == b"\xe9\n"


@pytest.mark.parametrize(
    ("columns", "options", "reason", "text"),
    [
        (
            {"a": ["x"], "b": ["y"]},
            {},
            "columns",
            "the format lines writes one column, and the rows have 2: a, b\nSay which one with the option column.",
        ),
        ({"a": ["x"]}, {"column": "c"}, "columns", "there is no one column 'c'; there are a"),
        ({"a": [1]}, {}, "type_unsupported", "column 'a' of type int64 is not text\nCast it to text first."),
        (
            {"a": ["x", None]},
            {},
            "null_value",
            "column 'a' is null in row 2 of the batch, and this format has no null\nLeave such rows out, or give them a value.",
        ),
        (
            {"a": ["x", "y\nz"]},
            {},
            "line_end",
            (
                "column 'a' has a line feed in row 2 of the batch, where a line would end\n"
                "Replace it first, or write another format, such as json."
            ),
        ),
        (
            {"a": ["x\r"]},
            {},
            "line_end",
            (
                "column 'a' has a carriage return in row 1 of the batch, where a line would end\n"
                "Replace it first, or write another format, such as json."
            ),
        ),
        ({"a": ["漢"]}, {"encoding": "cp1252"}, "encoding", "column 'a' has the character '漢', which cp1252 lacks\nWrite utf-8."),
    ],
)
def test_what_lines_cannot_say_is_refused(columns: Any, options: Any, reason: str, text: str) -> None:
    with pytest.raises(DataError) as caught:
        written(pa.record_batch(columns), **options)
    assert caught.value.reason == reason
    assert str(caught.value) == text

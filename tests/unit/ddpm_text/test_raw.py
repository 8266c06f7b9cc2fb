"""A document is one row, and a row is one document."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core import BuildContext, DataError, Document
from ddpm_text.options import RawOptions
from ddpm_text.raw_parser import build
from ddpm_text.raw_serializer import build as build_serializer


def test_a_document_that_is_too_large_is_refused() -> None:
    parser = build(RawOptions(max_record_bytes=10), BuildContext())
    with pytest.raises(DataError) as caught:
        list(parser.parse_document(Document("f.bin", "p#1", io.BytesIO(b"x" * 11))))
    assert caught.value.reason == "too_large"
    assert str(caught.value) == "f.bin is larger than 10 bytes and this format reads a document as one record"


def test_bytes_that_are_no_text_are_set_aside_where_text_is_wanted() -> None:
    (step,) = build(RawOptions(text=True), BuildContext()).parse_document(Document("f", "p#1", io.BytesIO(b"ab\xff")))
    (reject,) = step.rejects
    assert (step.data, reject.reason, reject.raw) == (None, "encoding", b"ab\xff")
    assert reject.message == "it is not valid utf-8: byte 3 of it, ff"


def writer_of(data: pa.RecordBatch, **options: Any) -> tuple[Any, io.BytesIO]:
    stream = io.BytesIO()
    return build_serializer(RawOptions(**options), BuildContext()).document_writer(stream, data.schema), stream


@pytest.mark.parametrize(
    "column", [pa.array([b"\xff"]), pa.array(["a"]), pa.array([b"abc"], pa.binary(3)), pa.array([b"x"], pa.binary_view())]
)
def test_one_value_is_one_document(column: pa.Array) -> None:
    data = pa.record_batch({"v": column})
    writer, stream = writer_of(data)
    writer.write(data)
    value = column[0].as_py()
    assert stream.getvalue() == (value.encode() if isinstance(value, str) else value)


def test_a_second_row_has_no_place_in_a_document() -> None:
    one, two = pa.record_batch({"v": [b"a"]}), pa.record_batch({"v": [b"a", b"b"]})
    for batches in ([one, one], [two]):
        writer, _ = writer_of(one)
        for batch in batches[:-1]:
            writer.write(batch)
        with pytest.raises(DataError) as caught:
            writer.write(batches[-1])
        assert caught.value.reason == "rows"
        assert str(caught.value) == (
            "a raw document is one value, and there is more than one row\nWrite each row as a message, or another format."
        )


def test_messages_are_the_values_of_the_column_that_is_named() -> None:
    data = pa.record_batch({"n": [1, 2], "v": [b"a", b""]})
    assert build_serializer(RawOptions(column="v"), BuildContext()).serialize_rows(data) == [b"a", b""]
    with pytest.raises(DataError) as caught:
        build_serializer(RawOptions(), BuildContext()).serialize_rows(data)
    assert str(caught.value) == "the format raw writes one column, and the rows have 2: n, v\nSay which one with the option column."
    with pytest.raises(DataError) as caught:
        build_serializer(RawOptions(column="n"), BuildContext()).serialize_rows(data)
    assert str(caught.value) == "column 'n' of type int64 is not text or bytes\nCast it to text first."

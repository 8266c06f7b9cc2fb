"""What the base class makes of the one method that a parser's author writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core.errors import DataError, PluginError
from ddpm_core.plugin.format import Parser
from ddpm_core.records import Document, Messages, Parsed, Position, Reject


def messages(*values: bytes | None) -> Messages:
    count = len(values)
    return Messages(
        values=list(values),
        partitions=["t/0"] * count,
        offsets=list(range(count)),
        first={"t/0": Position(0)},
        next={"t/0": Position(count)},
        nbytes=sum(len(value or b"") for value in values),
    )


def document(data: bytes) -> Document:
    return Document("a.txt", "a", BytesIO(data), Position(0), len(data))


def rows(parsed: Parsed) -> list[dict[str, Any]]:
    return [] if parsed.data is None else parsed.data.to_pylist()


class Numbers(Parser):
    """A payload of numbers with commas between them: a row for each; `bad` is none."""

    def parse_payload(self, payload: bytes) -> Mapping[str, Any] | Iterable[Mapping[str, Any]]:
        if payload == b"bad":
            raise DataError("no numbers", reason="bad_numbers")
        found = [{"n": int(part) if part.isdigit() else part.decode()} for part in payload.split(b",") if part]
        return found[0] if len(found) == 1 else found


def test_a_payload_is_a_row_or_several_or_none() -> None:
    parsed = Numbers().parse_messages(messages(b"1", b"2,3", b"", b"4"))
    assert rows(parsed) == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}]
    assert parsed.origin is not None
    assert parsed.origin.to_pylist() == [0, 1, 1, 3]
    assert (parsed.records, parsed.filtered, parsed.rejects, parsed.nbytes) == (4, 1, [], 5)


def test_a_payload_that_cannot_be_decoded_costs_its_neighbours_nothing() -> None:
    parsed = Numbers().parse_messages(messages(b"1", b"bad", None, b"2"))
    assert rows(parsed) == [{"n": 1}, {"n": 2}]
    assert parsed.rejects == [
        Reject(1, "bad_numbers", "no numbers", raw=b"bad"),
        Reject(2, "no_value", "the message has no value (a tombstone)"),
    ]


def test_a_payload_of_which_a_row_does_not_fit_lands_not_at_all() -> None:
    parsed = Numbers().parse_messages(messages(b"1,2", b"3,four", b"5"))
    assert rows(parsed) == [{"n": 1}, {"n": 2}, {"n": 5}]
    assert parsed.origin is not None
    assert parsed.origin.to_pylist() == [0, 0, 2]
    assert [(reject.index, reject.reason) for reject in parsed.rejects] == [(1, "type_mismatch")]
    assert parsed.raw is not None
    assert parsed.raw(1) == b"3,four"


def test_a_document_is_cut_at_newlines_or_not_at_all() -> None:
    class Whole(Numbers):
        framing = "whole"

    assert [rows(step) for step in Numbers().parse_document(document(b"1\n2,3\n"))] == [[{"n": 1}, {"n": 2}, {"n": 3}]]
    assert [rows(step) for step in Whole().parse_document(document(b"1,2"))] == [[{"n": 1}, {"n": 2}]]
    assert (Numbers.resumable, Whole.resumable) == (True, False)


def test_a_parser_that_overrides_nothing_is_told_what_it_lacks() -> None:
    class Nothing(Parser):
        pass

    with pytest.raises(PluginError, match=r"^Nothing overrides none of parse_payload, parse_messages, parse_document$"):
        Nothing().parse_messages(messages(b"1"))


class Blocks(Parser):
    """A document of blocks `name=text;`: each is a column of one row. `!` breaks off, `?` is no record, `-` is left out."""

    empty_message = "it has no block"

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        for block in document.stream.read().split(b";"):
            if block == b"!":
                raise DataError("torn", reason="torn")
            if block == b"?":
                yield Parsed(None, 1, [Reject(0, "bad_block", "no block", raw=b"?")])
            elif block:
                name, _, text = block.decode().partition("=")
                yield Parsed(pa.record_batch({name: [int(text) if text.isdigit() else text]}), 1)


def test_a_message_is_a_document_where_only_that_is_written() -> None:
    parsed = Blocks().parse_messages(messages(b"a=1;a=2", b"b=x", None, b""))
    assert rows(parsed) == [{"a": 1, "b": None}, {"a": 2, "b": None}, {"a": None, "b": "x"}]
    assert parsed.origin is not None
    assert parsed.origin.to_pylist() == [0, 0, 1]
    assert parsed.rejects == [
        Reject(2, "no_value", "the message has no value (a tombstone)"),
        Reject(3, "no_rows", "it has no block", raw=b""),
    ]
    assert not Blocks.resumable


@pytest.mark.parametrize(
    ("value", "reason", "message"),
    [
        (b"a=1;!", "torn", "torn"),
        (b"a=1;?", "bad_block", "no block"),
        (b"a=text", "type_mismatch", None),
    ],
)
def test_a_message_lands_whole_or_not_at_all(value: bytes, reason: str, message: str | None) -> None:
    parsed = Blocks().parse_messages(messages(b"a=7", value, b"a=8"))
    assert rows(parsed) == [{"a": 7}, {"a": 8}]
    (reject,) = parsed.rejects
    assert (reject.index, reject.reason, reject.raw) == (1, reason, value)
    if message is not None:
        assert reject.message == message
    else:
        assert reject.message.startswith("its columns clash with earlier ones: ")


def test_a_parser_of_payloads_may_add_to_what_becomes_of_its_documents() -> None:
    class Headed(Numbers):
        def parse_document(self, document: Document) -> Iterator[Parsed]:
            assert document.stream.readline() == b"numbers\n"
            yield from super().parse_document(document)

    assert [rows(step) for step in Headed().parse_document(document(b"numbers\n1\n2\n"))] == [[{"n": 1}, {"n": 2}]]
    assert rows(Headed().parse_messages(messages(b"1", b"2"))) == [{"n": 1}, {"n": 2}]
    assert not Headed.resumable

"""Formats that break one promise each. Each class names the one test that must fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa
from kit_reference.parts import LinesParser, LinesSerializer, LinesWriter

from ddpm_core import BuildContext, DataError, Document, DocumentWriter, Messages, Parsed, Parser, Position, Reject, Serializer
from ddpm_core.testing import FormatCapabilities, FormatConformance, GoldenMessage, GoldenMessages, Sample


class Lines(FormatConformance):
    plugin = "kit_reference.plugin"
    name = "kit_lines"
    capabilities = FormatCapabilities(keeps_neighbours=True, cuts_at_batch_rows=True, streams=True)
    samples = (
        Sample(b"one\ntwo\n\nthree\n", [{"text": "one"}, {"text": "two"}, {"text": "three"}]),
        Sample(b"one\n\xff\ntwo\n", [{"text": "one"}, {"text": "two"}], rejects=[(1, "not_text")]),
    )
    broken: ClassVar[type[LinesParser]] = LinesParser
    broken_serializer: ClassVar[type[LinesSerializer]] = LinesSerializer

    def parser(self, context: BuildContext | None = None) -> Parser:
        return self.broken()

    def serializer(self) -> Serializer:
        return self.broken_serializer()


class Shouting(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        return super().parse_messages(replace(messages, values=[value and value.upper() for value in messages.values]))


class WrongRows(Lines):
    fails = "test_samples_give_their_rows"
    broken = Shouting


class ReadsOnce(LinesParser):
    def parse_document(self, document: Document) -> Iterator[Parsed]:
        data = document.stream.read(1 << 20)
        yield from super().parse_document(replace(document, stream=_stream(data)))


class ShortReads(Lines):
    fails = "test_a_stream_of_five_bytes_at_a_time_gives_the_same_rows"
    broken = ReadsOnce


class Remembers(LinesParser):
    last = b""

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        data, self.last = self.last + document.stream.read(), b"left over\n"
        yield from super().parse_document(replace(document, stream=_stream(data)))


class StateFromDocumentToDocument(Lines):
    fails = "test_one_parser_reads_document_after_document"
    broken = Remembers


class MessagesDiffer(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        parsed = super().parse_messages(messages)
        if messages.partitions[:1] == ["kit/0"]:
            parsed.data = pa.RecordBatch.from_pydict({"text": ["x"] * parsed.data.num_rows})
        return parsed


class OtherRowsFromMessages(Lines):
    fails = "test_samples_as_messages_give_the_same_rows"
    broken = MessagesDiffer


class NoTombstones(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        if None in messages.values:
            raise TypeError("None")
        return super().parse_messages(messages)


class TombstoneCrash(Lines):
    fails = "test_a_message_without_a_value_does_not_cost_its_neighbours"
    broken = NoTombstones


class NeedsOne(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        messages.values[0]
        return super().parse_messages(messages)


class NoMessagesCrash(Lines):
    fails = "test_no_messages_give_no_rows"
    broken = NeedsOne


class NeverEmpty(LinesParser):
    def parse_document(self, document: Document) -> Iterator[Parsed]:
        yield super().parse_messages(_messages([b"a row"]))


class RowFromNothing(Lines):
    fails = "test_an_empty_document_gives_no_rows"
    broken = NeverEmpty


class Loses(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        parsed = super().parse_messages(messages)
        parsed.rejects = []
        return parsed


class LostRecord(Lines):
    fails = "test_every_record_is_a_row_or_a_reject"
    broken = Loses


class AllOrNothing(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        parsed = super().parse_messages(messages)
        if parsed.rejects:
            return Parsed(None, len(messages), [Reject(number, "not_text", "not text") for number in range(len(messages))])
        return parsed


class NeighboursLost(Lines):
    fails = "test_a_bad_record_does_not_cost_its_neighbours"
    broken = AllOrNothing


class NoBadSample(Lines):
    fails = "test_a_bad_record_does_not_cost_its_neighbours"
    samples = Lines.samples[:1]


class NeedsANewline(LinesParser):
    def parse_document(self, document: Document) -> Iterator[Parsed]:
        data = document.stream.read()
        invented = b"" if data.endswith(b"\n") or not data else b"invented\ninvented\n"
        yield from super().parse_document(replace(document, stream=_stream(invented + data)))


class InventsWhenTruncated(Lines):
    fails = "test_a_truncated_document_gives_only_its_beginning"
    broken = NeedsANewline


class Fragile(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        for value in messages.values:
            (value or b"").decode()
        return super().parse_messages(messages)


class CrashOnBytes(Lines):
    fails = "test_bytes_of_any_kind_are_no_crash"
    broken = Fragile


class Closes(LinesParser):
    def parse_document(self, document: Document) -> Iterator[Parsed]:
        yield from super().parse_document(document)
        document.stream.close()


class StreamClosed(Lines):
    fails = "test_the_callers_stream_stays_open"
    broken = Closes


class Busy(LinesParser):
    busy = False

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        if self.busy:
            raise DataError("still busy")
        self.busy = True
        yield from super().parse_document(document)
        self.busy = False


class UnusableAfterwards(Lines):
    fails = "test_an_abandoned_document_leaves_the_parser_usable"
    broken = Busy


class StepsOfAnySize(Lines):
    fails = "test_no_step_has_more_rows_than_allowed"


class Hoards(LinesParser):
    def parse_document(self, document: Document) -> Iterator[Parsed]:
        yield from super().parse_document(replace(document, stream=_stream(document.stream.readall())))  # type: ignore[attr-defined]


class ReadsAllAtOnce(Lines):
    fails = "test_a_large_document_is_not_read_at_once"
    broken = Hoards


class ResumesLate(LinesParser):
    resumable = True

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        resume = document.start.detail.get("resume")
        if resume:
            late = Position(document.start.offset, {"resume": {**resume, "byte": resume["byte"] + 1}})
            document = replace(document, start=late)
        yield from super().parse_document(document)


class LosesAByteWhenResumed(Lines):
    fails = "test_a_killed_run_goes_on_where_any_step_ended"
    broken = ResumesLate


class StartsAgain(LinesParser):
    resumable = True

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        yield from super().parse_document(replace(document, start=Position(0)))


class GrownFileTwice(Lines):
    fails = "test_a_document_that_grew_goes_on_where_it_ended"
    broken = StartsAgain


class SaysNothing(LinesParser):
    resumable = True

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        for step in super().parse_document(document):
            step.resume = None
            yield step


class NoResume(Lines):
    fails = "test_a_killed_run_goes_on_where_any_step_ended"
    broken = SaysNothing


class OffsetsTooLarge(LinesParser):
    def parse_document(self, document: Document) -> Iterator[Parsed]:
        for step in super().parse_document(document):
            step.byte_offset = lambda record: 10_000
            yield step


class WrongByteOffset(Lines):
    fails = "test_original_bytes_can_be_asked_for_every_record"
    broken = OffsetsTooLarge


class SaysItInWords(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        parsed = super().parse_messages(messages)
        for reject in parsed.rejects:
            reject.reason = "Not Text!"
        return parsed


class ReasonInWords(Lines):
    fails = "test_reasons_are_stable_codes"
    broken = SaysItInWords


class ClosingWriter(LinesWriter):
    def close(self) -> None:
        self.stream.close()


class ClosesTheStream(LinesSerializer):
    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> DocumentWriter:
        return ClosingWriter(stream)


class WriterClosesTheStream(Lines):
    fails = "test_documents_written_are_read_back"
    broken_serializer = ClosesTheStream


class FooterWriter(LinesWriter):
    def close(self) -> None:
        self.stream.write(b"end\n")


class WritesAFooter(LinesSerializer):
    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> DocumentWriter:
        return FooterWriter(stream)


class RowAfterTheLast(Lines):
    fails = "test_a_document_without_rows_is_read_back"
    broken_serializer = WritesAFooter


class Forgets(LinesSerializer):
    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        return super().serialize_rows(data)[1:]


class MessageMissing(Lines):
    fails = "test_messages_written_are_read_back"
    broken_serializer = Forgets


def _stream(data: bytes) -> Any:
    import io

    return io.BytesIO(data)


def _messages(values: list[bytes | None]) -> Messages:
    return Messages(values, ["p"] * len(values), list(range(len(values))), {}, {})


class TakesTheHint(LinesParser):
    expected: Any = None

    def expect(self, schema: pa.Schema) -> None:
        self.expected = schema

    def parse_messages(self, messages: Messages) -> Parsed:
        parsed = super().parse_messages(messages)
        if self.expected is not None and parsed.data is not None:
            parsed.data = pa.RecordBatch.from_pydict({name: [""] * parsed.data.num_rows for name in self.expected.names})
        return parsed


class BelievesTheTarget(Lines):
    fails = "test_columns_that_the_target_expects_change_no_rows"
    broken = TakesTheHint


class SaysThatItNeedsNoHint(TakesTheHint):
    self_describing = True


class BeginsBeforeTheHint(Lines):
    fails = "test_a_document_begun_before_the_target_is_known_goes_on_or_begins_again"
    broken = SaysThatItNeedsNoHint


class ReadsToTheEndWhenDropped(LinesParser):
    self_describing = True

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        try:
            yield from super().parse_document(document)
        finally:
            document.stream.seek(0, 2)


class CannotBeginAgain(Lines):
    fails = "test_a_document_begun_before_the_target_is_known_goes_on_or_begins_again"
    broken = ReadsToTheEndWhenDropped


class CountsTwice(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        parsed = super().parse_messages(messages)
        parsed.filtered = len(parsed.rejects)
        return parsed


class RejectsCountAsFiltered(Lines):
    fails = "test_every_record_is_a_row_or_a_reject"
    capabilities = FormatCapabilities(filters=True)
    broken = CountsTwice


class SkipsInSilence(LinesParser):
    def parse_messages(self, messages: Messages) -> Parsed:
        parsed = super().parse_messages(messages)
        parsed.rejects, parsed.filtered = [], len(parsed.rejects)
        return parsed


class UndeclaredFilter(Lines):
    fails = "test_every_record_is_a_row_or_a_reject"
    broken = SkipsInSilence


class GoldenMessagesThatAreNot(Lines):
    fails = "test_golden_messages_give_what_they_say"

    def golden_messages(self) -> GoldenMessages:
        return GoldenMessages([GoldenMessage(b"one", [{"text": "two"}])])


class Sulks(LinesParser):
    """Shouts once it has seen something bad."""

    sulking = False

    def parse_messages(self, messages: Messages) -> Parsed:
        if self.sulking:
            messages = replace(messages, values=[value and value.upper() for value in messages.values])
        parsed = super().parse_messages(messages)
        self.sulking |= bool(parsed.rejects)
        return parsed


class WhatCameBeforeMatters(Lines):
    fails = "test_golden_messages_give_the_same_whatever_came_before"

    def golden_messages(self) -> GoldenMessages:
        return GoldenMessages([GoldenMessage(b"one", [{"text": "one"}])], bad=[GoldenMessage(b"\xff", reason="not_text")])

    def golden_parser(self, golden: GoldenMessages) -> Parser:
        return Sulks()

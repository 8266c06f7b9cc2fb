"""What the kit asserts of a format."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast

import pytest

from ddpm_core.errors import DataError
from ddpm_core.plugin import framing
from ddpm_core.plugin.format import Parser, Serializer
from ddpm_core.plugin.specs import BuildContext
from ddpm_core.records import Document, Messages, Parsed, Position
from ddpm_core.testing.compare import plain_rows
from ddpm_core.testing.data import all_types
from ddpm_core.testing.plugin import PluginConformance
from ddpm_core.testing.streams import PieceStream, dribble

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Sample:
    """A document, and what must come out of it.

    Attributes:
        document: Its bytes.
        rows: Its rows, as `to_pylist` gives them; columns that are null may be left out.
        rejects: The records of it that cannot be decoded: (record's number in the document, reason).
        payloads: The same records as messages. None: the document's lines, where the format is framed by lines, else the
            document. Empty: this sample does not make sense as messages.
        error: The reason of the `DataError` that ends it, or an empty string.
    """

    document: bytes
    rows: Sequence[Mapping[str, Any]]
    rejects: Sequence[tuple[int, str]] = ()
    payloads: Sequence[bytes] | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class FormatCapabilities:
    """What your format can do. Tests ask for a capability, never for a name.

    Attributes:
        keeps_neighbours: A record that cannot be decoded is set aside alone. Needs a sample with a bad record between good ones.
        cuts_at_batch_rows: No step holds more rows than `BuildContext.batch_rows`.
        streams: The first step comes before the document has been read to its end. Needs `large_document`.
        filters: Records may disappear by the format's own rules, so that records are more than rows and rejects.
        round_trip: The type families (`TYPE_FAMILIES`) that come back from the serializer and the parser as they went in.
        serializes_messages: `serialize_rows` makes payloads that `parse_messages` reads.
    """

    keeps_neighbours: bool = False
    cuts_at_batch_rows: bool = False
    streams: bool = False
    filters: bool = False
    round_trip: tuple[str, ...] = ()
    serializes_messages: bool = True


@dataclass(slots=True)
class Outcome:
    """All that came out of a document: its steps, and the error that ended it."""

    steps: list[Parsed]
    error: DataError | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for step in self.steps if step.data is not None for row in step.data.to_pylist()]

    @property
    def rejects(self) -> list[tuple[int, str]]:
        """Record's number in the document, and reason."""
        found, base = [], 0
        for step in self.steps:
            found += [(base + reject.index, reject.reason) for reject in step.rejects]
            base += step.records
        return sorted(found)


class FormatConformance(PluginConformance):
    """Inherit it, name your plugin, and give samples. Every test method is one promise of the contract of `Parser`.

    Attributes:
        samples: Documents with their rows. Small; the first should be good from beginning to end.
        capabilities: What your format can do.
        seed: Of everything random.
    """

    kind = "format"
    samples: ClassVar[Sequence[Sample]]
    capabilities: ClassVar[FormatCapabilities] = FormatCapabilities()
    seed: ClassVar[int] = 20_000_101

    def parser(self, context: BuildContext | None = None) -> Parser:
        """A new parser."""
        return cast(Parser, self.made(self.spec().parser, context=context))

    def serializer(self) -> Serializer:
        """A new serializer; the test is skipped for a format that is only read."""
        builder = self.spec().serializer
        if builder is None:
            pytest.skip("this format is only read")
        return cast(Serializer, self.made(builder))

    def large_document(self) -> bytes:
        """A document of more than 12 MB. By default the first sample again and again, which suits formats framed by lines."""
        line = self.samples[0].document.rstrip(b"\n") + b"\n"
        return line * (12_000_000 // len(line) + 1)

    def grown_sample(self) -> Sample | None:
        """The first sample after something was appended to it, for formats whose `resume` says `grows`. None: there is no such thing.

        By default the first sample twice, where that is a document of this format, as it is for lines.
        """
        first = self.samples[0]
        twice = Sample(first.document.rstrip(b"\n") + b"\n" + first.document, [*first.rows, *first.rows])
        whole = self._parse(_stream(twice.document))
        return twice if not whole.error and plain_rows(whole.rows) == plain_rows(twice.rows) else None

    # What is asserted.

    def test_samples_give_their_rows(self) -> None:
        for sample in self.samples:
            _check(sample, self._parse(_stream(sample.document)))

    def test_a_stream_of_five_bytes_at_a_time_gives_the_same_rows(self) -> None:
        for sample in self.samples:
            _check(sample, self._parse(cast(BinaryIO, dribble(sample.document))))
            _check(sample, self._parse(cast(BinaryIO, dribble(sample.document, seekable=False)), seekable=False))

    def test_one_parser_reads_document_after_document(self) -> None:
        parser = self.parser()
        for sample in [*self.samples, *self.samples]:
            _check(sample, self._parse(_stream(sample.document), parser=parser))

    def test_samples_as_messages_give_the_same_rows(self) -> None:
        parser = self.parser()
        for sample in self.samples:
            payloads = self._payloads(sample, parser)
            if payloads and not sample.error:
                parsed = parser.parse_messages(_messages(payloads))
                assert parsed.records == len(payloads), "a message is one record"
                self._check_step(parsed)
                # A document that came as one message lands whole or not at all.
                whole = sample.rejects and sample.payloads is None and type(parser).parse_messages is Parser.parse_messages
                lands = not whole or self._is_cut(parser)
                assert plain_rows(Outcome([parsed]).rows) == plain_rows(sample.rows if lands else [])

    def test_a_message_without_a_value_does_not_cost_its_neighbours(self) -> None:
        parser = self.parser()
        payloads = self._payloads(self.samples[0], parser)
        if not payloads:
            pytest.skip("the first sample has no messages")
        parsed = parser.parse_messages(_messages([None, *payloads, None]))
        self._check_step(parsed)
        assert sorted(reject.index for reject in parsed.rejects) == [0, len(payloads) + 1]
        assert plain_rows(Outcome([parsed]).rows) == plain_rows(self.samples[0].rows)

    def test_no_messages_give_no_rows(self) -> None:
        parsed = self.parser().parse_messages(_messages([]))
        assert (parsed.records, Outcome([parsed]).rows, parsed.rejects) == (0, [], [])

    def test_an_empty_document_gives_no_rows(self) -> None:
        outcome = self._parse(_stream(b""))
        assert outcome.rows == []
        assert outcome.rejects == []

    def test_every_record_is_a_row_or_a_reject(self) -> None:
        for sample in self.samples:
            for step in self._parse(_stream(sample.document)).steps:
                self._check_step(step)

    def test_a_bad_record_does_not_cost_its_neighbours(self) -> None:
        if not self.capabilities.keeps_neighbours:
            pytest.skip("not declared: keeps_neighbours")
        between = [
            sample
            for sample in self.samples
            for record, _ in sample.rejects
            if record > 0 and not sample.error and record < len(sample.rows) + len(sample.rejects) - 1
        ]
        assert between, "keeps_neighbours is declared, and no sample has a bad record between good ones"
        for sample in between:
            _check(sample, self._parse(_stream(sample.document)))

    def test_a_truncated_document_gives_only_its_beginning(self) -> None:
        for sample in self.samples:
            golden = plain_rows(sample.rows)
            for cut in _cuts(len(sample.document)):
                rows = plain_rows(self._parse(_stream(sample.document[:cut])).rows)
                # The last one may have been cut into another valid record: a shorter number, say.
                assert rows[:-1] == golden[: len(rows)][:-1], f"cut after {cut} bytes"
                assert len(rows) <= len(golden) + 1, f"cut after {cut} bytes"

    def test_bytes_of_any_kind_are_no_crash(self) -> None:
        """Only `DataError` and rejects: another exception would stop the run for one bad file."""
        chosen = random.Random(self.seed)  # noqa: S311 - the same in each run
        parser = self.parser()
        for _ in range(20):
            noise = chosen.randbytes(chosen.randrange(1, 400))
            self._parse(_stream(noise), parser=parser)
            self._check_step(parser.parse_messages(_messages([noise, b"\x00"])))
            parser.parse_messages(_messages([b"", b"\n"]))  # Blank: a record or none, as the format sees it.
        for sample in self.samples:
            for _ in range(40):
                damaged = bytearray(sample.document)
                for _ in range(chosen.randrange(1, 4)):
                    damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
                for step in self._parse(_stream(bytes(damaged)), parser=parser).steps:
                    self._check_step(step)

    def test_the_callers_stream_stays_open(self) -> None:
        for data in (self.samples[0].document, self.samples[0].document[: len(self.samples[0].document) // 2], b""):
            stream = _stream(data)
            self._parse(stream)
            assert not stream.closed

    def test_an_abandoned_document_leaves_the_parser_usable(self) -> None:
        parser = self.parser(BuildContext(batch_rows=1, batch_bytes=64))
        sample = self.samples[0]
        steps = iter(parser.parse_document(_document(_stream(sample.document), len(sample.document))))
        next(steps, None)
        cast(Any, steps).close()
        _check(sample, self._parse(_stream(sample.document), parser=parser))

    def test_no_step_has_more_rows_than_allowed(self) -> None:
        if not self.capabilities.cuts_at_batch_rows:
            pytest.skip("not declared: cuts_at_batch_rows")
        for sample in self.samples:
            parser = self.parser(BuildContext(batch_rows=2))
            outcome = self._parse(_stream(sample.document), parser=parser)
            _check(sample, outcome)
            sizes = [step.data.num_rows for step in outcome.steps if step.data is not None]
            assert max(sizes, default=0) <= 2

    def test_a_large_document_is_not_read_at_once(self) -> None:
        if not self.capabilities.streams:
            pytest.skip("not declared: streams")
        data = self.large_document()
        assert len(data) > 12_000_000, "large_document should be larger than 12 MB"
        stream = PieceStream([data])
        steps = iter(self.parser().parse_document(_document(cast(BinaryIO, stream), len(data))))
        step = next(steps)
        assert stream.taken < len(data), "the whole document was read before its first step"
        assert step.data is not None
        context = BuildContext()
        assert step.data.num_rows <= context.batch_rows or step.nbytes <= context.batch_bytes, "the first step is too large"
        cast(Any, steps).close()

    def test_a_killed_run_goes_on_where_any_step_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parser = self.parser(BuildContext(batch_rows=1, batch_bytes=16))
        if not parser.resumable:
            pytest.skip("this format starts again at the beginning")
        monkeypatch.setattr(framing, "BLOCK_BYTES", 4)  # Else a small sample is a single step.
        wholes = [(sample, self._parse(_stream(sample.document), parser=parser)) for sample in self.samples]
        assert any(len(whole.steps) > 1 for _, whole in wholes), "no sample has more than one step: there is nothing to resume at"
        for sample, whole in wholes:
            records = rows = 0
            for step in whole.steps:
                records += step.records
                rows += step.data.num_rows if step.data is not None else 0
                resume = json.loads(json.dumps(step.resume))
                assert resume is not None, "a resumable parser says with each step where the next one starts"
                start = Position(records, {"resume": resume})
                rest = self._parse(_stream(sample.document), start=start, parser=self.parser())
                assert plain_rows(rest.rows) == plain_rows(whole.rows[rows:])
                left = [(record - records, reason) for record, reason in whole.rejects if record >= records]
                assert rest.rejects == left
                assert (rest.error and rest.error.reason) == (whole.error and whole.error.reason)

    def test_a_document_that_grew_goes_on_where_it_ended(self) -> None:
        first, parser = self.samples[0], self.parser()
        steps = self._parse(_stream(first.document), parser=parser).steps
        resume = steps[-1].resume if steps and parser.resumable else None
        grown = self.grown_sample()
        if not (resume and resume.get("grows")) or grown is None:
            pytest.skip("a document of this format that grew is a new document")
        start = Position(sum(step.records for step in steps), {"resume": json.loads(json.dumps(resume))})
        rest = self._parse(_stream(grown.document), start=start)
        assert plain_rows([*Outcome(steps).rows, *rest.rows]) == plain_rows(grown.rows)

    def test_original_bytes_can_be_asked_for_every_record(self) -> None:
        for sample in self.samples:
            for step in self._parse(_stream(sample.document)).steps:
                for record in range(step.records - len(step.rejects)):
                    raw = step.raw(record) if step.raw else None
                    at = step.byte_offset(record) if step.byte_offset else None
                    assert raw is None or isinstance(raw, bytes)
                    assert at is None or 0 <= at <= len(sample.document)

    def test_reasons_are_stable_codes(self) -> None:
        for sample in self.samples:
            outcome = self._parse(_stream(sample.document))
            found = [(r.reason, r.message) for step in outcome.steps for r in step.rejects]
            found += [(outcome.error.reason, outcome.error.message)] if outcome.error else []
            for reason, message in found:
                assert re.fullmatch(r"[a-z][a-z0-9_]*", reason), f"the reason {reason!r} is not in snake case"
                assert message.strip(), "a reject without a message"

    def test_documents_written_are_read_back(self) -> None:
        serializer = self.serializer()
        for data in self._tables():
            out = io.BytesIO()
            writer = serializer.document_writer(out, data.schema)
            writer.write(data.slice(0, 1))
            writer.write(data.slice(1))
            writer.write(data.slice(0, 0))
            writer.close()
            writer.close()
            assert not out.closed, "the writer closed a stream that is not its own"
            assert plain_rows(self._parse(_stream(out.getvalue())).rows) == plain_rows(data.to_pylist())

    def test_a_document_without_rows_is_read_back(self) -> None:
        out = io.BytesIO()
        self.serializer().document_writer(out, self._tables()[0].schema).close()
        assert self._parse(_stream(out.getvalue())).rows == []

    def test_messages_written_are_read_back(self) -> None:
        serializer = self.serializer()
        if not self.capabilities.serializes_messages:
            pytest.skip("not declared: serializes_messages")
        for data in self._tables():
            payloads = serializer.serialize_rows(data)
            assert len(payloads) == data.num_rows, "one payload for each row"
            parsed = self.parser().parse_messages(_messages(payloads))
            assert plain_rows(Outcome([parsed]).rows) == plain_rows(data.to_pylist())

    # How.

    def _parse(
        self,
        stream: BinaryIO,
        *,
        parser: Parser | None = None,
        start: Position | None = None,
        seekable: bool = True,
    ) -> Outcome:
        """The whole document, as the engine reads it: what came before an error stays."""
        parser = parser or self.parser()
        size = stream.seek(0, io.SEEK_END) if seekable else None
        if seekable:
            stream.seek(0)
        outcome = Outcome([])
        try:
            for step in parser.parse_document(_document(stream, size, start)):
                outcome.steps.append(step)
        except DataError as error:
            outcome.error = error
        return outcome

    def _payloads(self, sample: Sample, parser: Parser) -> Sequence[bytes]:
        if sample.payloads is not None:
            return sample.payloads
        if self._is_cut(parser):
            return [line.strip() for line in sample.document.split(b"\n") if line.strip()]
        return [sample.document]

    def _is_cut(self, parser: Parser) -> bool:
        """Whether the base class cuts documents of this format into lines."""
        return type(parser).parse_document is Parser.parse_document and parser.framing == "lines"

    def _tables(self) -> list[pa.RecordBatch]:
        """What is written and read back: the rows of the good samples, and the declared type families."""
        import pyarrow as pa

        tables = [pa.RecordBatch.from_pylist(list(s.rows)) for s in self.samples if s.rows and not s.rejects and not s.error]
        if self.capabilities.round_trip:
            tables.append(all_types(families=self.capabilities.round_trip, seed=self.seed))
        return tables

    def _check_step(self, step: Parsed) -> None:
        """Conservation: every record is accounted for."""
        rows = 0 if step.data is None else step.data.num_rows
        origins = list(range(rows)) if step.origin is None else step.origin.to_pylist()
        assert len(origins) == rows, "origin must have one entry for each row"
        assert step.origin is None or str(step.origin.type) == "int32", "origin must be int32"
        rejected = [reject.index for reject in step.rejects]
        seen = {*origins, *rejected}
        assert seen <= set(range(step.records)), f"rows or rejects point at records beyond the {step.records} of the step"
        if not self.capabilities.filters:
            lost = sorted(set(range(step.records)) - seen)
            assert not lost, f"records {lost[:10]} of the step are neither rows nor rejects"


def _check(sample: Sample, outcome: Outcome) -> None:
    assert plain_rows(outcome.rows) == plain_rows(sample.rows)
    assert outcome.rejects == sorted(sample.rejects)
    assert (outcome.error.reason if outcome.error else "") == sample.error


def _stream(data: bytes) -> BinaryIO:
    return io.BytesIO(data)


def _document(stream: BinaryIO, size: int | None, start: Position | None = None) -> Document:
    return Document("sample", "kit:sample#1", stream, start or Position(0), size)


def _messages(values: Sequence[bytes | None]) -> Messages:
    return Messages(
        values=list(values),
        partitions=["kit/0"] * len(values),
        offsets=list(range(len(values))),
        first={"kit/0": Position(0)},
        next={"kit/0": Position(len(values))},
        nbytes=sum(len(value) for value in values if value),
    )


def _cuts(size: int) -> list[int]:
    """Where to cut: everywhere in a short document, else at 60 places, both ends among them."""
    return list(range(size)) if size <= 60 else sorted({*range(20), *range(size - 20, size), *range(0, size, size // 20)})

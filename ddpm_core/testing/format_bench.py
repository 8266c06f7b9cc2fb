"""What the kit needs of a format's author, and what its assertions of formats share."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, cast

import pytest

from ddpm_core.errors import DataError
from ddpm_core.plugin.format import Parser, Serializer
from ddpm_core.plugin.specs import BuildContext
from ddpm_core.records import Document, Messages, Parsed, Position
from ddpm_core.testing.compare import plain_rows
from ddpm_core.testing.data import all_types
from ddpm_core.testing.plugin import PluginConformance
from ddpm_core.values import dataclass

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
        filters: Records may be left out by the format's own rules, counted in `Parsed.filtered`. Without, none is.
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


class FormatBench(PluginConformance):
    """The format under test and its samples. `FormatConformance` adds what is asserted.

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
        whole = self.parse(as_stream(twice.document))
        return twice if not whole.error and plain_rows(whole.rows) == plain_rows(twice.rows) else None

    def parse(
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

        def steps() -> Iterator[Parsed]:  # A parser may raise at once, too.
            yield from parser.parse_document(as_document(stream, size, start))

        return gather(steps())

    def payloads(self, sample: Sample, parser: Parser) -> Sequence[bytes]:
        """The sample as messages; none where it makes no sense as such."""
        if sample.payloads is not None:
            return sample.payloads
        if self.is_cut(parser):
            return [line.strip() for line in sample.document.split(b"\n") if line.strip()]
        return [sample.document]

    def is_cut(self, parser: Parser) -> bool:
        """Whether the base class cuts documents of this format into lines."""
        return type(parser).parse_document is Parser.parse_document and parser.framing == "lines"

    def tables(self) -> list[pa.RecordBatch]:
        """What is written and read back: the rows of the good samples, and the declared type families."""
        import pyarrow as pa

        tables = [pa.RecordBatch.from_pylist(list(s.rows)) for s in self.samples if s.rows and not s.rejects and not s.error]
        if self.capabilities.round_trip:
            tables.append(all_types(families=self.capabilities.round_trip, seed=self.seed))
        return tables

    def check_messages(self, parsed: Parsed, parser: Parser) -> None:
        """As `check_step`. A document that came as a message may be empty without its format's filtering anything."""
        documents = (
            type(parser).parse_messages is Parser.parse_messages and type(parser).parse_document is not Parser.parse_document
        )
        self.check_step(parsed, filters=documents or self.capabilities.filters)

    def check_step(self, step: Parsed, *, filters: bool | None = None) -> None:
        """Conservation: every record is accounted for."""
        rows = 0 if step.data is None else step.data.num_rows
        origins = list(range(rows)) if step.origin is None else step.origin.to_pylist()
        assert len(origins) == rows, "origin must have one entry for each row"
        assert step.origin is None or str(step.origin.type) == "int32", "origin must be int32"
        rejected = [reject.index for reject in step.rejects]
        seen = {*origins, *rejected}
        assert seen <= set(range(step.records)), f"rows or rejects point at records beyond the {step.records} of the step"
        lost = step.records - len(seen)
        assert lost == step.filtered, (
            f"{lost} records of the step are neither rows nor rejects, and {step.filtered} count as filtered"
        )
        assert (self.capabilities.filters if filters is None else filters) or not lost, "not declared: filters"

    def sample_of(self, document: bytes) -> Sample | None:
        """The sample with this document, if there is one."""
        return next((sample for sample in self.samples if sample.document == document), None)


def check_sample(sample: Sample, outcome: Outcome) -> None:
    assert plain_rows(outcome.rows) == plain_rows(sample.rows)
    assert outcome.rejects == sorted(sample.rejects)
    assert (outcome.error.reason if outcome.error else "") == sample.error


def as_stream(data: bytes) -> BinaryIO:
    return io.BytesIO(data)


def as_document(stream: BinaryIO, size: int | None, start: Position | None = None) -> Document:
    return Document("sample", "kit:sample#1", stream, start or Position(0), size)


def as_messages(values: Sequence[bytes | None]) -> Messages:
    return Messages(
        values=list(values),
        partitions=["kit/0"] * len(values),
        offsets=list(range(len(values))),
        first={"kit/0": Position(0)},
        next={"kit/0": Position(len(values))},
        nbytes=sum(len(value) for value in values if value),
    )


def gather(steps: Iterator[Parsed], *, at_most: int | None = None) -> Outcome:
    """The next steps of a document, or all that are left of it: what came before an error stays."""
    outcome = Outcome([])
    try:
        for step in islice(steps, at_most):
            outcome.steps.append(step)
            if step.valid and step.data is not None:  # Sinks believe it.
                step.data.validate(full=True)
    except DataError as error:
        outcome.error = error
    return outcome

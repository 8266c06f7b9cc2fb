"""The reference plugins. Short, and right in everything that the kit asserts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, SecretStr

from ddpm_core import (
    Batch,
    BuildContext,
    ConfigError,
    DocumentWriter,
    Messages,
    Parsed,
    Parser,
    PluginOptions,
    Processed,
    Processor,
    Reject,
    Serializer,
)
from ddpm_core.testing import ListRows, ListSource, MemorySink, MemoryStore


class Options(PluginOptions):
    encoding: str = Field(default="utf-8", description="How the text is encoded")
    password: SecretStr = Field(default=SecretStr(""), description="Not needed; here to be masked")


class LinesParser(Parser):
    def parse_messages(self, messages: Messages) -> Parsed:
        texts, origin, rejects = [], [], []
        for number, value in enumerate(messages.values):
            try:
                texts.append(value.decode())  # type: ignore[union-attr]
                origin.append(number)
            except (AttributeError, ValueError) as error:
                rejects.append(Reject(number, "not_text", str(error), raw=value))
        return Parsed(
            data=pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.string())}),
            records=len(messages),
            rejects=rejects,
            origin=pa.array(origin, pa.int32()),
            raw=messages.values.__getitem__,
        )


class LinesWriter(DocumentWriter):
    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream

    def write(self, data: pa.RecordBatch) -> None:
        self.stream.writelines(text.encode() + b"\n" for text in data["text"].to_pylist())

    def close(self) -> None:
        pass


class LinesSerializer(Serializer):
    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        return [text.encode() for text in data["text"].to_pylist()]

    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> DocumentWriter:
        return LinesWriter(stream)


def build_parser(options: Options, context: BuildContext) -> Parser:
    return LinesParser()


def build_serializer(options: Options, context: BuildContext) -> Serializer:
    return LinesSerializer()


class ListOptions(PluginOptions):
    documents: dict[str, bytes] = Field(default={}, description="Name of a document to its bytes")
    messages: dict[str, list[bytes | None]] = Field(default={}, description="Partition to its payloads")
    there: bool = Field(default=True, description="Whether there is anything")


def build_source(options: ListOptions, context: BuildContext) -> ListSource:
    if not options.there:
        raise ConfigError("there is nothing")
    documents = ListSource.of_documents(options.documents).items
    return ListSource(documents, messages=options.messages, per_read=2)


def documents(options: ListOptions) -> list[str]:
    return list(options.documents)


class RowsOptions(PluginOptions):
    tables: dict[str, list[dict[str, Any]]] = Field(default={}, description="Name to rows")
    lasting: bool = Field(default=False, description="Whether more rows may come")
    atomic: bool = Field(default=False, description="Whether each lands as a whole")


def build_rows(options: RowsOptions, context: BuildContext) -> ListSource:
    more = {"lasting": options.lasting, "atomic": options.atomic}
    return ListSource([ListRows(name, rows, **more) for name, rows in options.tables.items()])


class Doubler(Processor):
    def process(self, batch: Batch) -> Processed:
        negative = pc.less(batch.data["n"], 0)
        rejects = [Reject(row, "negative", "the number is negative") for row in pc.indices_nonzero(negative).to_pylist()]
        good = batch.take(pc.indices_nonzero(pc.fill_null(pc.invert(negative), True)))  # What is null is not negative.
        doubled = pc.multiply(good.data["n"], 2)
        return Processed(good.replace(good.data.append_column("twice", doubled)), rejects)


def build_processor(options: PluginOptions, context: BuildContext) -> Processor:
    return Doubler()


class MemoryOptions(PluginOptions):
    store: int = Field(description="Which store: the key in STORES")
    gather: int = Field(default=0, ge=0, description="How many rows fill a round")
    format: str = Field(default="", description="A format to write; here it is only asked for")


STORES: dict[int, MemoryStore] = {}


class ReferenceSink(MemorySink):
    """The kit's double with a column type that never changes: a number in `id` stays a number. A round may be gathered."""

    gather = 0

    @property
    def full(self) -> bool:
        return sum(data.num_rows for data in self._round) >= self.gather

    def write(self, batch: Batch) -> list[Reject]:
        if "id" not in batch.data.schema.names or batch.data.schema.field("id").type != pa.string():
            return super().write(batch)
        numbers: Sequence[Any] = batch.data["id"].to_pylist()
        good = [row for row, number in enumerate(numbers) if number.isdigit()]
        fitting = batch.data.take(good)
        super().write(Batch(fitting.set_column(0, "id", fitting["id"].cast(pa.int64()))))
        return [Reject(row, "cast_failed", f"{numbers[row]!r} is no number") for row in range(len(numbers)) if row not in good]


def build_sink(options: MemoryOptions, context: BuildContext) -> MemorySink:
    if options.format:
        context.output(options.format, {})
    sink = ReferenceSink(STORES[options.store])
    sink.gather = options.gather
    return sink

"""The parser of the format `csv`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa

from ddpm_core import BuildContext, Document, Messages, Parsed, Parser, Reject
from ddpm_csv.blocks import BlockCutter
from ddpm_csv.cells import CellReader
from ddpm_csv.columns import Columns
from ddpm_csv.dialect import Dialect
from ddpm_csv.layout import find_layout, recalled
from ddpm_csv.messages import MessageReader
from ddpm_csv.options import CsvOptions
from ddpm_csv.source_text import open_source

SAMPLE_BYTES = 2 << 20
"""How much of a document decides the types of its columns."""


class CsvParser(Parser):
    """Reads CSV, by the rules that this plugin's README writes down.

    A document may grow by whole records and be continued.
    """

    resumable: ClassVar[bool] = True
    empty_message: ClassVar[str] = "the message holds a header at most; where each message is a record, set header to false"

    def __init__(self, options: CsvOptions, context: BuildContext) -> None:
        self.max_record_bytes = options.max_record_bytes
        self._options = options
        self._batch_rows = context.batch_rows
        self._batch_bytes = context.batch_bytes
        self._columns = Columns(options.nulls)
        self._messages = MessageReader(options, self._columns)
        if context.columns is not None:
            self._columns.expect(context.columns)

    def expect(self, schema: pa.Schema) -> None:
        self._columns.expect(schema)

    def parse_messages(self, messages: Messages) -> Parsed:
        """With `header`, each message is a document with a header of its own; without, it is one record or several."""
        return self._messages_as_documents(messages) if self._options.header else self._messages.read(messages)

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        resume = document.start.detail.get("resume", {})
        at = int(resume.get("byte", 0))
        if at:
            document.stream.seek(at)
        source = open_source(document.stream, at, str(resume.get("codec", self._options.encoding)))
        cutter = BlockCutter(
            source,
            Dialect.of(self._options, b","),
            max_record_bytes=self.max_record_bytes,
            rows=self._batch_rows,
            size=self._batch_bytes,
        )
        layout = recalled(resume, self._options) if at else find_layout(cutter, self._options, document.name)
        if layout is None:
            return
        cutter.use(layout.dialect)
        self._columns.recall(resume.get("types", {}))
        known = {
            **layout.remembered(),
            "grows": True,
            **({"codec": source.codec} if source.codec != self._options.encoding else {}),
        }
        if resume.get("open"):
            yield from self._rest_of_line(cutter, known)
        reader = CellReader(layout.names, self._options.nulls, self._options.quoted_nulls, self.max_record_bytes)
        if not self._columns.knows(layout.names) and (sample := cutter.peek(SAMPLE_BYTES)) is not None:
            self._columns.learn(reader.read(sample), layout.names)
        for block in cutter.blocks():
            parsed = self._columns.step(block, reader)
            parsed.resume = {**known, "byte": block.end, "types": self._columns.remembered(layout.names)}
            if not block.ends_line:
                parsed.resume["open"] = True
            yield parsed

    def _rest_of_line(self, cutter: BlockCutter, known: dict[str, Any]) -> Iterator[Parsed]:
        """What was added to a last line that had no line end and has been taken for a record already."""
        start = cutter.at
        added = cutter.skip_open_line()
        if added:
            message = "the line was taken for complete when the document ended in it; this was added to it later"
            reject = Reject(0, "line_continued", message, raw=added, byte_offset=start)
            types = self._columns.remembered(known["names"])
            yield Parsed(None, 1, [reject], resume={**known, "byte": cutter.at, "types": types}, nbytes=cutter.at - start)


def build(options: CsvOptions, context: BuildContext) -> CsvParser:
    """The parser for a run."""
    return CsvParser(options, context)

"""The parser of documents and messages as they are."""

from __future__ import annotations

from typing import ClassVar, Literal

import pyarrow as pa

from ddpm_core import BuildContext, Messages, Parsed, Parser
from ddpm_text.columns import not_text, origin_of, usable
from ddpm_text.options import RawOptions


def build(options: RawOptions, context: BuildContext) -> RawParser:
    """The parser for a run."""
    return RawParser(options)


class RawParser(Parser):
    """A document is one row, a message too. An empty document has no row; an empty message has one."""

    framing: ClassVar[Literal["lines", "whole"]] = "whole"

    def __init__(self, options: RawOptions) -> None:
        self.max_record_bytes = options.max_record_bytes
        self._text = options.text
        self._column = options.column

    def expect(self, schema: pa.Schema) -> None:
        """Nothing to learn: bytes are bytes."""

    def parse_messages(self, messages: Messages) -> Parsed:
        values, kept, rejects = usable(messages, self.max_record_bytes)
        if self._text:
            indexes = list(range(len(values))) if kept is None else kept
            bad = {i: r for i, v in zip(indexes, values, strict=True) if (r := not_text(v, "utf-8", i))}
            rejects = sorted([*rejects, *bad.values()], key=lambda reject: reject.index)
            values = [value for index, value in zip(indexes, values, strict=True) if index not in bad]
            kept = [index for index in indexes if index not in bad]
        column = pa.array(values, pa.binary())
        if isinstance(column, pa.ChunkedArray):  # More than 2 GB.
            column = pa.array(values, pa.large_binary())
        if self._text:
            column = column.cast(pa.string() if pa.types.is_binary(column.type) else pa.large_string())
        return Parsed(
            pa.RecordBatch.from_arrays([column], names=[self._column]) if values else None,
            len(messages),
            rejects,
            origin_of(kept, len(messages)),
            raw=messages.values.__getitem__,
            nbytes=messages.nbytes,
        )

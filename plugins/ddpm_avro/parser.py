"""Reads containers block by block; what messages are says `messages`."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

import pyarrow as pa

from ddpm_avro.container import Block, Container, Header
from ddpm_avro.decoder import BlockDecoder, Decoded, RecordBytes
from ddpm_avro.limits import Shape
from ddpm_avro.messages import MessageReader
from ddpm_avro.options import AvroOptions
from ddpm_avro.schemas import Schemas
from ddpm_core import BuildContext, DataError, Document, Messages, Parsed, Parser, Reject, WholeMessages

_KNOWN_SCHEMAS = 64

_STEP_BYTES = 16 << 20
"""Of rows in memory. A byte of a block may become eight or more, and who gets a step copies it."""


def build(options: AvroOptions, context: BuildContext) -> AvroParser:
    """A parser for one run."""
    return AvroParser(options, context)


class AvroParser(Parser):
    """Documents are containers; so is each message, unless the option `framing` says that it is a record.

    A step holds several small blocks, or a part of a large one. `resume` is `{"byte": where the next block begins}`, within a
    large block `{"byte": where it begins, "skip": records of it done}`; the header is read again from the beginning.
    """

    resumable = True
    self_describing = True

    def __init__(self, options: AvroOptions, context: BuildContext) -> None:
        self._options = options
        self._context = context
        self._decoders: dict[bytes, BlockDecoder] = {}
        self._whole = WholeMessages(self, options.max_message_bytes)
        self._messages = None if options.framed == "container" else MessageReader(options, Schemas(options))

    def expect(self, schema: pa.Schema) -> None:
        """Not needed: a container has its own schema, and messages have theirs."""

    def parse_messages(self, messages: Messages) -> Parsed:
        if self._messages is not None:
            return self._messages.read(messages)
        return self._messages_of_containers(messages)

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        container = Container(document, self._options.max_block_bytes)
        decoder = self._decoder(container.header, document)
        skip = int(document.start.detail.get("resume", {}).get("skip", 0))
        for blocks in self._groups(container, Shape.of(decoder.node), alone=skip > 0):
            yield from self._steps(decoder, container.header, blocks, skip)
            skip = 0

    def _messages_of_containers(self, messages: Messages) -> Parsed:
        parsed = self._whole.parse_messages(messages)
        if self._options.tombstones == "skip":
            kept = [reject for reject in parsed.rejects if messages.values[reject.index] is not None]
            parsed.filtered += len(parsed.rejects) - len(kept)
            parsed.rejects = kept
        return parsed

    def _decoder(self, header: Header, document: Document) -> BlockDecoder:
        decoder = self._decoders.get(header.schema)
        if decoder is None:
            try:
                decoder = BlockDecoder(
                    header.schema, max_depth=self._options.max_depth, max_record_bytes=self._options.max_record_bytes
                )
            except DataError as error:
                raise DataError(f"{document.name}: {error.message}", reason=error.reason, hint=error.hint) from error
            if len(self._decoders) >= _KNOWN_SCHEMAS:
                self._decoders.clear()
            self._decoders[header.schema] = decoder
        return decoder

    def _groups(self, container: Container, shape: Shape, *, alone: bool) -> Iterator[list[Block]]:
        """Blocks that make one step together. `alone`: the first one is by itself."""
        group: list[Block] = []
        rows = size = 0
        try:
            for block in container.blocks(shape):
                full = rows + block.count > self._context.batch_rows or size + len(block.data) > self._context.batch_bytes
                if group and (full or alone):
                    alone = False
                    yield group
                    group, rows, size = [], 0, 0
                group.append(block)
                rows += block.count
                size += len(block.data)
        except DataError:
            if group:
                yield group
            raise
        if group:
            yield group

    def _steps(self, decoder: BlockDecoder, header: Header, blocks: list[Block], skip: int) -> Iterator[Parsed]:
        decoded = decoder.decode(header, blocks)
        records = RecordBytes(decoder.reader, header, blocks)
        first, last = blocks[0], blocks[-1]
        at_once = max(min(self._context.batch_rows, decoded.records * _STEP_BYTES // max(decoded.data.nbytes, 1)), 1)
        while skip < decoded.records:
            end = min(skip + at_once, decoded.records)
            whole = end == decoded.records
            step = _step(decoded, records, skip, end)
            step.resume = {"byte": last.end, "grows": True} if whole else {"byte": first.at, "skip": end, "grows": True}
            step.nbytes = (last.end - first.at) * (end - skip) // decoded.records
            yield step
            skip = end


def _step(decoded: Decoded, records: RecordBytes, start: int, end: int) -> Parsed:
    """The records from `start` up to `end` as a step."""
    rejects = [
        Reject(r.index - start, r.reason, r.message, r.raw, r.byte_offset) for r in decoded.rejects if start <= r.index < end
    ]
    data, origin = decoded.data, None
    if decoded.kept is None:
        data = data.slice(start, end - start)
    else:
        low, high = bisect_left(decoded.kept, start), bisect_left(decoded.kept, end)
        data = data.slice(low, high - low)
        origin = pa.array([record - start for record in decoded.kept[low:high]], pa.int32())
    return Parsed(
        data=data if data.num_rows else None,
        records=end - start,
        rejects=rejects,
        origin=origin,
        raw=lambda record: records.container(start + record),
        byte_offset=lambda record: records.block_of(start + record).at,
    )

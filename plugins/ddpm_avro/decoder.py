"""Blocks to rows: the fastest decoder that knows the schema, and on any doubt the one that finds the culprits.

1. pyruhvro, for schemas on its list: all blocks in one call.
2. fastavro, for all others: each block in one call.
3. `datum.DatumReader`, for one block that either of them refused: record by record.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import accumulate
from operator import itemgetter
from typing import Any, cast

import fastavro
import pyarrow as pa
import pyarrow.compute as pc
import pyruhvro

from ddpm_avro import physical
from ddpm_avro.arrow_schema import arrow_schema
from ddpm_avro.container import Block, Header, encode_long
from ddpm_avro.datum import DatumReader, LostError
from ddpm_avro.logical import Bad, finish, finish_fields
from ddpm_avro.schema import read_schema
from ddpm_core import Reject, large_rows

_SENTINEL = random.SystemRandom().random()  # Unknown to who writes files, so that no file can imitate it.
_UNCOUNTED_BYTES = 4 << 20
"""A block that is larger has its items counted, where each may take a hundred times more in memory than in the block."""

LEFT_OVER = b"\x80"
"""As a byte too many at the end it would melt into the zero behind it: 80 00 is a zero too, in the encoding of numbers."""

_LAST = itemgetter(slice(-1, None))
_LONG_NUMBER = re.compile(rb"[\x80-\xff]{10}")
_ONE = encode_long(1)
_END = b"\x00" + struct.pack("<d", _SENTINEL)


def _some_left_over(pieces: Sequence[bytes]) -> bool:
    return LEFT_OVER in set(map(_LAST, pieces))  # Hashes of single bytes are kept, so this is quicker than to compare each.


class DoubtError(Exception):
    """A fast decoder refused a block, or did not use all of it."""


@dataclass(slots=True)
class Decoded:
    """What became of some blocks. `kept`: row -> record, or None when every record is a row."""

    data: pa.RecordBatch
    records: int
    rejects: list[Reject] = field(default_factory=list)
    kept: list[int] | None = None


class RecordBytes:
    """Finds the bytes of single records in blocks, when somebody asks."""

    def __init__(self, reader: DatumReader, header: Header, blocks: Sequence[Block]) -> None:
        self._reader = reader
        self._header = header
        self._blocks = blocks
        self._ends = list(accumulate(block.count for block in blocks))
        self._bounds: dict[int, list[tuple[int, int]]] = {}

    def block_of(self, record: int) -> Block:
        """The block that holds a record."""
        return self._blocks[self._which(record)]

    def container(self, record: int) -> bytes | None:
        """A complete container of one record, which this plugin's parser reads again; None when its bytes cannot be found."""
        which = self._which(record)
        block = self._blocks[which]
        if which not in self._bounds:
            self._bounds[which] = self._find(block)
        bounds, index = self._bounds[which], record - self._ends[which] + block.count
        if index >= len(bounds):
            return None
        start, end = bounds[index]
        return self._header.container(1, block.data[start:end])

    def _which(self, record: int) -> int:
        return next(i for i, end in enumerate(self._ends) if record < end)

    def _find(self, block: Block) -> list[tuple[int, int]]:
        if block.count == 1 and not block.problem:  # However many items it has.
            return [(0, len(block.data))]
        bounds: list[tuple[int, int]] = []
        if not block.problem:
            with suppress(LostError):  # Those found before are what there is.
                bounds.extend((datum.start, datum.end) for datum in self._reader.read(block.data, block.count))
        return bounds


class BlockDecoder:
    """Decodes blocks of one schema."""

    def __init__(
        self, schema: bytes, *, max_depth: int = 128, max_record_bytes: int = 1 << 30, references: Sequence[bytes] = ()
    ) -> None:
        self._max_record_bytes = max_record_bytes
        self.node = read_schema(schema, max_depth, references)
        self.schema = arrow_schema(self.node)
        self.reader = DatumReader(self.node)
        # Only pyruhvro makes no Python object of an item; then `logical` makes one of each value of a union or text of a uuid.
        lean = self._ruhvro_reads_all(physical.ruhvro_schema(self.node))
        self._counted_from = max_record_bytes if lean else min(max_record_bytes, _UNCOUNTED_BYTES)
        self._none = pa.array([], physical.arrow_type(self.node))
        self._ruhvro = physical.ruhvro_schema(self.node)
        self._fastavro = None if physical.has_weightless(self.node) else physical.fastavro_schema(self.node)

    def _ruhvro_reads_all(self, schema: str | None) -> bool:
        costly = any(n.kind in ("union", "map") or n.logical in ("uuid", "duration", "decimal") for n in self.node.walk())
        held = any(n.kind in ("array", "map") for n in self.node.walk())
        return not held or (schema is not None and not costly)

    def decode(self, header: Header, blocks: Sequence[Block]) -> Decoded:
        """All records of these blocks, in order: rows, or rejects."""
        records = RecordBytes(self.reader, header, blocks)
        try:
            values = self.fast(blocks)
        except DoubtError:
            if len(blocks) > 1:
                return self._joined([self.decode(header, [block]) for block in blocks])
            return self._one_by_one(header, blocks[0], records)
        return self._finished(values, sum(block.count for block in blocks), None, [], records)

    def fast(self, blocks: Sequence[Block]) -> pa.Array:
        """What the blocks hold, undistinguished by logical types.

        Raises:
            DoubtError: Something is wrong with at least one block.
        """
        filled = [block for block in blocks if block.count or block.data]
        if not all(block.count and not block.problem for block in filled):
            raise DoubtError("a block without records, or one that could not be decompressed")
        if not filled:
            return self._none
        return self.fast_pieces([block.count for block in filled], [block.data for block in filled])

    def are_some_doubtful(self, pieces: Sequence[bytes]) -> bool:
        """Whether `is_doubtful` is true of any; mostly quicker than to ask for each."""
        return _some_left_over(pieces) if self._ruhvro else any(map(self.is_doubtful, pieces))

    @property
    def is_fast(self) -> bool:
        """Whether a fast decoder knows the schema at all."""
        return bool(self._ruhvro or self._fastavro)

    def is_doubtful(self, piece: bytes) -> bool:
        """Whether this is a piece that no fast decoder takes, or should."""
        # fastavro takes numbers of any length, and keeps their last 64 bits.
        return piece.endswith(LEFT_OVER) or (not self._ruhvro and _LONG_NUMBER.search(piece) is not None)

    def fast_pieces(self, counts: Sequence[int], pieces: Sequence[bytes]) -> pa.Array:
        """What these bytes hold, undistinguished by logical types: so many records, at least one, in each piece.

        Raises:
            DoubtError: Something is wrong with at least one piece.
        """
        if max(map(len, pieces)) > self._counted_from:
            raise DoubtError("a block that may have a record, or a number of items, that is too large")
        if _some_left_over(pieces):
            raise DoubtError("a last byte that may be left over")
        if self._ruhvro:
            return self._by_ruhvro(counts, pieces)
        if self._fastavro:
            return self._by_fastavro(counts, pieces, self._fastavro)
        raise DoubtError("no fast decoder counts items that take no bytes")

    def _by_ruhvro(self, counts: Sequence[int], pieces: Sequence[bytes]) -> pa.Array:
        # A block's bytes between its count and a zero are the encoding of an array.
        if max(counts) == 1:
            payloads = [_ONE + piece + _END for piece in pieces]
        else:
            payloads = [encode_long(count) + piece + _END for count, piece in zip(counts, pieces, strict=True)]
        try:
            decoded = pa.record_batch(pyruhvro.deserialize_array(payloads, self._ruhvro))
        except BaseException as error:
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise DoubtError(str(error)) from error
            raise
        rows, end = decoded.columns
        if not pc.list_value_length(rows).equals(pa.array(counts, pa.int32())) or not pc.all(pc.equal(end, _SENTINEL)).as_py():
            raise DoubtError("bytes are left over")
        try:
            physical.refuse_false_text(self.node, rows.values)
        except pa.ArrowInvalid as error:
            raise DoubtError(str(error)) from error
        return rows.values

    def _by_fastavro(self, counts: Sequence[int], pieces: Sequence[bytes], schema: dict[str, Any]) -> pa.Array:
        rows: list[Any] = []
        for count, piece in zip(counts, pieces, strict=True):
            stream = BytesIO(encode_long(count) + piece + b"\x00")
            try:
                rows += cast("list[Any]", fastavro.schemaless_reader(stream, schema, None))
            except Exception as error:
                raise DoubtError(str(error)) from error
            if stream.read(1):
                raise DoubtError("bytes are left over")
        if len(rows) != sum(counts):
            raise DoubtError("bytes are left over")
        try:
            return physical.to_arrow(self.node, rows)
        except KeyError as error:
            raise DoubtError(str(error)) from error

    def _one_by_one(self, header: Header, block: Block, records: RecordBytes) -> Decoded:
        if block.problem:
            raw = header.container_of_stored(block.count, block.data)
            return self._finished(self._none, block.count, [], _all(block, 0, "avro_invalid", block.problem, raw), records)
        rows: list[Any] = []
        kept: list[int] = []
        rejects: list[Reject] = []
        end = 0
        try:
            for index, datum in enumerate(self.reader.read(block.data, block.count)):
                end = datum.end
                if end - datum.start > self._max_record_bytes:
                    what = f"the record has {end - datum.start:,} bytes, more than the {self._max_record_bytes:,} allowed"
                    datum.problem = ("too_large", what)
                if datum.problem:
                    reason, message = datum.problem
                    raw = header.container(1, block.data[datum.start : end])
                    rejects.append(Reject(index, reason, message, raw, block.at))
                else:
                    rows.append(datum.value)
                    kept.append(index)
        except LostError as lost:
            done = len(kept) + len(rejects)
            rest = header.container(block.count - done, block.data[end:])
            rejects += _all(block, done, lost.reason, lost.message, rest)
        else:
            if end < len(block.data):  # Which record took too few bytes cannot be known, so none of them is believed.
                what = f"{len(block.data) - end:,} bytes are left over after the last of {block.count:,} records"
                whole = header.container(block.count, block.data)
                return self._finished(self._none, block.count, [], _all(block, 0, "trailing_bytes", what, whole), records)
        return self._finished(physical.to_arrow(self.node, rows), block.count, kept, rejects, records)

    def _finished(
        self, values: pa.Array, count: int, kept: list[int] | None, rejects: list[Reject], records: RecordBytes
    ) -> Decoded:
        """The rows with their real types, without those that have none."""
        data, bad = self.rows(values)
        if bad:
            rows = kept if kept is not None else range(count)
            for row, (reason, message) in bad.items():
                record = rows[row]
                rejects.append(Reject(record, reason, message, records.container(record), records.block_of(record).at))
            kept = [record for row, record in enumerate(rows) if row not in bad]
            data = data.filter(pa.array([row not in bad for row in range(data.num_rows)]))
        rejects.sort(key=lambda reject: reject.index)
        return Decoded(data, count, rejects, kept if len(rejects) else None)

    def rows(self, values: pa.Array) -> tuple[pa.RecordBatch, Bad]:
        """What a decoder made as rows with their real types, and which of them are bad; those are still among them."""
        columns, bad = self._columns(values)
        if columns:
            values = pa.StructArray.from_arrays(columns, fields=list(self.schema))
        data = pa.RecordBatch.from_struct_array(values)
        for row, message in large_rows(data, self._max_record_bytes):
            bad.setdefault(row, ("too_large", message))
        return data, bad

    def _columns(self, values: pa.Array) -> tuple[list[pa.Array], Bad]:
        if self.node.kind == "record":
            return finish_fields(self.node, values)
        column, bad = finish(self.node, values)
        return [column], bad

    def _joined(self, parts: list[Decoded]) -> Decoded:
        rejects: list[Reject] = []
        kept: list[int] = []
        start = 0
        for part in parts:
            for reject in part.rejects:
                reject.index += start
            rejects += part.rejects
            kept += range(start, start + part.records) if part.kept is None else [start + record for record in part.kept]
            start += part.records
        return Decoded(pa.concat_batches([part.data for part in parts]), start, rejects, kept if rejects else None)


def _all(block: Block, first: int, reason: str, message: str, raw: bytes) -> list[Reject]:
    """Rejects for all records of a block from `first` on, when their ends cannot be found. The first one has the bytes of all."""
    where = f"in the block at byte {block.at:,}, from its record {first:,} on"
    rejects = [Reject(first, reason, f"{message} ({where})", raw, block.at)]
    more = f"lost with record {first:,} of the block at byte {block.at:,}, whose dead letter has the bytes of both"
    rejects += [Reject(index, reason, more, b"", block.at) for index in range(first + 1, block.count)]
    return rejects

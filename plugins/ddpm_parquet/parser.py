"""The parser of Parquet files."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

import pyarrow as pa

from ddpm_core import BuildContext, DataError, Document, Messages, Parsed, Parser, WholeMessages
from ddpm_parquet.chunks import expanded
from ddpm_parquet.errors import AGAIN, translated
from ddpm_parquet.full_reads import FullReads
from ddpm_parquet.magic import check
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.pacing import Pacer
from ddpm_parquet.reader import FileMetaData, ParquetReader, open_reader
from ddpm_parquet.steps import gathered
from ddpm_parquet.validity import set_aside

_BUFFER_BYTES = 64 << 10
"""Read at once from each column. With 0, pyarrow holds whole column chunks: 224 MB against 44 MB for a row group of 190 MB."""


def build(options: ParquetOptions, context: BuildContext) -> ParquetParser:
    """The parser that these options describe."""
    return ParquetParser(options, context)


class ParquetParser(Parser):
    """Reads row group after row group, in steps that fit into memory.

    Types come as pyarrow reads them, uuid and json as their Arrow extension types. INT96 timestamps come in microseconds: in
    nanoseconds, years beyond 2262 would silently become others. Rows have no original bytes of their own.

    A step's `resume` is `{"row_group": n, "row": r, "unpacked": b}`: the next row is the r-th of row group n, both from 0, and
    those before it had b bytes in memory. A file cannot grow.
    """

    resumable = True
    self_describing = True

    def __init__(self, options: ParquetOptions, context: BuildContext) -> None:
        self._options = options
        self._context = context
        self._messages = WholeMessages(self, options.max_message_bytes)

    def expect(self, schema: pa.Schema) -> None:
        """Nothing to learn: a Parquet file says what its columns are."""

    def parse_messages(self, messages: Messages) -> Parsed:
        return self._messages.parse_messages(messages)

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        stream = document.seekable()
        try:
            whole = isinstance(stream, io.BufferedReader | io.BufferedRandom | io.BytesIO)
            yield from self._steps(document, stream if whole else cast("BinaryIO", FullReads(stream)))
        finally:
            if stream is not document.stream:
                stream.close()

    def _steps(self, document: Document, stream: BinaryIO) -> Iterator[Parsed]:
        name = document.name
        reader = _open(name, stream, self._options.max_depth)
        metadata = reader.metadata
        pacer = Pacer(name, stream, metadata, self._options, self._context)
        if not metadata.num_columns:
            if metadata.num_rows:
                raise DataError(f"{name} has rows and no columns", reason="parquet_invalid", hint=AGAIN)
            return  # pyarrow may divide by zero in row groups without columns, which ends the process.
        with translated(name):
            for number in range(metadata.num_row_groups):
                _meet_damage(reader, number)
            needed, in_file = expanded(metadata)
            pacer.refuse_expansion(needed, in_file)
        group, row = _start(document, metadata)
        done = document.start.offset
        unpacked = int(document.start.detail.get("resume", {}).get("unpacked", 0))
        for number in range(group, metadata.num_row_groups):
            where = f" in row group {number + 1}, after record {done:,}"
            with translated(name, where):
                promised = metadata.row_group(number).num_rows
                if promised < 0:
                    raise _other_count(name, number, row, promised)
                stored = sum(metadata.row_group(number).column(n).total_compressed_size for n in range(metadata.num_columns))
                at_once = pacer.rows_at_once(number)
                batches = reader.iter_batches(at_once, [number], None, False)
            found = _from_row(_translated_each(name, batches, number + 1, done - row), row)
            for batch in gathered(
                found, self._context.batch_rows, min(self._context.batch_bytes, self._options.max_step_bytes // 2)
            ):
                unpacked += batch.nbytes
                pacer.refuse_expansion(unpacked, in_file)
                row += batch.num_rows
                done += batch.num_rows
                with translated(name, where):
                    data, origin, rejects = set_aside(batch, self._options.max_record_bytes)
                last = row >= promised
                yield Parsed(
                    data=data,
                    records=batch.num_rows,
                    rejects=rejects,
                    origin=origin,
                    valid=True,
                    resume={
                        "row_group": number + 1 if last else number,
                        "row": 0 if last else row,
                        "unpacked": unpacked,
                    },
                    nbytes=stored * row // promised - stored * (row - batch.num_rows) // promised if promised > 0 else 0,
                )
            if row != promised:
                raise _other_count(name, number, row, promised)
            row = 0


def _other_count(name: str, group: int, rows: int, promised: int) -> DataError:
    return DataError(
        f"{name} is damaged: row group {group + 1} has {rows:,} rows, and the footer says {promised:,}",
        reason="parquet_invalid",
        hint=AGAIN,
    )


def _open(name: str, stream: BinaryIO, max_depth: int) -> ParquetReader:
    with translated(name, max_depth=max_depth):
        check(name, stream)
        reader = open_reader(stream, buffer_size=_BUFFER_BYTES, coerce_int96_timestamp_unit="us", schema_depth_limit=max_depth)
        schema = reader.schema_arrow
        _refuse_duplicates(name, schema.names, "")
        for field in schema:
            _refuse_duplicates_within(name, field.type, field.name)
        return reader


def _refuse_duplicates(name: str, columns: Iterable[str], inside: str) -> None:
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise DataError(
            f"{name} has more than one column {twice[0]!r}{inside}",
            reason="duplicate_column",
            hint="Give each its own name where the file is made.",
        )


def _refuse_duplicates_within(name: str, kind: pa.DataType, column: str) -> None:
    if pa.types.is_struct(kind):
        _refuse_duplicates(name, [field.name for field in kind], f" within column {column!r}")
    for number in range(kind.num_fields):
        _refuse_duplicates_within(name, kind.field(number).type, column)


def _meet_damage(reader: ParquetReader, group: int) -> None:
    """Let the reader set itself up for a row group and read nothing.

    A footer whose column facts contradict each other ends the process when it is asked for them (`metadata.row_group(g).column(n)`
    has no handler for C++ exceptions in pyarrow 26). The reader meets the same contradictions first, and raises.
    """
    next(reader.iter_batches(0, [group], None, False), None)


def _start(document: Document, metadata: FileMetaData) -> tuple[int, int]:
    """Row group and row in it where to go on: as the position says, else counted from its offset."""
    resume = document.start.detail.get("resume")
    if resume:
        return int(resume["row_group"]), int(resume["row"])
    left = document.start.offset
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if left < rows:
            return group, left
        left -= rows
    return metadata.num_row_groups, 0


def _translated_each(name: str, batches: Iterator[pa.RecordBatch], group: int, done: int) -> Iterator[pa.RecordBatch]:
    """The batches; the message of what goes wrong says where, counted in records of the file."""
    while True:
        with translated(name, f" in row group {group}, after record {done:,}"):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
        done += batch.num_rows


def _from_row(batches: Iterator[pa.RecordBatch], row: int) -> Iterator[pa.RecordBatch]:
    """What comes from this row on. Earlier ones are decoded and dropped: pages cannot be skipped by row."""
    for batch in batches:
        if row < batch.num_rows:
            yield batch.slice(row) if row else batch
        row = max(row - batch.num_rows, 0)

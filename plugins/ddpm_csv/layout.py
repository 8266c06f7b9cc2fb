"""What a document begins with: its dialect and the names of its columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ddpm_core import DataError
from ddpm_csv.blocks import Block, BlockCutter
from ddpm_csv.delimiter import SAMPLE_BYTES, declared_delimiter, find_delimiter
from ddpm_csv.dialect import Dialect
from ddpm_csv.header import check_number, column_names, numbered_names
from ddpm_csv.options import CsvOptions


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known of a document once its beginning has been read.

    Attributes:
        dialect: How its records are written.
        names: Its columns.
    """

    dialect: Dialect
    names: list[str]

    def remembered(self) -> dict[str, Any]:
        """For a position."""
        return {"delimiter": self.dialect.delimiter.decode(), "names": self.names}


def recalled(remembered: Mapping[str, Any], options: CsvOptions) -> Layout:
    """What a position remembers."""
    return Layout(Dialect.of(options, str(remembered["delimiter"]).encode()), [str(name) for name in remembered["names"]])


def find_layout(cutter: BlockCutter, options: CsvOptions, document: str) -> Layout | None:
    """Read the beginning of a document; None where it holds nothing.

    Raises:
        DataError: The document has no usable header.
    """
    for _ in range(options.skip_lines):
        cutter.skip_line()
    line = cutter.first_line()
    declared = declared_delimiter(line, options)
    if declared:
        cutter.skip_first_line()
        line = cutter.first_line()
    if not line:
        return None
    _refuse_others(line, document)
    dialect = Dialect.of(options, declared or _delimiter(cutter, line, options))
    cutter.use(dialect)
    if not options.header:
        return Layout(dialect, list(options.column_names) or numbered_names(_fields(cutter, dialect), document))
    record = cutter.next_record()
    if record is None:
        return None
    names = column_names(_header(record, document), document)
    if options.column_names and len(options.column_names) != len(names):
        raise DataError(
            f"{document} has {len(names):,} columns in its header, and column_names has {len(options.column_names):,}",
            reason="field_count",
        )
    return Layout(dialect, list(options.column_names) or names)


def _delimiter(cutter: BlockCutter, line: bytes, options: CsvOptions) -> bytes:
    if options.delimiter:
        return options.delimiter.encode()
    sample, final = cutter.beginning(SAMPLE_BYTES)
    return find_delimiter(line, sample, options, final=final)


def _header(record: Block, document: str) -> list[str]:
    if record.too_long:
        raise DataError(f"the header of {document} has {record.too_long:,} bytes", reason="too_large")
    problem = record.found.bad.get(0) if record.found else None
    if problem:
        raise DataError(f"the header of {document} is not CSV: {problem}", reason="csv_invalid")
    text = record.text(0)
    try:
        record.source.decode(text)
    except DataError as error:
        message = error.message.replace("of the record", f"of the header of {document}")
        raise DataError(message, reason=error.reason, hint="Name the file's encoding, such as -o format.encoding=cp1250.") from None
    check_number(record.dialect.count(text), document)
    return [field.decode() for field, _ in record.dialect.split(text)]


def _fields(cutter: BlockCutter, dialect: Dialect) -> int:
    """How many fields the first record has that is well; 1 where none is."""
    block = cutter.peek(1 << 16)
    if block is None:
        return 1
    bad = block.found.bad if block.found else {}
    return next((dialect.count(block.text(record)) for record in range(len(block.spans)) if record not in bad), 1)


def _refuse_others(line: bytes, document: str) -> None:
    """Text holds no NUL where names stand: this is UTF-16, or no text."""
    if line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(
            f"{document} begins with a byte order mark of UTF-16", reason="encoding", hint="Set -o format.encoding=utf-16."
        )
    if b"\x00" in line:
        raise DataError(
            f"{document} is no CSV: its first line holds NUL bytes",
            reason="wrong_format",
            hint="Another format, or another encoding, such as -o format.encoding=utf-16-le?",
        )

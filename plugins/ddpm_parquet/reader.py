"""pyarrow's reader of Parquet files, as it is within `pyarrow.parquet.ParquetFile`.

`pyarrow.parquet` also imports `pyarrow.fs`, which loads the file systems with the client of S3 and what TLS needs: a third of the time that
pyarrow takes to start, of each run that reads Parquet. The files here are open already.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow._parquet import FileMetaData, ParquetReader

__all__ = ["FileMetaData", "ParquetReader", "open_reader"]


def open_reader(stream: BinaryIO | pa.NativeFile, **how: Any) -> ParquetReader:
    """A reader that has read the footer. `stream` stays the caller's.

    It has `metadata`, `schema_arrow`, and `iter_batches(batch_size, row_groups, None, use_threads)`.

    Args:
        how: What `ParquetFile` takes under the same names. Checksums of pages are verified, nothing is read ahead.

    Raises:
        pa.ArrowException, OSError: It is no Parquet file, or its footer is damaged.
    """
    reader = ParquetReader()
    reader.open(stream, pre_buffer=False, page_checksum_verification=True, arrow_extensions_enabled=True, **how)
    return reader

"""The fast way: pyarrow.json with a schema learned before. It gives exactly what the careful way gives, or nothing."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from pyarrow import types as is_type

from ddpm_core import conform

_EXACT_BELOW = {pa.float64(): 2.0**53, pa.float32(): 2.0**24}
"""From there on a whole number may not be the same in a float, which the rules for columns care about and pyarrow does not."""

_AS_IT_IS = (pa.null(), pa.int64(), pa.float64(), pa.bool_(), pa.string())
_OF_TEXT = (is_type.is_large_string, is_type.is_string_view, is_type.is_temporal, is_type.is_binary, is_type.is_large_binary)
_PLAIN_NAME = re.compile(r"[^\x00-\x1f\x7f\\\"/]*")


def is_aligned(text: bytes, lines: int) -> bool:
    """Whether every line begins with `{` and ends with `}`: then no object can reach from one line into the next.

    After `}` and before `{` a text is JSON only between two documents. So when such lines decode to as many objects as there
    are lines, each line is one object.
    """
    if not text.startswith(b"{"):
        return False
    line_end = b"\r\n" if text.endswith(b"}\r\n") else b"\n"
    if not text.endswith((b"}" + line_end, b"}")):
        return False
    # Lines mostly begin with the same key, and bytes are searched the faster the more of them are looked for.
    first_key = text[: text.find(b":", 0, 64) + 1] or b"{"
    return text.count(b"}" + line_end + first_key) == lines - 1 or text.count(b"}" + line_end + b"{") == lines - 1


class ArrowReader:
    """Decodes many objects at once, without the GIL.

    With a field that the schema lacks pyarrow.json is told to fail, never to infer: inferring it crashes the process where that
    field is nested 20,000 deep. Failing does not.
    """

    def __init__(self) -> None:
        self._schema: Any = None
        self._options: pa.json.ParseOptions | None = None
        self._casts = False
        self._quoted: list[re.Pattern[bytes]] = []

    @property
    def learned(self) -> bool:
        """Whether there is a schema."""
        return self._schema is not None

    @property
    def ready(self) -> bool:
        """Whether there is a schema, and one that pyarrow.json reads exactly."""
        return self._options is not None

    def learn(self, schema: pa.Schema) -> None:
        """From now on read objects with these columns. Called with each batch that the careful way made."""
        if self._schema is not None and self._schema.equals(schema):
            return
        self._schema, self._options = schema, None
        written = [_written_as(column) for column in schema]
        if schema.names and None not in written:
            explicit = pa.schema(zip(schema.names, written, strict=True))
            self._options = pa.json.ParseOptions(explicit_schema=explicit, unexpected_field_behavior="error")
            self._casts = not explicit.equals(schema)
            self._quoted = [_in_quotes(column.name) for column in schema if is_type.is_decimal(column.type)]

    def read(self, text: bytes, rows: int) -> pa.RecordBatch | None:
        """The rows of these objects, or None when there is any doubt: then the careful way must read them.

        Args:
            text: Objects one after the other.
            rows: How many there must be.
        """
        # For a decimal in quotes pyarrow's rules are not ours; an escape may spell the name of one.
        if self._quoted and (b"\\u" in text or any(quoted.search(text) for quoted in self._quoted)):
            return None
        whole = pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        try:
            table = pa.json.read_json(pa.BufferReader(text), read_options=whole, parse_options=self._options)
        except pa.ArrowException:
            return None
        if table.num_rows != rows:
            return None
        batch = table.combine_chunks().to_batches()[0]
        return self._cast(batch) if (text.isascii() or _is_text(batch)) and self._is_exact(batch) else None

    def _is_exact(self, batch: pa.RecordBatch) -> bool:
        """No number was NaN or Infinity, which pyarrow takes, or a whole number that a float may have rounded."""
        for column, wanted in zip(batch.columns, self._schema.types, strict=True):
            if is_type.is_floating(column.type):
                if not pc.all(pc.is_finite(column), skip_nulls=True).as_py():
                    return False
                ends = pc.min_max(column).as_py()
                if ends["max"] is not None and max(-ends["min"], ends["max"]) >= _EXACT_BELOW[wanted]:
                    return False
        return True

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch | None:
        """Into the types that are expected of the columns, by the rules that the careful way applies too."""
        if self._casts:
            conformed = conform(batch, self._schema)
            batch = None if conformed.rejects else conformed.data
        return batch if batch is not None and batch.schema.equals(self._schema) else None


def _is_text(batch: pa.RecordBatch) -> bool:
    """Whether text is UTF-8, which pyarrow.json does not check."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _written_as(column: pa.Field) -> pa.DataType | None:
    """What values of a column are in JSON, where pyarrow.json reads that as exactly as the careful way does; else None."""
    wanted = column.type
    if wanted in _AS_IT_IS:
        return wanted
    if is_type.is_integer(wanted):
        return pa.int64()
    if wanted == pa.float32():
        return pa.float64()
    if is_type.is_decimal128(wanted) or is_type.is_decimal256(wanted):
        return wanted if _PLAIN_NAME.fullmatch(column.name) else None
    if wanted == pa.uuid() or any(test(wanted) for test in _OF_TEXT):
        return pa.string()
    return None


def _in_quotes(name: str) -> re.Pattern[bytes]:
    """Finds the values of a column that are strings."""
    return re.compile(re.escape(f'"{name}"'.encode()) + rb'[ \t\n\r]*:[ \t\n\r]*"')

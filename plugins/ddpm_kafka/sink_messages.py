"""Rows into messages: key, value, headers and time of each, and the rows that cannot be one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core import DataError, Reject, Serializer
from ddpm_kafka.sink_options import HeaderColumn, KafkaSinkOptions

Headers = list[tuple[str, bytes | None]]

_OVERHEAD = 100
"""Bytes that a message has in a batch of its own beside key, value and headers: at most 61 of the batch, and lengths, times and offsets."""


@dataclass(slots=True)
class MessageColumns:
    """Messages in columns of equal length. None: no message has one."""

    values: list[bytes]
    keys: list[bytes | None] | None = None
    headers: list[Headers] | None = None
    timestamps: list[int] | None = None

    def pick(self, rows: Sequence[int]) -> MessageColumns:
        """Just these."""
        return MessageColumns(
            [self.values[row] for row in rows],
            None if self.keys is None else [self.keys[row] for row in rows],
            None if self.headers is None else [self.headers[row] for row in rows],
            None if self.timestamps is None else [self.timestamps[row] for row in rows],
        )


class MessageMaker:
    """Makes messages of rows, column by column.

    The key: one column of text or bytes is the key as it is; of whole numbers or booleans their text; of anything else the value as
    JSON writes it, without the quotes of a text. Several columns are a JSON object of them, in the order in which `key` names them.

    Args:
        options: Which columns are what.
        serializer: Makes the values.
        json: Makes the JSON of keys and headers.
    """

    def __init__(self, options: KafkaSinkOptions, serializer: Serializer, json: Serializer) -> None:
        self._options = options
        self._serializer = serializer
        self._json = json
        self._constants: Headers = [(name, text.encode()) for name, text in options.headers.items() if isinstance(text, str)]
        self._columns = {name: of.column for name, of in options.headers.items() if isinstance(of, HeaderColumn)}

    def messages(self, data: pa.RecordBatch, most: int) -> tuple[MessageColumns, list[Reject]]:
        """The messages of all rows that can be one, and the others.

        Args:
            data: The rows.
            most: Bytes that a message may have.
        """
        rejects: dict[int, Reject] = {}
        values = self._each(data, self._serializer.serialize_rows, rejects, b"")
        keys = self._keys(data, rejects)
        headers = self._headers(data, rejects)
        timestamps = self._timestamps(data, rejects)
        _check_sizes(values, keys, headers, most, rejects)
        columns = MessageColumns(values, keys, headers, timestamps)
        if rejects:
            columns = columns.pick([row for row in range(data.num_rows) if row not in rejects])
        return columns, [rejects[row] for row in sorted(rejects)]

    def _each(
        self,
        data: pa.RecordBatch,
        make: Callable[[pa.RecordBatch], list[bytes]],
        rejects: dict[int, Reject],
        instead: bytes,
        at: int = 0,
    ) -> list[bytes]:
        """What `make` gives for each row; for rows that it refuses, found by halves, `instead`."""
        if not data.num_rows:
            return []
        try:
            made = make(data)
        except DataError as error:
            if data.num_rows == 1:
                rejects.setdefault(at, Reject(at, error.reason, error.message))
                return [instead]
            half = data.num_rows // 2
            first = self._each(data.slice(0, half), make, rejects, instead, at)
            return first + self._each(data.slice(half), make, rejects, instead, at + half)
        if len(made) != data.num_rows:
            raise ValueError(f"the format gave {len(made)} payloads for {data.num_rows} rows")
        return made

    def _keys(self, data: pa.RecordBatch, rejects: dict[int, Reject]) -> list[bytes | None] | None:
        names = self._options.key
        if not names:
            return None
        if len(names) == 1:
            keys = self._texts(data, names[0], rejects)
        else:
            there = [name for name in names if name in data.schema.names]
            made = self._each(data.select(there), self._json.serialize_rows, rejects, b"")
            empty = [all(values) for values in zip(*(data[name].is_null().to_pylist() for name in there), strict=True)]
            keys = [None if nothing else key for key, nothing in zip(made, empty or [True] * data.num_rows, strict=True)]
        for row, key in enumerate(keys):
            if key is None and row not in rejects:
                rejects[row] = Reject(row, "no_key", f"the row has no value in {', '.join(names)}, which is the key of its message")
        return keys

    def _texts(self, data: pa.RecordBatch, name: str, rejects: dict[int, Reject]) -> list[bytes | None]:
        """A column as the bytes of keys and headers."""
        if name not in data.schema.names:
            return [None] * data.num_rows
        column = data[name]
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        kind = column.type
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
            kind = column.type
        if pa.types.is_null(kind):
            return [None] * data.num_rows
        if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
            column, kind = column.cast(pa.string()), pa.string()
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            column, kind = column.cast(pa.large_string()).cast(pa.large_binary()), pa.large_binary()
        if (
            pa.types.is_binary(kind)
            or pa.types.is_large_binary(kind)
            or pa.types.is_binary_view(kind)
            or pa.types.is_fixed_size_binary(kind)
        ):
            found: list[bytes | None] = column.to_pylist()
            return found
        alone = data.select([name]).rename_columns(["v"])
        made = self._each(alone, self._json.serialize_rows, rejects, b'{"v":""}')
        return [_value(text) if there else None for text, there in zip(made, column.is_valid().to_pylist(), strict=True)]

    def _headers(self, data: pa.RecordBatch, rejects: dict[int, Reject]) -> list[Headers] | None:
        if not self._columns:
            return [self._constants] * data.num_rows if self._constants else None
        columns = [
            [(name, value) if value is not None else None for value in self._texts(data, column, rejects)]
            for name, column in self._columns.items()
        ]
        return [self._constants + [one for one in row if one is not None] for row in zip(*columns, strict=True)]

    def _timestamps(self, data: pa.RecordBatch, rejects: dict[int, Reject]) -> list[int] | None:
        name = self._options.timestamp
        if not name or name not in data.schema.names or pa.types.is_null(data[name].type):
            return None
        column = data[name]
        if pa.types.is_timestamp(column.type):
            column = (
                pc.floor_temporal(column, unit="millisecond").cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
            )
        elif not pa.types.is_integer(column.type):
            for row in range(data.num_rows):
                why = f"column {name!r} is {column.type}, and the time of a message is a timestamp or milliseconds since 1970"
                rejects.setdefault(row, Reject(row, "timestamp_invalid", why))
            return None
        found = [at or 0 for at in column.to_pylist()]
        for row, at in enumerate(found):
            if not 0 <= at < 2**63:
                rejects.setdefault(
                    row, Reject(row, "timestamp_invalid", f"column {name!r}: {at} ms is before 1970 or beyond what Kafka can say")
                )
        return found


def _check_sizes(
    values: list[bytes], keys: list[bytes | None] | None, headers: list[Headers] | None, most: int, rejects: dict[int, Reject]
) -> None:
    """A batch without a message that is too large costs a pass over lengths."""
    sizes: list[int] = list(map(len, values))
    if keys is not None:
        sizes = [size + len(key or b"") for size, key in zip(sizes, keys, strict=True)]
    if headers is not None:
        sizes = [size + _headers_size(some) for size, some in zip(sizes, headers, strict=True)]
    if max(sizes, default=0) + _OVERHEAD <= most:
        return
    for row, size in enumerate(sizes):
        if size + _OVERHEAD > most:
            why = f"the message would have {size + _OVERHEAD:,} bytes, and the topic takes {most:,}"
            rejects.setdefault(row, Reject(row, "too_large", why))


def _headers_size(headers: Headers) -> int:
    return sum(len(name.encode()) + len(value or b"") + 10 for name, value in headers)


def _value(text: bytes) -> bytes:
    """The one value of a JSON object whose name holds no colon; a text without its quotes."""
    value = text[text.index(b":") + 1 :].strip().removesuffix(b"}").strip()
    return json.loads(value).encode() if value.startswith(b'"') else value

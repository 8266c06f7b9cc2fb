"""Columns that say where a row came from. They exist for expressions, and are made only when one names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core.records import Batch, Document, Messages, Rows

_HEADERS = pa.map_(pa.string(), pa.string())

OF_MESSAGES: Mapping[str, pa.DataType] = {
    "_topic": pa.string(),
    "_partition": pa.int32(),
    "_offset": pa.int64(),
    "_timestamp": pa.timestamp("ms", "UTC"),
    "_key": pa.string(),
    "_headers": _HEADERS,
    "_value": pa.string(),
}
OF_DOCUMENTS: Mapping[str, pa.DataType] = {"_file": pa.string(), "_row": pa.int64()}
METADATA = frozenset({*OF_MESSAGES, *OF_DOCUMENTS})
"""The names of all metadata columns."""


class NotTextError(ValueError):
    """Bytes that are not UTF-8, where an expression asked for text. The text says which bytes."""


def metadata_column(name: str, batch: Batch) -> tuple[pa.Array, dict[int, str]] | None:
    """The metadata column `name` with one value for each row of the batch, and the rows for which it cannot be had, with why.

    Returns None where the batch's source has no such thing.
    """
    match batch.src:
        case Messages() as messages if name in OF_MESSAGES:
            return _of_messages(name, messages, batch)
        case Document() | Rows() as source if name in OF_DOCUMENTS:
            column = _of_document(name, source, batch)
            return None if column is None else (column, {})
    return None


def _of_messages(name: str, messages: Messages, batch: Batch) -> tuple[pa.Array, dict[int, str]] | None:
    values = _VALUES[name](messages)
    if values is None:
        return None
    picked: Sequence[Any] = values if batch.origin is None else [values[record] for record in batch.origin.to_pylist()]
    convert = _CONVERSIONS.get(name)
    if convert is None:
        return pa.array(picked, OF_MESSAGES[name]), {}
    return _converted(name, picked, convert)


def _converted(name: str, values: Sequence[Any], convert: Callable[[Any], Any]) -> tuple[pa.Array, dict[int, str]]:
    """Text from bytes: all at once, and one by one where some are no text."""
    if name != "_headers":
        found = pa.array(values, pa.binary())
        try:
            return found.cast(pa.string()), {}
        except pa.ArrowInvalid:
            pass
    made: list[Any] = []
    bad: dict[int, str] = {}
    for row, value in enumerate(values):
        try:
            made.append(None if value is None else convert(value))
        except NotTextError as error:
            made.append(None)
            bad[row] = f"{name} cannot be had, {error}"
    return pa.array(made, OF_MESSAGES[name]), bad


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise NotTextError(f"byte {error.start} is not UTF-8 text") from None


def _headers(headers: list[tuple[str, bytes]]) -> list[tuple[str, str | None]]:
    """Each name once, with its last value, as clients of Kafka read them."""
    last = {key: None if value is None else _text(value) for key, value in headers}
    return list(last.items())


def _partition_parts(partition: str) -> tuple[str, int | None]:
    """Topic and number of a partition that is called `kafka:TOPIC/N`."""
    name = partition.partition(":")[2] or partition
    topic, slash, number = name.rpartition("/")
    return (topic, int(number)) if slash and number.isdecimal() else (name, None)


def _partitions(messages: Messages) -> list[str]:
    """Of dead letters that are sent through again: where they came from at first."""
    return messages.partitions if messages.letters is None else [letter.partition for letter in messages.letters]


def _of_partitions(messages: Messages, part: int) -> list[Any]:
    names = _partitions(messages)
    known = {name: _partition_parts(name)[part] for name in set(names)}
    return [known[name] for name in names]


_VALUES: Mapping[str, Callable[[Messages], Sequence[Any] | None]] = {
    "_topic": lambda messages: _of_partitions(messages, 0),
    "_partition": lambda messages: _of_partitions(messages, 1),
    "_offset": lambda messages: messages.offsets if messages.letters is None else [letter.offset for letter in messages.letters],
    "_timestamp": lambda messages: messages.timestamps,
    "_key": lambda messages: messages.keys,
    "_headers": lambda messages: messages.headers,
    "_value": lambda messages: messages.values,
}
_CONVERSIONS: Mapping[str, Callable[[Any], Any]] = {"_key": _text, "_headers": _headers, "_value": _text}


def _of_document(name: str, source: Document | Rows, batch: Batch) -> pa.Array | None:
    if name == "_file":
        return pa.repeat(pa.scalar(source.name), len(batch))
    first = batch.first_record  # Set by the engine, which alone knows where in the document the step begins.
    if first is None:
        return None
    records = pa.arange(0, len(batch)) if batch.origin is None else batch.origin.cast(pa.int64())
    return pc.add(records, first)

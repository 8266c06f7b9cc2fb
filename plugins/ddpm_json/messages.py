"""Messages, each one JSON document: an object is one row, an array of objects several."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from ddpm_core import DataError, Messages, Parsed, Reject
from ddpm_json.arrow_reader import is_aligned
from ddpm_json.decode import WHITESPACE, as_object
from ddpm_json.layout import BOM
from ddpm_json.reader import RecordReader
from ddpm_json.records import Records


def read_messages(reader: RecordReader, messages: Messages, max_record_bytes: int) -> Parsed:
    """All rows of these messages. A message lands whole or not at all: its bytes are one dead letter."""
    parsed = _at_once(reader, messages.values, max_record_bytes) or _one_by_one(reader, messages.values, max_record_bytes)
    parsed.raw, parsed.byte_offset, parsed.nbytes = messages.values.__getitem__, None, messages.nbytes
    return parsed


def _at_once(reader: RecordReader, values: list[bytes | None], max_record_bytes: int) -> Parsed | None:
    """One object in each message, as almost always. None when there may be more to it."""
    known = [value for value in values if value is not None and len(value) <= max_record_bytes]
    if not known or len(known) < len(values):
        return None
    text = b"\n".join(known)
    if reader.arrow.ready and is_aligned(text, len(known)) and text.count(b"\n") == len(known) - 1:
        parsed = reader.fast(text, len(known), Records(text, None, list))
        if parsed is not None:
            return parsed
    rows = reader.together(text, known)
    if rows is None:
        return None
    data, kept, refused = reader.build(rows)
    for reject in refused:
        reject.raw = values[reject.index]
    origin = None if len(kept) == len(values) else pa.array(kept, pa.int32())
    return Parsed(data, len(values), refused, origin)


def _one_by_one(reader: RecordReader, values: list[bytes | None], max_record_bytes: int) -> Parsed:
    rows: list[dict[str, Any]] = []
    origin: list[int] = []
    rejects: dict[int, Reject] = {}
    for index, value in enumerate(values):
        try:
            more = _rows(reader, value, max_record_bytes)
        except DataError as error:
            rejects[index] = Reject(index, error.reason, error.message, raw=value)
            continue
        rows += more
        origin += [index] * len(more)
    data, kept, refused = reader.build(rows)
    for reject in refused:
        index = origin[reject.index]
        rejects.setdefault(index, Reject(index, reject.reason, reject.message, raw=values[index]))
    whole = [number for number, row in enumerate(kept) if origin[row] not in rejects]
    if data is not None and len(whole) < len(kept):
        data = data.take(pa.array(whole, pa.int64())) if whole else None
    found = [rejects[index] for index in sorted(rejects)]
    empty = len(values) - len(set(origin) | set(rejects))  # Arrays without elements.
    return Parsed(data, len(values), found, pa.array([origin[kept[number]] for number in whole], pa.int32()), filtered=empty)


def _rows(reader: RecordReader, value: bytes | None, max_record_bytes: int) -> list[dict[str, Any]]:
    if value is None:
        raise DataError("the message has no value (a tombstone)", reason="no_value")
    if len(value) > max_record_bytes:
        raise DataError(f"the record has {len(value):,} bytes, more than the {max_record_bytes:,} allowed", reason="too_large")
    found = reader.decode(value.removeprefix(BOM).strip(WHITESPACE))
    return [as_object(element) for element in found] if isinstance(found, list) else [as_object(found)]

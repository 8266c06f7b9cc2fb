"""Messages, each one JSON document: an object is one row, an array of objects several."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import orjson
import pyarrow as pa

from ddpm_core import DataError, Messages, Parsed, Reject
from ddpm_json.decode import WHITESPACE, as_object
from ddpm_json.layout import BOM
from ddpm_json.options import JsonOptions
from ddpm_json.reader import RecordReader
from ddpm_json.records import Records

_FIRST, _LAST = itemgetter(0), itemgetter(-1)


def read_messages(reader: RecordReader, messages: Messages, options: JsonOptions) -> Parsed:
    """All rows of these messages. A message lands whole or not at all: its bytes are one dead letter."""
    there = [index for index, value in enumerate(messages.values) if value is not None] if None in messages.values else None
    known: list[bytes] = messages.values if there is None else [messages.values[index] for index in there]  # type: ignore[assignment,misc]
    limit = options.max_record_bytes
    parsed = _at_once(reader, known, limit) or _but_bad_ones(reader, known, limit) or _one_by_one(reader, known, limit)
    if there is not None:
        _among_tombstones(parsed, there, messages.values, skip=options.tombstones == "skip")
    parsed.raw, parsed.byte_offset, parsed.nbytes = messages.values.__getitem__, None, messages.nbytes
    return parsed


def _among_tombstones(parsed: Parsed, there: list[int], values: list[bytes | None], *, skip: bool) -> None:
    """Number the messages that have a value as they stand among all of them, and account for the others."""
    places = pa.array(there, pa.int32())
    parsed.origin = places if parsed.origin is None else places.take(parsed.origin)
    for reject in parsed.rejects:
        reject.index = there[reject.index]
    if skip:
        parsed.filtered += len(values) - len(there)
    else:
        gone = [index for index, value in enumerate(values) if value is None]
        parsed.rejects += [Reject(index, "no_value", "the message has no value (a tombstone)") for index in gone]
        parsed.rejects.sort(key=lambda reject: reject.index)
    parsed.records = len(values)


def _at_once(reader: RecordReader, known: list[bytes], max_record_bytes: int) -> Parsed | None:
    """One object in each message, as almost always. None when there may be more to it."""
    text = b"\n".join(known)
    if not known or (len(text) > max_record_bytes and max(map(len, known)) > max_record_bytes):
        return None
    if reader.arrow.ready and _are_in_braces(known):
        parsed = reader.fast(text, len(known), Records(text, None, list))
        if parsed is not None:
            return parsed
    rows = reader.together(text, known)
    if rows is None:
        return None
    data, kept, refused = reader.build(rows)
    for reject in refused:
        reject.raw = known[reject.index]
    origin = None if len(kept) == len(known) else pa.array(kept, pa.int32())
    return Parsed(data, len(known), refused, origin)


def _are_in_braces(values: list[bytes]) -> bool:
    """Whether every message begins with `{` and ends with `}`: then no object can reach from one message into the next.

    After `}` and before `{` a text is JSON only between two documents, so each message is at least one. When all of them
    decode to as many objects as there are messages, each is one.
    """
    try:
        return set(map(_FIRST, values)) == {ord("{")} and set(map(_LAST, values)) == {ord("}")}
    except IndexError:  # One is empty.
        return False


def _but_bad_ones(reader: RecordReader, values: list[bytes], max_record_bytes: int) -> Parsed | None:
    """Those that are bad by themselves set aside, so that they do not cost the others their speed. None when there may be more to it."""
    bad: dict[int, Reject] = {}
    for index, value in enumerate(values):
        if _may_be_good(value, max_record_bytes):
            continue
        try:
            _rows(reader, value, max_record_bytes)
        except DataError as error:
            bad[index] = Reject(index, error.reason, error.message, raw=value)
        else:
            return None
    good = [index for index in range(len(values)) if index not in bad]
    parsed = _at_once(reader, [values[index] for index in good], max_record_bytes) if bad else None
    if parsed is None:
        return None
    places = pa.array(good, pa.int32())
    parsed.origin = places if parsed.origin is None else places.take(parsed.origin)
    for reject in parsed.rejects:
        reject.index = good[reject.index]
    parsed.rejects = sorted([*parsed.rejects, *bad.values()], key=lambda reject: reject.index)
    parsed.records = len(values)
    return parsed


def _may_be_good(value: bytes, max_record_bytes: int) -> bool:
    if len(value) > max_record_bytes:
        return False
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def _one_by_one(reader: RecordReader, values: list[bytes], max_record_bytes: int) -> Parsed:
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


def _rows(reader: RecordReader, value: bytes, max_record_bytes: int) -> list[dict[str, Any]]:
    if len(value) > max_record_bytes:
        raise DataError(f"the record has {len(value):,} bytes, more than the {max_record_bytes:,} allowed", reason="too_large")
    found = reader.decode(value.removeprefix(BOM).strip(WHITESPACE))
    return [as_object(element) for element in found] if isinstance(found, list) else [as_object(found)]

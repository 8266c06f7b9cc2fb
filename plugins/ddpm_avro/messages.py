"""Messages that are one record each, with or without a sign of the schema that it was written with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from ddpm_avro.datums import DatumDecoder
from ddpm_avro.framing import Framed, Key
from ddpm_avro.logical import Bad
from ddpm_avro.options import AvroOptions
from ddpm_avro.resolution import Resolution
from ddpm_avro.schemas import Schemas
from ddpm_avro.unified import Columns, put_together
from ddpm_core import DataError, Messages, Parsed, Reject

_KNOWN_RESOLUTIONS = 1_000


class MessageReader:
    """Decodes messages: those of one schema together, then all in their order."""

    def __init__(self, options: AvroOptions, schemas: Schemas) -> None:
        self._options = options
        self._schemas = schemas
        self._framed = Framed(options.framed)
        self._columns = Columns()
        self._resolutions: dict[Key, Resolution | DataError] = {}

    def read(self, messages: Messages) -> Parsed:
        """All rows of these messages.

        Raises:
            RetryableError: The registry does not answer.
            FatalError: It never will.
        """
        return _Reading(self, messages).done()

    def groups(self, values: Sequence[bytes | None], rejects: dict[int, tuple[str, str]]) -> dict[Key, Sequence[int]]:
        """Which messages have which schema; those that have none go into `rejects`."""
        limit = self._options.max_record_bytes
        if values and None not in values and max(map(len, values)) <= limit:  # type: ignore[arg-type]
            heads = set(map(self._framed.head, values))  # type: ignore[arg-type]
            if len(heads) == 1:
                return self._by_head({heads.pop(): range(len(values))}, rejects)
        by_head: dict[bytes, list[int]] = {}
        for index, value in enumerate(values):
            if value is None:
                continue
            if len(value) > limit:
                rejects[index] = ("too_large", f"the record has {len(value):,} bytes, more than the {limit:,} allowed")
                continue
            by_head.setdefault(self._framed.head(value), []).append(index)
        return self._by_head(by_head, rejects)

    def _by_head(self, by_head: Mapping[bytes, Sequence[int]], rejects: Bad) -> dict[Key, Sequence[int]]:
        found: dict[Key, Sequence[int]] = {}
        for head, which in by_head.items():
            try:
                found[self._framed.key(head)] = which
            except DataError as error:
                rejects |= dict.fromkeys(which, (error.reason, error.message))
        return found

    def datums(self, values: Sequence[bytes | None], which: Sequence[int]) -> list[bytes]:
        """The records of these messages, without what stands before them."""
        chosen = values if len(which) == len(values) else [values[index] for index in which]
        return list(map(self._framed.rest, chosen))  # type: ignore[arg-type]

    def prepare(self, keys: Sequence[Key]) -> None:
        """See `Schemas.prepare`."""
        self._schemas.prepare(keys)

    def decode(self, key: Key, datums: Sequence[bytes]) -> tuple[pa.RecordBatch, Sequence[int], Bad]:
        """The rows of these records, which records they are, and what is wrong with the others.

        Raises:
            DataError: Something is wrong with their schema, and so with all of them.
        """
        decoder = self._schemas.decoder(key)
        resolution = self._resolution(key, decoder)
        if resolution is None:
            self._columns.add(decoder.schema)
        data, which, bad = decoder.decode(datums)
        data, wrong = (data, Bad()) if resolution is None else resolution.rows(data)
        if wrong:
            return *_without(data, which, wrong), bad | {which[row]: problem for row, problem in wrong.items()}
        return data, which, bad

    def widen(self, data: pa.RecordBatch) -> tuple[pa.RecordBatch, Bad]:
        """See `Columns.as_wide`."""
        return (data, {}) if self._schemas.reader() is not None else self._columns.as_wide(data)

    def _resolution(self, key: Key, decoder: DatumDecoder) -> Resolution | None:
        reader = self._schemas.reader()
        if reader is None:
            return None
        found = self._resolutions.get(key)
        if found is None:
            try:
                found = Resolution(decoder.node, reader)
            except DataError as error:
                found = error
            if len(self._resolutions) >= _KNOWN_RESOLUTIONS:
                self._resolutions.clear()
            self._resolutions[key] = found
        if isinstance(found, DataError):
            raise found
        return found

    @property
    def skips_tombstones(self) -> bool:
        """Whether messages without a value are left out."""
        return self._options.tombstones == "skip"


class _Reading:
    """One call: the rows so far, and which messages they are."""

    def __init__(self, reader: MessageReader, messages: Messages) -> None:
        self._reader = reader
        self._messages = messages
        self._rejects: Bad = {}
        self._parts: list[tuple[pa.RecordBatch, Sequence[int]]] = []

    def done(self) -> Parsed:
        values = self._messages.values
        missing = [index for index, value in enumerate(values) if value is None] if None in values else []
        groups = self._reader.groups(values, self._rejects)
        self._reader.prepare(list(groups))
        for key, which in groups.items():
            self._decode(key, which)
        if not self._reader.skips_tombstones:
            self._rejects |= dict.fromkeys(missing, ("no_value", "the message has no value (a tombstone)"))
        data, origin = self._rows()
        return Parsed(
            data=data,
            records=len(values),
            rejects=[Reject(index, *self._rejects[index], raw=values[index]) for index in sorted(self._rejects)],
            origin=origin,
            raw=values.__getitem__,
            nbytes=self._messages.nbytes,
            filtered=len(missing) if self._reader.skips_tombstones else 0,
        )

    def _decode(self, key: Key, which: Sequence[int]) -> None:
        try:
            data, rows, bad = self._reader.decode(key, self._reader.datums(self._messages.values, which))
        except DataError as error:
            self._rejects |= dict.fromkeys(which, (error.reason, error.message))
            return
        self._rejects |= {which[index]: problem for index, problem in bad.items()}
        if len(rows):
            self._parts.append((data, which if len(rows) == len(which) else [which[row] for row in rows]))

    def _rows(self) -> tuple[pa.RecordBatch | None, pa.Int32Array | None]:
        parts: list[pa.RecordBatch] = []
        rows: list[int] = []
        for data, which in self._parts:
            wide, wrong = self._reader.widen(data)
            if wrong:
                self._rejects |= {which[row]: problem for row, problem in wrong.items()}
                wide, which = _without(wide, which, wrong)  # noqa: PLW2901 - what is left of it
            parts.append(wide)
            rows += which
        if not rows:
            return None, None
        data = put_together(parts, rows)
        whole = len(rows) == len(self._messages)
        return data, None if whole else pa.array(sorted(rows), pa.int32())


def _without(data: pa.RecordBatch, which: Sequence[int], wrong: Bad) -> tuple[pa.RecordBatch, list[int]]:
    """The rows that are not bad."""
    good = [row for row in range(len(which)) if row not in wrong]
    return data.take(pa.array(good, pa.int64())), [which[row] for row in good]

"""Turning records into rows: fast where that is provably right, else carefully, one record after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import pyarrow as pa
from pyarrow import types as is_type

from ddpm_core import DataError, Parsed, Reject, RowBuilder
from ddpm_json.arrow_reader import ArrowReader
from ddpm_json.decode import as_object, decode_exactly, decode_objects, decode_value, nesting_problem
from ddpm_json.records import Records, Span

_DIGITS_ALIKE = bytes(ord("0") if 48 <= byte <= 57 else byte for byte in range(256))


@dataclass(slots=True)
class Decoded:
    """What came out of some records, one after the other.

    Attributes:
        rows: The objects.
        spans: Where each record stands; more than were asked for when a line held several.
        record_of: Row -> record.
        rejects: The records that are none.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    record_of: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)


class RecordReader:
    """Makes steps of records. Learns the columns from the first ones, which it therefore reads carefully.

    Args:
        rows: Builds batches by the rules for types.
        max_depth: How deep objects and arrays may be nested.
    """

    def __init__(self, rows: RowBuilder, max_depth: int) -> None:
        self._rows = rows
        self._max_depth = max_depth
        self._decimals: frozenset[str] = frozenset()
        self.arrow = ArrowReader()

    @property
    def learned(self) -> bool:
        """Whether columns are known, so that the careful way is taken only where it must be."""
        return self.arrow.learned

    def expect(self, schema: pa.Schema) -> None:
        """Columns that are decimals here are read digit by digit."""
        self._rows.expect(schema)
        self._decimals = frozenset(column.name.casefold() for column in schema if is_type.is_decimal(column.type))
        self.arrow = ArrowReader()

    def fast(self, text: bytes, rows: int, records: Records) -> Parsed | None:
        """A step of so many objects, one for each record; None when there is any doubt."""
        batch = self.arrow.read(text, rows)
        return None if batch is None else Parsed(batch, rows, raw=records.raw, byte_offset=records.byte_offset)

    def careful(self, records: Records, *, several: bool) -> Parsed:
        """A step of these records, whatever they hold.

        Args:
            records: The records.
            several: Whether what looks like one record may hold several objects: a line may, an element may not.
        """
        raws = records.raws()
        rows = self.together(records.data, raws)
        record_of, rejects, number = None, [], len(raws)
        if rows is None:
            decoded = self._one_by_one(records, raws, several)
            rows, record_of, rejects, number = decoded.rows, decoded.record_of, decoded.rejects, len(decoded.spans)
            records = Records.at(records.data, records.start, decoded.spans)
        data, kept, refused = self.build(rows)
        rejects += [Reject(row.index if record_of is None else record_of[row.index], row.reason, row.message) for row in refused]
        rejects.sort(key=lambda reject: reject.index)
        for reject in rejects:
            reject.raw, reject.byte_offset = records.raw(reject.index), records.byte_offset(reject.index)
        return Parsed(data, number, rejects, _origin(kept, record_of, number), raw=records.raw, byte_offset=records.byte_offset)

    def build(self, rows: list[dict[str, Any]]) -> tuple[pa.RecordBatch | None, list[int], list[Reject]]:
        """The batch of these rows, which of them it holds, and why the others do not fit."""
        if not rows:
            return None, [], []
        built = self._rows.build(rows)
        if built.data is None:
            self.arrow = ArrowReader()  # The rows that were refused may have brought columns, which only the next batch shows.
            return None, [], built.rejects
        self.arrow.learn(built.data.schema)
        return built.data, list(built.kept), built.rejects

    def together(self, data: bytes, raws: list[bytes]) -> list[dict[str, Any]] | None:
        """The objects that these texts are, each one; None when one is none or needs a closer look.

        Args:
            data: The bytes that hold them all.
            raws: The texts.
        """
        if self._decimals:
            return None
        alike = data.translate(_DIGITS_ALIKE)
        if b"0" * 20 in alike or b"-" + b"0" * 19 in alike:
            return None  # Perhaps an integer beyond 64 bits, which orjson would turn into a float.
        if data.count(b"{") + data.count(b"[") - len(raws) >= self._max_depth and self._some_refused(raws):
            return None
        try:
            rows = list(map(orjson.loads, raws))
        except orjson.JSONDecodeError:
            return None
        return rows if set(map(type, rows)) <= {dict} else None

    def _some_refused(self, raws: list[bytes]) -> bool:
        return any(nesting_problem(raw, self._max_depth) is not None for raw in raws)

    def decode(self, raw: bytes) -> Any:
        """The value of one text, its decimals exact.

        Raises:
            DataError: With one of this format's reasons.
        """
        value = decode_value(raw, max_depth=self._max_depth)
        if self._decimals:
            exact = decode_exactly(raw)
            for row, digits in zip(value, exact, strict=True) if isinstance(value, list) else [(value, exact)]:
                self._take_decimals(row, digits)
        return value

    def _one_by_one(self, records: Records, raws: list[bytes], several: bool) -> Decoded:
        out = Decoded()
        for raw, (begin, end) in zip(raws, records.spans, strict=True):
            try:
                objects = self._objects(raw, several)
            except DataError as error:
                out.rejects.append(Reject(len(out.spans), error.reason, error.message))
                out.spans.append((begin, end))
                continue
            for row, first, last in objects:
                out.rows.append(row)
                out.record_of.append(len(out.spans))
                out.spans.append((begin + first, begin + last))
        return out

    def _objects(self, raw: bytes, several: bool) -> list[tuple[dict[str, Any], int, int]]:
        if not several:
            return [(as_object(self.decode(raw)), 0, len(raw))]
        objects = decode_objects(raw, max_depth=self._max_depth)
        if self._decimals:
            for row, first, last in objects:
                self._take_decimals(row, decode_exactly(raw[first:last]))
        return objects

    def _take_decimals(self, row: Any, digits: Any) -> None:
        if isinstance(row, dict):
            row.update((name, digits[name]) for name in row if name.casefold() in self._decimals)


def _origin(kept: list[int], record_of: list[int] | None, records: int) -> pa.Int32Array | None:
    if len(kept) == records:
        return None
    return pa.array(kept if record_of is None else [record_of[row] for row in kept], pa.int32())

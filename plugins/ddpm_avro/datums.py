"""Datums that come one by one, as messages bring them, all of one schema: many at once, and the culprits by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from ddpm_avro import physical
from ddpm_avro.datum import LostError
from ddpm_avro.decoder import BlockDecoder, DoubtError
from ddpm_avro.limits import MAX_BRANCHES, Shape
from ddpm_avro.logical import Bad
from ddpm_core import DataError

_FEW = 8
"""So many datums are read one by one when one of them is bad; more are tried in halves."""


class DatumDecoder:
    """Decodes datums of one schema. Each must be used to its last byte.

    Attributes:
        schema: The columns of the rows.
    """

    def __init__(self, decoder: BlockDecoder) -> None:
        self._decoder = decoder
        self._shape = Shape.of(decoder.node)
        self.schema = decoder.schema
        self.node = decoder.node

    def decode(self, datums: Sequence[bytes]) -> tuple[pa.RecordBatch, Sequence[int], Bad]:
        """The rows, which datums they are (in ascending order), and what is wrong with the others."""
        return _Decoding(self._decoder, self._shape, datums).all()


class _Decoding:
    """One call: what has been decoded so far."""

    def __init__(self, decoder: BlockDecoder, shape: Shape, datums: Sequence[bytes]) -> None:
        self._decoder = decoder
        self._shape = shape
        self._datums = datums
        self._pieces: list[pa.RecordBatch] = []
        self._rows: list[int] = []
        self._bad: Bad = {}

    def all(self) -> tuple[pa.RecordBatch, Sequence[int], Bad]:
        careful: list[int] = []
        fast: Sequence[int] = range(len(self._datums))
        if not self._decoder.is_fast:
            careful, fast = list(fast), ()
        elif self._decoder.are_some_doubtful(self._datums):
            doubtful = list(map(self._decoder.is_doubtful, self._datums))
            careful = [index for index, doubt in enumerate(doubtful) if doubt]
            fast = [index for index, doubt in enumerate(doubtful) if not doubt]
        if fast:
            self._try(fast)
        if careful:
            self._one_by_one(careful)
        data = self._joined()
        if len(self._pieces) > 1 and careful and fast:
            order = sorted(range(len(self._rows)), key=self._rows.__getitem__)
            data, self._rows = data.take(pa.array(order, pa.int64())), [self._rows[row] for row in order]
        return data, self._rows, self._bad

    def _joined(self) -> pa.RecordBatch:
        if len(self._pieces) == 1:
            return self._pieces[0]
        none = self._decoder.rows(pa.array([], physical.arrow_type(self._decoder.node)))[0]
        return pa.concat_batches([none, *self._pieces])

    def _try(self, which: Sequence[int]) -> None:
        """All of them at once, and on any doubt in halves."""
        found = self._datums if len(which) == len(self._datums) else [self._datums[index] for index in which]
        values = self._fast(found) if self._small_enough(found) else None
        if values is not None:
            self._take(values, which)
        elif len(which) <= _FEW:
            self._one_by_one(which)
        else:
            middle = len(which) // 2
            self._try(which[:middle])
            self._try(which[middle:])

    def _fast(self, datums: Sequence[bytes]) -> pa.Array | None:
        try:
            return self._decoder.fast_pieces([1] * len(datums), datums)
        except DoubtError:
            return None

    def _small_enough(self, datums: Sequence[bytes]) -> bool:
        shape = self._shape
        if not shape.branches and not shape.item_branches:
            return True
        return len(datums) * shape.branches + sum(map(len, datums)) // 2 * shape.item_branches <= MAX_BRANCHES

    def _one_by_one(self, which: Sequence[int]) -> None:
        """By the datum reader, which says what is wrong."""
        values: list[Any] = []
        good: list[int] = []
        for index in which:
            try:
                values.append(self._value(self._datums[index]))
                good.append(index)
            except DataError as error:
                self._bad[index] = (error.reason, error.message)
        if good:
            self._take(physical.to_arrow(self._decoder.node, values), good)

    def _value(self, datum: bytes) -> Any:
        try:
            self._shape.check(1, len(datum), 0, readable=True)
            found = next(self._decoder.reader.read(datum, 1))
        except LostError as error:
            raise DataError(error.message, reason=error.reason) from None
        except ValueError:
            what = f"{len(datum):,} bytes are too few for a record of this schema, which has at least {self._shape.least:,}"
            raise DataError(what, reason="avro_invalid") from None
        if found.problem:
            raise DataError(found.problem[1], reason=found.problem[0])
        if found.end < len(datum):
            raise DataError(f"{len(datum) - found.end:,} bytes are left over after the record", reason="trailing_bytes")
        return found.value

    def _take(self, values: pa.Array, which: Sequence[int]) -> None:
        data, bad = self._decoder.rows(values)
        if bad:
            self._bad |= {which[row]: problem for row, problem in bad.items()}
            good = [row for row in range(len(which)) if row not in bad]
            data, which = data.take(pa.array(good, pa.int64())), [which[row] for row in good]
        if len(which):
            self._pieces.append(data)
            self._rows += which

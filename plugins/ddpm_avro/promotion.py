"""Columns in a wider type, where each value stays what it is."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_avro.logical import Bad

_EXACT = {pa.float32(): 1 << 24, pa.float64(): 1 << 53}
"""Beyond it a whole number may not be the same in a float."""

_WIDER = {
    pa.int32(): (pa.int64(), pa.float32(), pa.float64()),
    pa.int64(): (pa.float32(), pa.float64()),
    pa.float32(): (pa.float64(),),
}


def is_wider(wide: pa.DataType, narrow: pa.DataType) -> bool:
    """Whether numbers of a type may become numbers of another, as Avro's rules have it."""
    return wide in _WIDER.get(narrow, ())


def wider(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that values of both may have; None when there is none. Whole numbers and fractions meet in double."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if not {one, other} <= {*_WIDER, pa.float64()}:
        return None
    return pa.int64() if pa.types.is_integer(one) and pa.types.is_integer(other) else pa.float64()


def widened(array: pa.Array, to: pa.DataType, reason: str, where: str) -> tuple[pa.Array, Bad]:
    """The numbers in a wider type. Whole numbers that a float cannot hold exactly are bad, and null."""
    if array.type == to:
        return array, {}
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), to), {}
    if to not in _EXACT or not pa.types.is_integer(array.type):
        return array.cast(to), {}
    limit = _EXACT[to]
    ends = pc.min_max(array)
    if not ends["max"].is_valid or (ends["max"].as_py() <= limit and ends["min"].as_py() >= -limit):
        return array.cast(to), {}
    outside = pc.fill_null(pc.or_(pc.greater(array, limit), pc.less(array, -limit)), False)
    at = f"{where}: " if where else ""
    bad = {row: (reason, f"{at}{array[row].as_py()} is not exact as {to}") for row in pc.indices_nonzero(outside).to_pylist()}
    return pc.if_else(outside, pa.scalar(None, array.type), array).cast(to), bad

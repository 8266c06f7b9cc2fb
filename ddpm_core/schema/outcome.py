"""What a cast of a column comes to, and how the rows that stop it are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

import pyarrow as pa

from ddpm_core.schema import kernels as pc

Bad: TypeAlias = dict[int, str]
"""Row -> reason code."""

REFUSALS = (pa.ArrowInvalid, OverflowError)
"""What Arrow raises because of a value, not because of a type."""


class Outcome(NamedTuple):
    """A column after a cast: null where `bad` names the row."""

    data: pa.Array
    bad: Bad


def rows_where(mask: pa.BooleanArray) -> list[int]:
    """The rows where the mask is true; null counts as false."""
    return [int(row) for row in pc.indices_nonzero(mask).to_pylist()]


def without(array: pa.Array, rows: Iterable[int]) -> pa.Array:
    """The array with null in these rows, whatever its type."""
    wanted: list[int | None] = list(range(len(array)))
    for row in rows:
        wanted[row] = None
    return array.take(pa.array(wanted, pa.int64()))


def set_aside(array: pa.Array, mask: pa.BooleanArray, reason: str) -> Outcome:
    """Null where the mask is true. Costs one pass over the mask when it never is."""
    if not pc.any(mask).as_py():
        return Outcome(array, {})
    rows = rows_where(mask)
    return Outcome(without(array, rows), dict.fromkeys(rows, reason))


def attempt(array: pa.Array, convert: Callable[[pa.Array], pa.Array], reason: str) -> Outcome:
    """Convert the column at once; when a value stops that, find each such value by halving and convert the others."""
    try:
        return Outcome(convert(array), {})
    except REFUSALS:
        rows = culprits(array, convert)
    return Outcome(convert(without(array, rows)), dict.fromkeys(rows, reason))


def culprits(array: pa.Array, convert: Callable[[pa.Array], object]) -> list[int]:
    """The rows that `convert` refuses, each on its own: k of n rows cost about k log n calls."""
    found: list[int] = []
    pending = [(0, len(array))]
    while pending:
        start, stop = pending.pop()
        try:
            convert(array.slice(start, stop - start))
        except REFUSALS:
            if stop - start == 1:
                found.append(start)
            else:
                middle = (start + stop) // 2
                pending += [(middle, stop), (start, middle)]
    return found


def mismatch(array: pa.Array, target: pa.DataType) -> Outcome:
    """No value of this type fits the target."""
    rows = rows_where(array.is_valid())
    return Outcome(pa.nulls(len(array), target), dict.fromkeys(rows, "type_mismatch"))

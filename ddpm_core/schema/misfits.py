"""What is wrong between declared columns and a table's, told before there are values: for `ddpm validate --live`."""

from __future__ import annotations

import pyarrow as pa

from ddpm_core.schema.cast import cast_column
from ddpm_core.schema.complaint import shown
from ddpm_core.schema.names import match_names
from ddpm_core.schema.types import kind, sql_name

_TEXTS = ("", "0", "true", "2020-01-02", "2020-01-02T00:00:00Z", "00:00:00", "{}", '"0"', "00000000-0000-0000-0000-000000000000")
"""Values of every type, as text that casts into it."""


def misfits(declared: pa.Schema, target: pa.Schema, *, grows: bool) -> list[str]:
    """Why values of declared columns could never land.

    Args:
        declared: The pipeline's columns.
        target: The table's.
        grows: The table gains the columns that it lacks.

    Returns:
        A sentence for each column: the table has no such column, or of a type that none of its values fits into.
    """
    matched = match_names(declared.names, target.names)
    found = {
        number: f"column {shown(declared.field(number).name)} is declared, and the table has no such column"
        for number in matched.unknown
        if not grows
    }
    for name, sources in matched.sources.items():
        for number in sources:
            field = declared.field(number)
            if not may_fit(field.type, target.field(name).type):
                has = sql_name(target.field(name).type)
                found[number] = f"column {shown(name)} is declared {sql_name(field.type)}, and the table has {has}: no value fits"
    return [found[number] for number in sorted(found)]


def may_fit(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether a value of one type can fit into another, by the rules of docs/schema.md: told by trying some of every kind."""
    probes = _probes(source)
    return len(cast_column(probes, target).bad) < len(probes)


def _probes(source: pa.DataType) -> pa.Array:
    match kind(source):
        case "list":
            return pa.ListArray.from_arrays(pa.array([0, 0], pa.int32()), pa.nulls(0, source.value_type), type=source)
        case "duration":
            return pa.array([0], source)
        case "interval":
            return pa.array([pa.MonthDayNano([0, 0, 0])], source)
    return cast_column(pa.array(_TEXTS), source).data.drop_null()

"""What is refused of a document's columns before any row is read."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from pyarrow import types as is_type

from ddpm_arrow.errors import invalid
from ddpm_core import DataError

_MAX_COLUMNS = 10_000
_MAX_DEPTH = 60  # pyarrow reads 64 levels.
_MAX_SCALE = 76  # The most digits that a decimal can have.


def check_columns(name: str, schema: pa.Schema) -> None:
    """Refuse too many columns, names that stand twice, at any depth, columns nested too deep, and decimals that no number can be.

    Raises:
        DataError: With reason `too_many_columns`, `duplicate_column`, `depth` or `arrow_invalid`.
    """
    if len(schema) > _MAX_COLUMNS:
        raise DataError(
            f"{name} has {len(schema):,} columns, and {_MAX_COLUMNS:,} are allowed",
            reason="too_many_columns",
            hint="Split it where it is made.",
        )
    _refuse_twice(name, schema.names, "")
    for field in schema:
        _check_type(name, field.type, field.name, 1)


def _check_type(name: str, t: pa.DataType, column: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        message = f"{name} has columns nested more than {_MAX_DEPTH} levels deep"
        raise DataError(message, reason="depth", hint="Flatten them where the file is made.")
    if isinstance(t, pa.BaseExtensionType):
        _check_type(name, t.storage_type, column, depth + 1)
        return
    if is_type.is_dictionary(t):
        _check_type(name, t.value_type, column, depth + 1)
    if is_type.is_decimal(t) and abs(t.scale) > _MAX_SCALE:  # pyarrow allows it, and Python's decimals cannot be made of it.
        raise invalid(name, f"column {column!r} is a decimal with {t.scale:,} digits after the point")
    if is_type.is_struct(t):
        _refuse_twice(name, [field.name for field in t], f" within column {column!r}")
    for number in range(t.num_fields):
        _check_type(name, t.field(number).type, column, depth + 1)


def _refuse_twice(name: str, columns: list[str], inside: str) -> None:
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise DataError(
            f"{name} has more than one column {twice[0]!r}{inside}",
            reason="duplicate_column",
            hint="Give each its own name where the file is made.",
        )

"""The cursor's values on their way through a position: tagged with their kind, so that they come back exactly as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from ddpm_core import ConfigError, FatalError

CursorKind: TypeAlias = Literal["int", "text", "bytes", "timestamp", "timestamptz", "date", "decimal", "uuid"]

_BY_TYPE: dict[type, CursorKind] = {
    int: "int", str: "text", bytes: "bytes", date: "date", Decimal: "decimal", UUID: "uuid",
}  # fmt: skip
_WRITE: dict[CursorKind, Callable[[Any], Any]] = {
    "int": str,  # As text: not every reader of JSON keeps more than 53 bits.
    "text": str,
    "bytes": bytes.hex,
    "timestamp": datetime.isoformat,
    "timestamptz": lambda value: value.astimezone(UTC).isoformat(),
    "date": date.isoformat,
    "decimal": str,
    "uuid": str,
}
_READ: dict[CursorKind, Callable[[Any], Any]] = {
    "int": int,
    "text": str,
    "bytes": bytes.fromhex,
    "timestamp": datetime.fromisoformat,
    "timestamptz": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "uuid": UUID,
}
_ENDLESS = frozenset({"infinity", "-infinity", "nan", "inf", "-inf"})
ADVICE = "Name another column with source.cursor: an integer, text, date, timestamp, decimal or uuid."


@dataclass(frozen=True, slots=True)
class Mark:
    """The cursor columns and their values in one row: everything up to it, and what equals it, has been delivered.

    Attributes:
        columns: Names, in the order in which they are compared.
        values: As the driver gave them; none is None.
    """

    columns: tuple[str, ...]
    values: tuple[Any, ...]

    def detail(self) -> dict[str, Any]:
        """For a position; `of_detail` gives it back. Values of kinds that `kind_of` refuses are not expected here."""
        tagged = [[kind, _WRITE[kind](value)] for name, value in self._pairs() for kind in [kind_of(name, value)]]
        return {"columns": list(self.columns), "values": tagged}

    @classmethod
    def of_detail(cls, detail: Mapping[str, Any]) -> Mark:
        """What `detail` wrote, in this or an earlier run.

        Raises:
            FatalError: It is nothing that this version understands.
        """
        try:
            values = tuple(_READ[kind](text) for kind, text in detail["values"])
            found = cls(tuple(detail["columns"]), values)
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise FatalError(
                f"the position kept of this query is not understood: {error!r}",
                hint="It was written by another version of ddpm. Upgrade, or use another source.name to begin anew.",
            ) from error
        if len(found.columns) != len(values):
            raise FatalError("the position kept of this query has as many columns as values no more")
        return found

    @property
    def kinds(self) -> tuple[CursorKind, ...]:
        return tuple(kind_of(name, value) for name, value in self._pairs())

    def __str__(self) -> str:
        return ", ".join(f"{name} = {_shown(value)}" for name, value in self._pairs())

    def _pairs(self) -> list[tuple[str, Any]]:
        return list(zip(self.columns, self.values, strict=True))


def kind_of(name: str, value: Any) -> CursorKind:
    """The kind of a value of a cursor column.

    Raises:
        FatalError: A position cannot be kept by it: null, a float (equal values need not compare as equal), or a type without an order.
    """
    if isinstance(value, datetime):
        return "timestamp" if value.utcoffset() is None else "timestamptz"
    kind = _BY_TYPE.get(type(value))
    if kind is None or (kind == "decimal" and not value.is_finite()):
        what = f"the float {value!r}" if isinstance(value, float) else f"a value of type {type(value).__name__}"
        if value is None:
            what = "a null"
        raise FatalError(f"cursor column {name!r} holds {what}, by which no position can be kept", hint=ADVICE)
    return kind


def check_finite(name: str, value: Any) -> None:
    """Of a column of numbers or times that arrives as text: behind `infinity` no later row would ever be read.

    Raises:
        FatalError: It is infinite, or NaN.
    """
    if isinstance(value, str) and value.casefold() in _ENDLESS:
        raise FatalError(
            f"cursor column {name!r} holds {value}, behind which no later row would ever be read",
            hint=f"Leave such rows out with source.query: … where {name} < 'infinity'. What was committed before stays.",
        )


def check_same_kinds(before: Mark, now: Mark) -> None:
    """A loosely typed column (SQLite) may hold numbers and text; of those, equality here need not be the database's.

    Raises:
        FatalError: The kinds differ.
    """
    for name, old, new in zip(now.columns, before.kinds, now.kinds, strict=False):
        if old != new:
            raise FatalError(
                f"cursor column {name!r} holds a {new} after a {old}; a position can be kept by values of one kind only",
                hint="Correct these rows, or cast the column in source.query.",
            )


def continues(known: Mark, columns: Sequence[str], name: str) -> None:
    """Whether a position can be gone on from with these cursor columns: the same, or more behind them.

    All rows with equal values of the known columns have been delivered, so a longer cursor goes on behind them.

    Raises:
        ConfigError: They are others.
    """
    if tuple(columns[: len(known.columns)]) != known.columns:
        raise ConfigError(
            f"{name} has been read by the cursor {', '.join(known.columns)}, and now source.cursor is {', '.join(columns)}",
            hint="Use the same cursor, or columns behind it; or another source.name, which begins anew.",
        )


def _shown(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

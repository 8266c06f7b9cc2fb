"""The names of the columns."""

from __future__ import annotations

from collections.abc import Iterable

from ddpm_core import DataError

MAX_COLUMNS = 1_600
"""The most columns that a document can have; Postgres holds no more."""


def column_names(fields: Iterable[str], document: str) -> list[str]:
    """Names that differ, also without regard to case, from what a header says.

    White space around a name is left out. A column without a name is called column_N by its place, counted from 1. A name that
    came before, in whatever case, gets the first free one of the suffixes _2, _3, …

    Raises:
        DataError: There are too many.
    """
    wanted = [field.strip("\ufeff \t\r\n") or f"column_{number}" for number, field in enumerate(fields, 1)]
    check_number(len(wanted), document)
    every = {name.casefold() for name in wanted}
    taken: set[str] = set()
    names = []
    for name in wanted:
        suffix, free = 1, name
        while free.casefold() in taken or (suffix > 1 and free.casefold() in every):
            suffix += 1
            free = f"{name}_{suffix}"
        taken.add(free.casefold())
        names.append(free)
    return names


def numbered_names(number: int, document: str) -> list[str]:
    """The names of columns that nobody named.

    Raises:
        DataError: There are too many.
    """
    check_number(number, document)
    return [f"column_{place}" for place in range(1, number + 1)]


def check_number(number: int, document: str) -> None:
    """Whether a document may have so many columns.

    Raises:
        DataError: It may not.
    """
    if number > MAX_COLUMNS:
        raise DataError(
            f"{document} has {number:,} columns, and {MAX_COLUMNS:,} are allowed",
            reason="too_many_columns",
            hint="Is this a CSV file at all, and is its delimiter right? Name it with -o format.delimiter=';'.",
        )

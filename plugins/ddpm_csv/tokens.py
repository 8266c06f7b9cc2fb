"""Finding records one by one: exactly, whatever the document holds. What every faster way must agree with."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ddpm_csv.dialect import Dialect

Span = tuple[int, int]

_LINE_END = re.compile(rb"\r\n|[\r\n]")
_LINE_ENDS = re.compile(rb"[\r\n]*+")


@dataclass(slots=True)
class Scan:
    """The records of a text.

    Attributes:
        spans: Where each one begins and ends, without its line end. Blank lines are none.
        bad: Record -> what is wrong with it.
        end: Where the next record begins.
    """

    spans: list[Span] = field(default_factory=list)
    bad: dict[int, str] = field(default_factory=dict)
    end: int = 0


def scan(data: bytes, dialect: Dialect, *, final: bool, patience: int, limit: int) -> Scan:
    """The records that `data` holds whole.

    Args:
        data: Text that begins where a record does.
        dialect: How it is written.
        final: Whether nothing follows. Else what may go on after the end of `data` is left out.
        patience: A quote that is not closed within so many bytes of its record is never closed: its line ends a bad record, and
            reading goes on with the next line. So it is, too, where nothing follows.
        limit: How many records at most.
    """
    found = Scan()
    at = _past_line_ends(data, 0)
    whole = dialect.record
    while at < len(data) and len(found.spans) < limit:
        match = whole.match(data, at)
        if match is not None and (match.end() - at <= patience or not _has(data, dialect.quote, at, match.end())):
            end, problem = match.end(), ""
        else:
            end, problem = _awkward_record(data, at, dialect, final, patience)
        if end < 0 or (end == len(data) and not final):
            break
        if problem:
            found.bad[len(found.spans)] = problem
        found.spans.append((at, end))
        at = _past_line_ends(data, end)
    found.end = at
    return found


def _awkward_record(data: bytes, start: int, dialect: Dialect, final: bool, patience: int) -> tuple[int, str]:
    """Where a record ends that is not well or very long, and what is wrong with it; -1 where that is not known yet."""
    at, problem = start, ""
    while True:
        well = dialect.fields.match(data, at, start + patience)
        at = well.end() if well else at
        if dialect.quote and data.startswith(dialect.quote, at):
            quoted = dialect.opening.match(data, at)
            if quoted is None or quoted.end() - start > patience:
                if not final and len(data) - start <= patience:
                    return -1, ""
                return _line_end(data, at, final), f"the quote at byte {at - start + 1} of the record is never closed"
            at = quoted.end()
            if not (at == len(data) or data[at : at + 1] in (dialect.delimiter, b"\r", b"\n")):
                problem = problem or f"there is more after the closing quote at byte {at - start} of the record"
        rest = dialect.rest.match(data, at)
        at = rest.end() if rest else at
        if data.startswith(dialect.delimiter, at):
            at += 1
        elif dialect.escape and data.startswith(dialect.escape, at):  # The very last byte: there is nothing to escape.
            return len(data), problem or "the record ends with an escape character"
        else:
            return at, problem


def _has(data: bytes, quote: bytes, begin: int, end: int) -> bool:
    return bool(quote) and data.find(quote, begin, end) >= 0


def _line_end(data: bytes, at: int, final: bool) -> int:
    found = _LINE_END.search(data, at)
    return found.start() if found else len(data) if final else -1


def _past_line_ends(data: bytes, at: int) -> int:
    found = _LINE_ENDS.match(data, at)
    return found.end() if found else at

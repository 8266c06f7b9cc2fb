"""Which delimiter a document has, where nobody says."""

from __future__ import annotations

import re

from ddpm_csv.dialect import Dialect
from ddpm_csv.options import GUESSES, CsvOptions
from ddpm_csv.tokens import scan

SAMPLE_BYTES = 1 << 18
"""How much of a document decides its delimiter, at most."""

SAMPLE_RECORDS = 100
"""How many of its records do, at most."""

_DECLARED = re.compile(rb"(\"?)sep=([^\r\n\x00])\1[\r\n]*+", re.DOTALL)
_BLANK = (b" ", b"\xc2\xa0")


def declared_delimiter(line: bytes, options: CsvOptions) -> bytes:
    """The delimiter that a first line `sep=;` declares for Excel, itself perhaps in quotes; nothing where it is no such line.

    A letter or digit is taken for a value, as in a list of settings, unless the options name it as the delimiter; and so is any
    other delimiter than the one that they name.
    """
    found = _DECLARED.fullmatch(line)
    if not found or not found[2].isascii():
        return b""
    delimiter = found[2].decode()
    if options.delimiter is not None:
        return found[2] if delimiter == options.delimiter else b""
    return b"" if delimiter.isalnum() or delimiter in (options.quote, options.escape) else found[2]


def find_delimiter(line: bytes, sample: bytes, options: CsvOptions, *, final: bool) -> bytes:
    """The delimiter, of comma, tab, semicolon and `|`, that parts the records of a sample evenly.

    It is the one by which most records have as many fields as the first one, more than 1. Of several: one that no blank follows in
    the first record, as it does in the text `Amount, EUR`; then the one with more fields; then the first in their order. Where no
    other record agrees with the first one, and where there is none, it is the first that the line has outside quotes, else a comma.

    Args:
        line: The first line.
        sample: The text that begins with it.
        options: Of the format.
        final: Whether nothing follows the sample. Else its last record is not looked at, as it may go on.
    """
    guesses = [guess.encode() for guess in GUESSES if guess.encode() in line]
    if len(guesses) > 1:
        best = max((_merit(Dialect.of(options, guess), sample, final), -place) for place, guess in enumerate(guesses))
        if best[0][0]:
            return guesses[-best[1]]
    outside = b"".join(line.split(options.quote.encode())[::2]) if options.quote else line
    return next((guess for guess in guesses if guess in outside), b",")


def _merit(dialect: Dialect, sample: bytes, final: bool) -> tuple[int, bool, int]:
    """How many records agree with the first one, whether none of its fields but the first begins with a blank, and their number."""
    found = scan(sample, dialect, final=final, patience=len(sample), limit=SAMPLE_RECORDS)
    if not found.spans or 0 in found.bad:
        return 0, False, 0
    records = [sample[begin:end] for record, (begin, end) in enumerate(found.spans) if record not in found.bad]
    number = dialect.count(records[0])
    if number == 1:
        return 0, False, 0
    agreeing = sum(dialect.count(record) == number for record in records[1:])
    return agreeing, not any(field.startswith(_BLANK) for field, _ in dialect.split(records[0])[1:]), number

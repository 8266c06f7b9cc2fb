"""How fields and records are written: which bytes part them, and the patterns that find them."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_csv.options import CsvOptions


@dataclass(frozen=True)
class Dialect:
    """Which bytes have a meaning.

    A field in quotes begins with the quote and ends with the next quote that is not doubled; a delimiter or line end must follow.
    A quote within a field that does not begin with one is a character like others.

    Attributes:
        delimiter: Parts fields.
        quote: Surrounds fields that hold delimiters, line ends or quotes; empty for none.
        escape: Takes the meaning of the next byte; empty for none.
    """

    delimiter: bytes
    quote: bytes = b'"'
    escape: bytes = b""

    @classmethod
    def of(cls, options: CsvOptions, delimiter: bytes) -> Dialect:
        """The dialect that the options describe, with this delimiter."""
        return cls(delimiter, options.quote.encode(), options.escape.encode())

    @cached_property
    def quoted(self) -> bytes:
        """Pattern of a field in quotes. Possessive throughout, so linear."""
        quote, escape = re.escape(self.quote), re.escape(self.escape)
        plain = rb"[^" + quote + escape + rb"]*+"
        special = quote + quote + (rb"|" + escape + rb"." if escape else b"")
        return quote + plain + rb"(?:(?:" + special + rb")" + plain + rb")*+" + quote

    @cached_property
    def unquoted(self) -> bytes:
        """Pattern of what stands before a delimiter or line end."""
        special = re.escape(self.delimiter) + rb"\r\n"
        if not self.escape:
            return rb"[^" + special + rb"]*+"
        escape = re.escape(self.escape)
        return rb"(?:[^" + special + escape + rb"]|" + escape + rb".)*+"

    @cached_property
    def field(self) -> re.Pattern[bytes]:
        """A field, whose group `quoted` says that it is in quotes, and the delimiter or end after it."""
        end = rb"(?:" + re.escape(self.delimiter) + rb"|\Z)"
        plain = rb"(?P<plain>" + self.unquoted + rb")" + end
        if not self.quote:
            return re.compile(plain, re.DOTALL)
        return re.compile(rb"(?P<quoted>" + self.quoted + rb")" + end + rb"|" + plain, re.DOTALL)

    @cached_property
    def record(self) -> re.Pattern[bytes]:
        """A whole record without its line end, if all is well with it."""
        after = rb"(?=" + re.escape(self.delimiter) + rb"|[\r\n]|\Z)"
        if self.quote:
            field = rb"(?:" + self.quoted + after + rb"|(?!" + re.escape(self.quote) + rb")" + self.unquoted + rb")"
        else:
            field = self.unquoted
        return re.compile(field + rb"(?:" + re.escape(self.delimiter) + field + rb")*+(?=[\r\n]|\Z)", re.DOTALL)

    @cached_property
    def fields(self) -> re.Pattern[bytes]:
        """As many fields as are well and have a delimiter behind them; maybe none."""
        field = self.unquoted
        if self.quote:
            field = rb"(?:" + self.quoted + rb"|(?!" + re.escape(self.quote) + rb")" + self.unquoted + rb")"
        return re.compile(rb"(?:" + field + re.escape(self.delimiter) + rb")*+", re.DOTALL)

    @cached_property
    def regular(self) -> str:
        """Pattern, in RE2's spelling, of a whole text in which each quote opens a field, closes one, or is doubled in one in quotes."""
        quote, ends = _spelled(self.quote), _spelled(b"\r\n" + self.delimiter)
        quoted, plain = rf"{quote}(?:[^{quote}]|{quote}{quote})*{quote}", rf"[^{quote}{ends}]*"
        return rf"\A(?:(?:{quoted}|{plain})(?:[{ends}]|\z))*\z"

    @cached_property
    def odd_number(self) -> str:
        """Pattern, in RE2's spelling, of the beginning or end of a field that is no plain number; see `types.are_plain`."""
        beside = _spelled(b"\r\n" + self.delimiter + self.quote)
        begin, end = rf"(?:\A|[{beside}])", rf"(?:\z|[{beside}])"
        return rf"{begin}(?:[ \t+.]|-?0[0-9xX]|-\.)|[ \t.]{end}|\.[eE]"

    @cached_property
    def opening(self) -> re.Pattern[bytes]:
        """A field in quotes, wherever it begins."""
        return re.compile(self.quoted, re.DOTALL)

    @cached_property
    def rest(self) -> re.Pattern[bytes]:
        """What stands before the next delimiter or line end."""
        return re.compile(self.unquoted, re.DOTALL)

    def count(self, record: bytes) -> int:
        """How many fields a record has that is well, without holding them: they may be millions."""
        if not (self.quote and self.quote in record) and not (self.escape and self.escape in record):
            return record.count(self.delimiter) + 1
        if self.escape and self.escape in record:
            return len(self.split(record))
        found = sum(1 for _ in self.field.finditer(record))
        return found - (bool(record) and not record.endswith(self.delimiter))  # Nothing is found once more behind the last field.

    def split(self, record: bytes) -> list[tuple[bytes, bool]]:
        """The fields of a record that is well, each with whether it was in quotes."""
        if not (self.quote and self.quote in record) and not (self.escape and self.escape in record):
            return [(field, False) for field in record.split(self.delimiter)]
        fields: list[tuple[bytes, bool]] = []
        at = 0
        while True:
            found = self.field.match(record, at)
            assert found is not None, "a record that is well is made of fields"  # noqa: S101 - the pattern `record` proved it
            part = "quoted" if self.quote and found["quoted"] is not None else "plain"
            quoted = part == "quoted"
            fields.append((self._content(found[part][1:-1] if quoted else found[part], quoted=quoted), quoted))
            at = found.end()
            if at == found.end(part):  # No delimiter follows.
                return fields

    def _content(self, text: bytes, *, quoted: bool) -> bytes:
        if self.escape and self.escape in text:
            special = re.escape(self.escape) + rb"(.)"
            if quoted:
                special += rb"|" + re.escape(self.quote) + rb"(" + re.escape(self.quote) + rb")"
            return re.sub(special, lambda found: found[1] or found[2], text, flags=re.DOTALL)
        return text.replace(self.quote * 2, self.quote) if quoted else text


def occurs(pattern: str, data: bytes) -> bool:
    """Whether a pattern of RE2's occurs in these bytes. Linear in them, without a copy and without the GIL."""
    whole = pa.Array.from_buffers(pa.binary(), 1, [None, pa.py_buffer(array("i", (0, len(data)))), pa.py_buffer(data)])
    return bool(pc.match_substring_regex(whole, pattern)[0].as_py())


def _spelled(characters: bytes) -> str:
    """Characters for a pattern of RE2's, whatever they mean there."""
    return "".join(f"\\x{byte:02x}" for byte in characters)

"""What no cast finds: bytes in text columns that are not UTF-8, NUL characters, decimals with too many digits."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa

from ddpm_core.schema import kernels as pc
from ddpm_core.schema.lists import list_parts
from ddpm_core.schema.outcome import REFUSALS, culprits, rows_where
from ddpm_core.schema.types import kind, plain

_NUL_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def rows_with_bad_utf8(array: pa.Array) -> list[int]:
    """The rows in which a text, nested or not, is not valid UTF-8."""
    try:
        array.validate(full=True)
    except REFUSALS:
        pass
    else:
        return []
    try:
        return _rows(array, _bad_utf8)
    except pa.ArrowIndexError:  # A dictionary without the value that a row names: no text is at fault.
        return []


def rows_invalid(array: pa.Array) -> list[int]:
    """The rows that Arrow calls invalid in a column of values of fixed width: decimals with more digits than the type says."""
    if not (pa.types.is_primitive(array.type) or pa.types.is_decimal(array.type)):
        return []
    return culprits(array, lambda part: part.validate(full=True))


def rows_with_nul(array: pa.Array) -> list[int]:
    """The rows in which a text, nested or not, holds U+0000, or a JSON text its escape."""
    return _rows(array, _nul)


def _bad_utf8(array: pa.StringArray, is_json: bool) -> list[int]:
    return culprits(array, lambda part: part.validate(full=True))


def _nul(array: pa.StringArray, is_json: bool) -> list[int]:
    needle = b"\\u0000" if is_json else b"\x00"
    if not _may_hold(array, needle):
        return []
    if is_json:
        rows = rows_where(pc.match_substring(array, r"\u0000"))
        return [row for row in rows if _NUL_ESCAPE.search(array[row].as_py())]
    return rows_where(pc.match_substring(array, "\x00"))


def _may_hold(array: pa.StringArray, needle: bytes) -> bool:
    """Whether the bytes of all texts together hold these; four times faster than asking each text."""
    texts = array.buffers()[2]
    if texts is None:
        return False
    if texts.size > 2 * array.nbytes:  # A slice of something large.
        return True
    return needle in texts.to_pybytes()


def _rows(array: pa.Array, find: Callable[[pa.StringArray, bool], list[int]]) -> list[int]:
    array = plain(array)
    match kind(array.type):
        case "text":
            return find(array, False)
        case "json":
            return find(plain(array.storage), True)
        case "list" | "map":
            lists = list_parts(array)
            found = _rows(lists.values, find)
            row_of = lists.row_of_values() if found else []
            return sorted({row_of[element] for element in found})
        case "struct":
            return sorted({row for child in array.flatten() for row in _rows(child, find)})
        case _:
            return []

"""Names of folders: the table's, and those that the values of columns make (`day=2026-11-21`, as Hive writes them)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core import ConfigError, Reject, split_table

NULL = "__HIVE_DEFAULT_PARTITION__"
_UNSAFE = re.compile("[\x00-\x1f\x7f\"#%'*/:=?\\\\{}\\[\\]^<>|\ud800-\udfff]")
_LONGEST = 255


def escaped(text: str) -> str:
    """As part of a name: what file systems, object stores or readers take for something else is percent-encoded, as Hive does."""
    return _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="surrogatepass"), text)


def table_folder(table: str) -> list[str]:
    """The folders of `[schema.]table`; none for an empty text."""
    if not table:
        return []
    parts = [part for part in split_table(table) if part is not None]
    for part in parts:
        if part.startswith(("_", ".")):
            raise ConfigError(
                f"table {table!r} would be a folder that readers leave out: its name begins with {part[0]!r}",
                hint="Name another one with --table.",
            )
    return [escaped(part) for part in parts]


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of a batch that belong into one folder.

    Attributes:
        folder: Below the table's; empty without partition columns.
        data: The rows, in their order.
        rows: Row of `data` -> row of the batch; None means they are the same.
    """

    folder: str
    data: pa.RecordBatch
    rows: pa.Array | None = None

    def row(self, index: int) -> int:
        """The row of the batch."""
        return index if self.rows is None else int(self.rows[index].as_py())


class Folders:
    """Splits batches by the values of columns.

    Args:
        columns: Their names, outermost folder first.
        keep: Leave the columns in the rows, too.
    """

    def __init__(self, columns: Sequence[str], *, keep: bool) -> None:
        self._columns = columns
        self._keep = keep
        self._seen: set[str] = set()

    def split(self, data: pa.RecordBatch, rejects: list[Reject]) -> Iterator[Part]:
        """The parts of a batch. Rows whose values make no name are added to `rejects`.

        Raises:
            ConfigError: The first batch lacks a column, a column's type cannot be a name, or there is no other column.
        """
        if not self._columns:
            yield Part("", data)
            return
        codes, names = self._folders(data)
        rest = data if self._keep else data.drop_columns([name for name in self._columns if name in data.schema.names])
        if not rest.num_columns:
            raise ConfigError(
                "option 'partition_by' names every column of the data, so there is nothing left to write into the files"
            )
        if len(names) == 1 and _fits(names[0]):
            yield Part(names[0], rest)
            return
        order = pc.sort_indices(codes)  # Stable: rows stay in their order.
        runs = pc.run_end_encode(codes.take(order))
        start = 0
        for code, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            rows = order.slice(start, end - start)
            start = end
            if _fits(names[code]):
                yield Part(names[code], rest.take(rows), rows)
                continue
            message = f"the values of {', '.join(self._columns)} are too long for the name of a folder"
            rejects += [Reject(row, "partition_value", message) for row in rows.to_pylist()]

    def _folders(self, data: pa.RecordBatch) -> tuple[pa.Array, list[str]]:
        """Row -> number of its folder, and the folders' names."""
        names = [""]
        codes = pa.nulls(data.num_rows, pa.int64()).fill_null(0)
        for column in self._columns:
            texts = self._texts(data, column)
            values = [NULL if value is None else escaped(value) for value in texts.dictionary.to_pylist()]
            both = pc.add(pc.multiply(codes, len(values)), texts.indices.cast(pa.int64())).dictionary_encode()
            made = both.dictionary.to_pylist()
            names = [
                f"{names[code // len(values)]}{'/' if names[0] else ''}{escaped(column)}={values[code % len(values)]}"
                for code in made
            ]
            codes = both.indices.cast(pa.int64())
        return codes, names

    def _texts(self, data: pa.RecordBatch, column: str) -> pa.DictionaryArray:
        """The column's values as text, each once, null among them."""
        if column not in data.schema.names:
            if column not in self._seen:
                known = ", ".join(data.schema.names)
                raise ConfigError(f"option 'partition_by' names column {column!r}, which the data lacks", hint=f"It has: {known}.")
            array = pa.nulls(data.num_rows, pa.string())
        else:
            array = data.column(column)
        self._seen.add(column)
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if not _can_be_text(array.type):
            raise ConfigError(
                f"option 'partition_by' names column {column!r}, whose type {array.type} cannot be the name of a folder"
            )
        return array.cast(pa.string()).dictionary_encode(null_encoding="encode")


def _can_be_text(of: pa.DataType) -> bool:
    t = pa.types
    tests = (t.is_integer, t.is_floating, t.is_boolean, t.is_decimal, t.is_temporal, t.is_null)
    return t.is_string(of) or t.is_large_string(of) or t.is_string_view(of) or any(test(of) for test in tests)


def _fits(folder: str) -> bool:
    return all(len(part.encode()) <= _LONGEST for part in folder.split("/"))

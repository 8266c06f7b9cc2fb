"""The serializer of the format `csv`."""

from __future__ import annotations

import re
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as is_type

from ddpm_core import BuildContext, DataError, DocumentWriter, Serializer, conform
from ddpm_csv.options import CsvOptions

_BINARY = (is_type.is_binary, is_type.is_large_binary, is_type.is_fixed_size_binary, is_type.is_binary_view)
_TEXT = (is_type.is_string, is_type.is_large_string, is_type.is_string_view)


class CsvSerializer(Serializer):
    """Writes each row as one line of CSV that reads back, with the same options, as the same values.

    Null is nothing between two delimiters; an empty text is a pair of quotes. Text is in quotes where it holds a delimiter, a quote
    or a line end, or spells null. Times are ISO 8601, with a Z where the column has a time zone; decimals have all their digits;
    binary is `\\x` and hexadecimal digits; lists, structs and maps are JSON text. A document begins with the names of its columns,
    unless `header` is off; a payload is a line without its end and without a header.
    """

    def __init__(self, options: CsvOptions) -> None:
        self._encoding = options.encoding
        self._header = options.header
        self._delimiter = options.delimiter or ","
        self._quote = options.quote
        self._nulls = options.nulls
        self._escape = options.escape
        special = "".join(map(re.escape, self._delimiter + self._quote + options.escape)) + r"\r\n"
        self._awkward = f"[{special}]"

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        encoding = self._encoding_after_mark()
        return [self._encoded(line, encoding) for line in self._lines(data).to_pylist()]

    def document_writer(self, stream: BinaryIO, schema: pa.Schema) -> DocumentWriter:
        return CsvWriter(self, stream, schema)

    def header(self, schema: pa.Schema) -> str:
        """The names of the columns as a line with its end, or nothing where documents have no header.

        Raises:
            DataError: A name would not come back as it is: it is empty, has white space around it, or occurs twice.
        """
        names: list[str] = schema.names
        if not names:
            raise DataError("a CSV without columns cannot be written", reason="no_columns")
        if not self._header:
            return ""
        for number, name in enumerate(names):
            if not name.strip() or name != name.strip("\ufeff \t\r\n"):
                raise DataError(
                    f"{name!r} cannot be the name of a column in a CSV: white space around it is not kept", reason="column_name"
                )
            if name.casefold() in {other.casefold() for other in names[:number]}:
                raise DataError(f"two columns of a CSV cannot both be called {name!r}", reason="duplicate_column")
        return self._delimiter.join(self._fields(pa.array(names, pa.string()), alone=True, quotes_nulls=False).to_pylist()) + "\n"

    def document(self, data: pa.RecordBatch) -> bytes:
        """The rows as lines."""
        lines = self._lines(data).to_pylist()
        return self._encoded("\n".join([*lines, ""]), self._encoding_after_mark())

    def beginning(self, schema: pa.Schema) -> bytes:
        """What a document begins with."""
        return self._encoded(self.header(schema), self._encoding)

    def _encoding_after_mark(self) -> str:
        """The byte order mark of UTF-16 and UTF-32 stands at the beginning only, and says which order this machine has."""
        return {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(self._encoding, self._encoding)

    def _encoded(self, text: str, encoding: str) -> bytes:
        try:
            return text.encode(encoding)
        except UnicodeEncodeError as error:
            raise DataError(f"{text[error.start]!r} cannot be written in {encoding}", reason="encoding") from None

    def _lines(self, data: pa.RecordBatch) -> pa.StringArray:
        if not data.num_columns:
            raise DataError("a CSV without columns cannot be written", reason="no_columns")
        alone = data.num_columns == 1
        fields = []
        for name, column in zip(data.schema.names, data.columns, strict=True):
            try:
                fields.append(self._fields(_texts(column, name), alone=alone, quotes_nulls=True))
            except DataError as error:
                raise DataError(f"column {name!r}: {error.message}", reason=error.reason) from None
        return fields[0] if alone else pc.binary_join_element_wise(*fields, self._delimiter)

    def _fields(self, texts: pa.StringArray, *, alone: bool, quotes_nulls: bool) -> pa.StringArray:
        """Texts as fields: in quotes where they must be."""
        awkward = pc.match_substring_regex(texts, self._awkward)
        if quotes_nulls:
            awkward = pc.or_(awkward, pc.is_in(texts, value_set=pa.array(self._nulls, pa.string()), skip_nulls=True))
        if not self._quote:
            if pc.any(awkward).as_py():
                bad = texts.filter(awkward)[0].as_py()
                raise DataError(f"{bad[:80]!r} needs quotes, and there are none", reason="csv_invalid")
        elif pc.any(awkward).as_py():
            doubled = pc.replace_substring(texts, self._escape, self._escape * 2) if self._escape else texts
            doubled = pc.replace_substring(doubled, self._quote, self._quote * 2)
            texts = pc.if_else(awkward, pc.binary_join_element_wise(self._quote, doubled, self._quote, ""), texts)
        # A blank line is no record: a null that is alone in its line is spelled.
        return pc.fill_null(texts, next((null for null in self._nulls if null), "") if alone else "")


class CsvWriter(DocumentWriter):
    """Writes a header and lines."""

    def __init__(self, serializer: CsvSerializer, stream: BinaryIO, schema: pa.Schema) -> None:
        self._serializer = serializer
        self._stream = stream
        self._begin: bytes | None = serializer.beginning(schema)

    def write(self, data: pa.RecordBatch) -> None:
        self._write_beginning()
        if data.num_rows:
            self._stream.write(self._serializer.document(data))

    def close(self) -> None:
        self._write_beginning()

    def _write_beginning(self) -> None:
        if self._begin is not None:
            self._stream.write(self._begin)
            self._begin = None


def _texts(column: pa.Array, name: str) -> pa.StringArray:
    """A column as text: `conform` knows how, but for binary, which it takes for text that is UTF-8."""
    while is_type.is_dictionary(column.type) or is_type.is_run_end_encoded(column.type):
        column = column.dictionary_decode() if is_type.is_dictionary(column.type) else pc.run_end_decode(column)
    if any(test(column.type) for test in _TEXT):
        texts = column.cast(pa.string())
        try:
            texts.validate(full=True)
        except pa.ArrowInvalid as error:
            raise DataError(f"a text is not UTF-8: {error}", reason="encoding") from None
        return texts
    if any(test(column.type) for test in _BINARY):
        return pa.array([None if value is None else f"\\x{value.hex()}" for value in column.to_pylist()], pa.string())
    if not len(column):
        return pa.array([], pa.string())
    conformed = conform(pa.RecordBatch.from_arrays([column], names=[name]), pa.schema([pa.field(name, pa.string())]))
    if conformed.rejects or conformed.data is None:
        raise DataError(conformed.rejects[0].message, reason=conformed.rejects[0].reason)
    return conformed.data.column(0)


def build(options: CsvOptions, _: BuildContext) -> CsvSerializer:
    """The serializer for a run."""
    return CsvSerializer(options)

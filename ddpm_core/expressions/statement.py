"""One SELECT over a batch, and the rows that make it fail."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from ddpm_core.errors import ConfigError, FatalError, Problem
from ddpm_core.expressions.check import Expression, named
from ddpm_core.expressions.sandbox import sandbox, words

_ROWS = '"rows of the batch"'
"""What the batch is called in statements; no column has that name by chance."""

_ROW_ERRORS = (duckdb.DataError, duckdb.InvalidInputException, duckdb.OutOfMemoryException)
"""What a statement may fail with because of a row. All else is the configuration's fault, or DuckDB's."""

_OWN_WORDS = 200
"""So many failing rows of a batch are asked for DuckDB's own words: a statement each."""

_IN_ARROW = {
    "HUGEINT": "CAST({} AS DECIMAL(38, 0))",
    "UHUGEINT": "CAST({} AS DECIMAL(38, 0))",
    "BIT": "CAST({} AS VARCHAR)",
    "BIGNUM": "CAST({} AS VARCHAR)",
    "TIME WITH TIME ZONE": "CAST({} AS VARCHAR)",
    "UUID": "unhex(replace(CAST({} AS VARCHAR), '-', ''))",
}
"""DuckDB's types that others do not have, or that it would hand out as text, and how they are selected."""

_FOREIGN = ("HUGEINT", "BIGNUM", "BIT[", "BIT,", "BIT)", "TIME WITH TIME ZONE", "UNION(")
"""Within other types these cannot be cast from here."""


class Stream:
    """The batch that DuckDB reads where a statement names it. It is read where it lies."""

    def __init__(self, data: pa.RecordBatch) -> None:
        self.data = data

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return pa.RecordBatchReader.from_batches(self.data.schema, [self.data]).__arrow_c_stream__()


class Statement:
    """A DuckDB of its own, and what it is asked for each batch. Made, used and closed in one thread.

    Args:
        where: How messages about the configuration name an expression; `{}` stands for its column.
        conditions: Each expression must be a boolean.
    """

    def __init__(self, where: str, *, conditions: bool) -> None:
        self._where = where
        self._conditions = conditions
        self._connection = sandbox()
        self._stream = Stream(pa.record_batch([pa.nulls(0)], ["nothing"]))
        self._expressions: Sequence[Expression] = ()
        self._schema: pa.Schema | None = None
        self._selected: list[str] = []
        """What is selected for each expression: its text in parentheses, cast where others do not have the type."""
        self._types: list[str] = []
        """DuckDB's name for the type of each."""

    def try_constants(self, expressions: Sequence[Expression]) -> None:
        """Calculate those that read no column, once.

        Raises:
            ConfigError: One fails, and would fail for every row.
        """
        problems = []
        for expression in expressions:
            if not expression.columns:
                try:
                    self._connection.sql(f"SELECT (\n{expression.text}\n) AS v").to_arrow_table()
                except duckdb.Error as error:
                    problems.append(self._problem(expression, words(error)))
        if problems:
            raise ConfigError(problems)

    def prepare(self, expressions: Sequence[Expression], schema: pa.Schema) -> None:
        """Called before each batch: do these expressions fit these columns? Looked at again only when one of them changes.

        Raises:
            ConfigError: Names each expression and column that does not fit.
        """
        if self._schema is not None and schema.equals(self._schema) and expressions == self._expressions:
            return
        self._schema = None
        self._stream.data = _empty(schema)
        try:
            self._connection.register(_ROWS.strip('"'), self._stream)
        except duckdb.Error:
            raise ConfigError(self._not_taken(schema)) from None
        selected, types, problems = [], [], []
        for expression in expressions:
            try:
                text, made = self._fitting(expression)
                selected.append(text)
                types.append(made)
            except duckdb.Error as error:
                problems.append(self._problem(expression, words(error)))
            except _Unfit as error:
                problems.append(self._problem(expression, str(error)))
        if problems:
            raise ConfigError(problems)
        self._expressions, self._schema, self._selected, self._types = expressions, schema, selected, types

    def run(self, data: pa.RecordBatch) -> tuple[list[pa.Array], dict[int, str]]:
        """An array for each expression, without the rows that failed; and failed row -> why.

        Raises:
            FatalError: DuckDB itself is broken.
        """
        try:
            return self._arrays([self._select(data, self._selected)]), {}
        except _ROW_ERRORS:
            failed = self._culprits(data)
        finally:
            self._stream.data = _empty(data.schema)
        numbers = [row for row in range(data.num_rows) if row not in failed]
        pieces: list[pa.Table] = []
        try:
            self._in_pieces(data.take(pa.array(numbers, pa.int64())), 0, numbers, pieces, failed)
        finally:
            self._stream.data = _empty(data.schema)
        return self._arrays(pieces), dict(sorted(failed.items()))

    def close(self) -> None:
        """Give DuckDB back."""
        self._connection.close()

    def _arrays(self, pieces: list[pa.Table]) -> list[pa.Array]:
        made = pa.concat_tables(pieces).combine_chunks()
        return [_array(column, known) for column, known in zip(made.columns, self._types, strict=True)]

    def _select(self, data: pa.RecordBatch, selected: Sequence[str]) -> pa.Table:
        """A column for each of `selected`, for all rows or none."""
        self._stream.data = data
        listed = ", ".join(f"{text} AS c{number}" for number, text in enumerate(selected))
        try:
            made = self._connection.sql(f"SELECT {listed} FROM {_ROWS}").to_arrow_table()
        except _ROW_ERRORS:
            raise
        except duckdb.Error as error:
            raise FatalError(f"DuckDB failed over an expression: {words(error)}") from error
        if made.num_rows != data.num_rows:
            raise ConfigError(
                f"the expressions make {made.num_rows:,} rows of {data.num_rows:,}, and each gives one value for a row"
            )
        return made

    # Rows that fail.

    def _culprits(self, data: pa.RecordBatch) -> dict[int, str]:
        """The rows that fail, as far as that can be found with few statements: `TRY` gives NULL for a value that fails.

        A value that is NULL by right is told from these by the struct around it.
        """
        failed: dict[int, str] = {}
        asked = 0
        for expression, text in zip(self._expressions, self._selected, strict=True):
            try:
                flags = self._select(data, [f"TRY({{'v': {text}}}) IS NULL"]).column(0)
            except (*_ROW_ERRORS, FatalError):
                continue  # Its values are made anew each time (uuid), or it fails for want of memory: piece by piece, then.
            for row, bad in enumerate(flags.to_pylist()):
                if not bad or row in failed:
                    continue
                asked += 1
                if asked > _OWN_WORDS:
                    failed[row] = f"{named(expression)} fails on this row"
                elif said := self._words_for(data.slice(row, 1), expression, text):
                    failed[row] = said
        return failed

    def _in_pieces(
        self, data: pa.RecordBatch, start: int, numbers: list[int], pieces: list[pa.Table], failed: dict[int, str]
    ) -> None:
        """Values of the rows from `start` on, in ever smaller pieces where one fails; `numbers` are the rows' own."""
        try:
            pieces.append(self._select(data, self._selected))
            return
        except _ROW_ERRORS as error:
            if data.num_rows <= 1:
                failed[numbers[start]] = self._whose(data) or words(error)
                pieces.append(self._select(data.slice(0, 0), self._selected))
                return
        half = data.num_rows // 2
        self._in_pieces(data.slice(0, half), start, numbers, pieces, failed)
        self._in_pieces(data.slice(half), start + half, numbers, pieces, failed)

    def _whose(self, row: pa.RecordBatch) -> str:
        """Which expression fails on this row, and why."""
        tried = (self._words_for(row, *pair) for pair in zip(self._expressions, self._selected, strict=True))
        return next((said for said in tried if said), "")

    def _words_for(self, row: pa.RecordBatch, expression: Expression, text: str) -> str:
        """Why the expression fails on this row; an empty string where it does not."""
        try:
            self._select(row, [text])
        except _ROW_ERRORS as error:
            return f"{named(expression)} failed: {words(error)}"
        return ""

    # Types.

    def _fitting(self, expression: Expression) -> tuple[str, str]:
        """What to select for an expression, and DuckDB's name for its type."""
        text = f"(\n{expression.text}\n)"
        made = str(self._connection.sql(f"SELECT {text} AS v FROM {_ROWS}").types[0])
        if self._conditions and made not in ("BOOLEAN", '"NULL"'):
            raise _Unfit(f"it gives {made}, and a condition is true or false")
        if made.startswith("ENUM("):
            return f"CAST({text} AS VARCHAR)", made
        if made not in _IN_ARROW and any(foreign in made for foreign in _FOREIGN):
            raise _Unfit(f"it gives {made}, which others do not have: cast what is in it")
        return _IN_ARROW.get(made, "{}").replace("{}", text), made

    def _not_taken(self, schema: pa.Schema) -> list[Problem]:
        """Which columns are of a type that DuckDB cannot take."""
        problems = []
        for field in schema:
            try:
                self._connection.register("one column", Stream(_empty(pa.schema([field]))))
                self._connection.unregister("one column")
            except duckdb.Error:
                problems.append(Problem(f"column {field.name!r}", f"expressions cannot read the type {field.type}"))
        return problems

    def _problem(self, expression: Expression, what: str) -> Problem:
        return Problem(self._where.format(repr(expression.name)), what)


class _Unfit(Exception):  # noqa: N818 - caught in this file only
    """An expression whose type cannot be used."""


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(0, field.type) for field in schema], schema=schema)


def _array(column: pa.ChunkedArray, made: str) -> pa.Array:
    """One array, with the type that Arrow has for DuckDB's."""
    array = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if made == "UUID":
        return pa.ExtensionArray.from_storage(pa.uuid(), array.cast(pa.binary(16)))
    return pa.ExtensionArray.from_storage(pa.json_(), array) if made == "JSON" else array

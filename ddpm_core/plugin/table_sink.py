"""The base of sinks that are transactional SQL databases: Postgres, DuckDB, and whatever has tables and transactions.

One round is one transaction: rows, dead letters, then ownership and positions, COMMIT. What makes a row land exactly once is written once
for all of them: the order here, the positions with their epochs in `ledger.py`, the dead letters in `letter_table.py`. A database's plugin
adds how to connect, its types, and its fastest way in.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ddpm_core.errors import ConfigError
from ddpm_core.plugin.evolving_table import EvolvingTable, TargetTable
from ddpm_core.plugin.ledger import POSITIONS, Ledger
from ddpm_core.plugin.letter_table import DEAD_LETTERS, LetterTable
from ddpm_core.records import Batch, DeadLetter, Positions, Reject

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.plugin.specs import BuildContext
    from ddpm_core.plugin.table_options import TableOptions


class TableSink(EvolvingTable):
    """A sink that is a table of a transactional database.

    Subclasses write the abstract methods; they turn every library error into a `RetryableError` (waiting helps), a `FatalError`
    (it does not) or a `ConfigError`, and return the rows that the database refuses from `insert` and `upsert`.

    Args:
        options: What the user configured.
        context: The run.
        schema: The schema that `options.table` lies in, unquoted.
        table: The table's name in it, unquoted.
    """

    keeps_positions = True
    keeps_dead_letters = True
    position_table: ClassVar[str] = POSITIONS
    dead_letter_table: ClassVar[str] = DEAD_LETTERS
    """DDPM's own tables, in the target's schema; the second is made with the first dead letter."""
    refuse_nul: bool = False
    """Whether text with U+0000 is set aside before the database sees it."""

    def __init__(self, options: TableOptions, context: BuildContext, *, schema: str, table: str) -> None:
        super().__init__(options, context, schema=schema, table=table)
        self._in_round = False
        self._emptied = False
        self._landed_is_void = False
        """Whether nothing is known any more of what landed in a table that is missing."""
        target = f"{schema}.{table}"
        self._ledger = Ledger(self, self.dialect, schema=schema, pipeline=context.pipeline, target=target)
        self._letters = LetterTable(self, self.dialect, schema=schema, target=target, void=self._ledger.void)

    # What a database's plugin writes.

    @abstractmethod
    def connect(self) -> None:
        """Connect, outside any transaction. Called by `open` and `inspect`."""

    def make_schema(self) -> None:
        """Make the schema that the table lies in, if it is missing. Called by `open`, outside any transaction. Not all have schemas."""

    @abstractmethod
    def disconnect(self) -> None:
        """Drop the connection, with whatever transaction is open. Never raises; safe without a connection."""

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction."""

    @abstractmethod
    def end(self) -> None:
        """COMMIT. A failure whose outcome is unknown is a `RetryableError`."""

    @abstractmethod
    def undo(self) -> None:
        """ROLLBACK. Never raises; safe without a transaction."""

    @abstractmethod
    def insert(self, data: pa.RecordBatch) -> list[Reject]:
        """Add rows whose columns have the target's types already. Returns the rows that the database refused; all others are in."""

    @abstractmethod
    def upsert(self, data: pa.RecordBatch) -> list[Reject]:
        """As `insert`, replacing rows with the same key. Each key occurs once in `data`, and no key is null."""

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """`change`, once for each of these parameters. Override it where that can be one round trip."""
        for parameters in rows:
            self.change(sql, parameters)

    def insert_absent(self, table: str, types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> None:
        """Insert rows into one of DDPM's own tables, but for those whose key is there. Only asked where the dialect has `arrays`.

        Override it where parameters are a costly way for large values.

        Args:
            table: Quoted, with its schema.
            types: Column -> its type, as the dialect spells it; in the order of `columns`.
            columns: The values of each, one for each row.
        """
        values = ", ".join(f"unnest({self.dialect.placeholder}::{name}[])" for name in types.values())
        self.change(f"INSERT INTO {table} ({', '.join(map(self.quote, types))}) SELECT {values} ON CONFLICT DO NOTHING", columns)

    def make_own_table(self, name: str, columns: str) -> None:
        """Make one of DDPM's own tables, in the target's schema, if it is missing. For databases without IF NOT EXISTS: override it."""
        self.fetch(f"CREATE TABLE IF NOT EXISTS {self.quote(self.schema_name)}.{self.quote(name)} ({columns})")

    def lock_out_writers(self) -> None:
        """Keep every other writer off the target until COMMIT, while readers go on. Where several can write at once: override it."""

    # The contract of Sink.

    @property
    def atomic(self) -> bool:
        return self.options.mode == "replace"

    def open(self) -> None:
        self.connect()
        self.make_schema()
        self._forget_round()
        self._ledger.forget()
        self.begin()
        try:
            self._ledger.create()
            if not self.dialect.transactional_ddl:
                self._letters.create()
            self._refuse_double_rows()
            self._look_at_target()
            self._check_key()
            self.end()
        except BaseException:
            self.undo()
            raise

    def inspect(self) -> None:
        self.connect()
        self.begin()
        try:
            self._look_at_target()
            self._check_key()
        finally:
            self.undo()

    def expected_schema(self) -> pa.Schema | None:
        import pyarrow as pa

        from ddpm_core.schema.evolve import most_general

        declared = {field.name: field for field in self.context.columns or ()}
        found = {field.name: field for field in self._target.columns} if self._target else {}
        fields = {**declared, **found}
        if not fields:
            return None
        expected = pa.schema(list(fields.values()))
        return most_general(expected) if found and self._may_change() else expected

    def claim(self, partitions: Sequence[str]) -> Positions:
        if self._in_round:  # A run that is one round claims its later files inside it.
            return self._claim(partitions)
        self.begin()
        try:
            self._look_at_target()
            found = self._claim(partitions)
            self.end()
        except BaseException:
            self.undo()
            self._landed_is_void = False
            raise
        return found

    def _claim(self, partitions: Sequence[str]) -> Positions:
        # Where the table was dropped, what landed in it is gone, of all files: the first of them to land makes it anew.
        if self._target is not None:
            self._landed_is_void = False
        elif partitions and not self._landed_is_void:
            self._ledger.void_landed(self._is_missing)
            self._landed_is_void = True
        return self._ledger.claim(partitions)

    def _is_missing(self) -> bool:
        self._look_at_target()
        return self._target is None

    def write(self, batch: Batch) -> list[Reject]:
        self._enter_round()
        data = batch.data
        self._change(self._needed(data))
        self._empty_once()
        if self._target is None:  # Nothing but nulls so far: no table can be made of that, and nothing would be in it.
            return [
                Reject(row, "no_columns", "the row has no value in any column, and the table does not exist yet")
                for row in range(len(batch))
            ]
        from ddpm_core.schema.conform import conform

        conformed = conform(data, self._columns_to_conform_to(self._target), refuse_nul=self.refuse_nul, valid=batch.valid)
        if conformed.rejects and self._change(self._widenings(data, conformed.rejects)):
            conformed = conform(data, self._columns_to_conform_to(self._target), refuse_nul=self.refuse_nul, valid=batch.valid)
        rejects = self._with_name_problems(data, conformed.rejects)
        if conformed.data is None or conformed.data.num_rows == 0:
            return rejects
        if self.options.mode == "upsert":
            from ddpm_core.schema.keys import last_of_each_key

            chosen = last_of_each_key(conformed.data, self.options.key)
            refused = self.upsert(chosen.data) if chosen.data.num_rows else []
            rejects += [Reject(conformed.row(r.index), r.reason, r.message) for r in chosen.rejects]
            rejects += [Reject(conformed.row(chosen.row(r.index)), r.reason, r.message) for r in refused]
        else:
            rejects += [Reject(conformed.row(r.index), r.reason, r.message) for r in self.insert(conformed.data)]
        return rejects

    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        self._enter_round()
        self._empty_once()
        self._letters.keep(dead_letters)
        reached = self._ledger.advance(positions)
        self.end()
        self._in_round = False
        self._ledger.committed(reached)

    def rollback(self) -> None:
        self.undo()
        self._forget_round()

    def close(self) -> None:
        self.disconnect()
        self._forget_round()

    # One round.

    def _enter_round(self) -> None:
        if self._in_round:
            return
        self.begin()
        self._in_round = True
        if not self._target_known or self._target is None:  # Another process may have made it since.
            self._look_at_target()
        if self.dialect.transactional_ddl:  # Else behind the first batch's columns, since making them commits.
            self._empty_once()

    def _empty_once(self) -> None:
        """Take the old rows away, in a run that replaces them."""
        if self.atomic and not self._emptied:
            # DELETE, not TRUNCATE: readers go on seeing the old rows until COMMIT.
            if self._target is not None:
                # Else rows that another process commits meanwhile could stay while their position goes.
                self.lock_out_writers()
                self._look_at_target()
                self.change(f"DELETE FROM {self.qualified}")
            self._ledger.void_all()
            self._emptied = True

    def _forget_round(self) -> None:
        """After a rollback the table may be gone again, or lack the columns it gained."""
        self._in_round = False
        self._target_known = False
        self._emptied = self._landed_is_void = False

    def _refuse_double_rows(self) -> None:
        other = self.context.beside
        if other and self.options.mode == "append" and self._ledger.knows(other):
            raise ConfigError(
                f"pipeline {other} adds rows to table {self.target_name}, and {self.context.pipeline} would add the same ones again",
                hint="Use mode upsert with a key, or a table of its own.",
            )

    def _check_key(self) -> None:
        key = frozenset(self.options.key)
        if self._target is None or not key or key in self._target.keys:
            return
        missing = [name for name in self.options.key if name not in self._target.columns.names]
        if missing:
            raise ConfigError(f"table {self.target_name} has no column {missing[0]!r}, which the key names")
        columns = ", ".join(self.options.key)
        raise ConfigError(
            f"table {self.target_name} has no primary key or unique index on ({columns}), which upsert needs",
            hint=f"Make one: CREATE UNIQUE INDEX {_shown(f'{self.table_name}_key')} "
            f"ON {_shown(self.schema_name)}.{_shown(self.table_name)} ({', '.join(map(_shown, self.options.key))})",
        )

    def _with_name_problems(self, data: pa.RecordBatch, rejects: Sequence[Reject]) -> list[Reject]:
        """These rejects; those of a column that could not be added because of its name say so."""
        from ddpm_core.schema.complaint import shown

        problems = {f"no column {shown(name)}": problem for name in data.schema.names if (problem := self.name_problem(name))}
        for reject in rejects if problems else ():
            for named, problem in problems.items():
                if reject.reason == "unknown_column" and named in reject.message:
                    reject.message += f"; a column of that name cannot be made: {problem}"
        return list(rejects)

    def _columns_to_conform_to(self, target: TargetTable) -> pa.Schema:
        """The target's columns; a null in a key column is left to `last_of_each_key`, which tells it from any other null."""
        import pyarrow as pa

        key = set(self.options.key)
        return pa.schema([field.with_nullable(True) if field.name in key else field for field in target.columns])


def _shown(name: str) -> str:
    """An identifier as people would write it in SQL; `quote` is for statements that are run."""
    return '"' + name.replace('"', '""') + '"'

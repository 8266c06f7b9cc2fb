"""The base of sinks that are transactional SQL databases: Postgres, DuckDB, and whatever has tables and transactions.

One round is one transaction: rows, dead letters, then ownership and positions, COMMIT. What makes a row land exactly once is written once
for all of them: the order here, the positions with their epochs in `ledger.py`. A database's plugin adds how to connect, its types, and
its fastest way in.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ddpm_core.config.options import PluginOptions
from ddpm_core.errors import ConfigError
from ddpm_core.plugin.ledger import Dialect, Ledger
from ddpm_core.plugin.sink import Sink
from ddpm_core.records import Batch, DeadLetter, Positions, Reject

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.plugin.specs import BuildContext

OWN_PREFIX = "_ddpm_"
"""What the names of DDPM's own tables begin with: none of them can be a target."""


class TableOptions(PluginOptions):
    """Options that every table sink has."""

    table: str = Field(min_length=1, description="Target table, as `[schema.]table`; it is created when it is missing")
    mode: Literal["append", "replace", "upsert"] = Field(
        default="append",
        description="`append` adds rows; `upsert` replaces the row with the same key; `replace` puts this run's rows, all at once, "
        "in the place of all that were there",
    )
    key: tuple[str, ...] = Field(default=(), description="Columns that identify a row, for `upsert`")

    @model_validator(mode="after")
    def _key_goes_with_upsert(self) -> TableOptions:
        if self.mode == "upsert" and not self.key:
            raise ValueError("mode upsert needs a key: name the columns that identify a row")
        if self.mode != "upsert" and self.key:
            raise ValueError(f"a key is for mode upsert, not for {self.mode}")
        return self


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table as it is in the database.

    Attributes:
        columns: Its columns as Arrow fields, nullability included. A type without an Arrow equal is described by what DDPM should
            cast to before handing the value over (text for an enum), and may carry the database's own name in metadata `sql_type`.
        owned: DDPM created it, so it may gain columns.
        keys: The column sets that are unique.
    """

    columns: pa.Schema
    owned: bool
    keys: tuple[frozenset[str], ...] = ()


class TableSink(Sink):
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
    dialect: ClassVar[Dialect]
    owned_comment: ClassVar[str] = "created by ddpm"
    """The comment on tables that DDPM created: those may gain columns. Any other table is a contract."""

    refuse_nul: ClassVar[bool] = False
    """Whether text with U+0000 is set aside before the database sees it."""

    def __init__(self, options: TableOptions, context: BuildContext, *, schema: str, table: str) -> None:
        self.options = options
        self.context = context
        self.schema_name = schema
        self.table_name = table
        self._in_round = False
        self._target: TargetTable | None = None
        self._target_known = False
        self._emptied = False
        self._ledger = Ledger(
            self.fetch, self.quote, self.dialect, schema=schema, pipeline=context.pipeline, target=f"{schema}.{table}"
        )
        if table.lower().startswith(OWN_PREFIX):
            raise ConfigError(f"{table!r} cannot be the table: names that begin with {OWN_PREFIX} are DDPM's own")
        for name in (schema, table, *options.key):
            problem = self.name_problem(name)
            if problem:
                raise ConfigError(f"{name!r} cannot be a name in {self.dialect.name}: {problem}")

    # What a database's plugin writes.

    @abstractmethod
    def connect(self) -> None:
        """Connect, outside any transaction, and make the schema if it is missing. Called by `open`."""

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
    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; none for statements without a result."""

    @abstractmethod
    def quote(self, name: str) -> str:
        """An identifier, quoted so that any text is safe in a statement passed to `fetch`."""

    @abstractmethod
    def describe(self) -> TargetTable | None:
        """The target table, or None when there is none. Called inside a transaction."""

    @abstractmethod
    def column_type(self, field: pa.Field) -> str:
        """The SQL type for a new column. Raises `ConfigError` when the database has none."""

    @abstractmethod
    def insert(self, data: pa.RecordBatch) -> list[Reject]:
        """Add rows whose columns have the target's types already. Returns the rows that the database refused; all others are in."""

    @abstractmethod
    def upsert(self, data: pa.RecordBatch) -> list[Reject]:
        """As `insert`, replacing rows with the same key. Each key occurs once in `data`, and no key is null."""

    def mark_owned(self) -> None:
        """Mark the table that was just created as DDPM's own, so that `describe` can tell. For databases without comments: override it."""
        self.fetch(f"COMMENT ON TABLE {self.qualified} IS '{self.owned_comment}'")

    def lock_out_writers(self) -> None:
        """Keep every other writer off the target until COMMIT, while readers go on. Where several can write at once: override it."""

    def name_problem(self, name: str) -> str:
        """Why this cannot be the name of a table or column, or an empty string."""
        limit = self.dialect.max_name_bytes
        if not name:
            return "it is empty"
        if "\x00" in name:
            return "it contains a NUL character"
        size = len(name.encode("utf-8", "surrogatepass"))
        if limit is not None and size > limit:
            return f"it is {size} bytes long, and {self.dialect.name} takes {limit}"
        return ""

    # The contract of Sink.

    @property
    def atomic(self) -> bool:
        return self.options.mode == "replace"

    @property
    def target_name(self) -> str:
        """The target as `schema.table`, unquoted: for people, and as part of every position's key."""
        return f"{self.schema_name}.{self.table_name}"

    @property
    def qualified(self) -> str:
        """The target, quoted for statements."""
        return f"{self.quote(self.schema_name)}.{self.quote(self.table_name)}"

    def open(self) -> None:
        self.connect()
        self._forget_round()
        self._ledger.forget()
        self.begin()
        try:
            self._ledger.create()
            self._look_at_target()
            self._check_key()
            self.end()
        except BaseException:
            self.undo()
            raise

    def expected_schema(self) -> pa.Schema | None:
        import pyarrow as pa

        declared = {field.name: field for field in self.context.columns or ()}
        found = {field.name: field for field in self._target.columns} if self._target else {}
        fields = {**declared, **found}
        return pa.schema(list(fields.values())) if fields else None

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
            raise
        return found

    def _claim(self, partitions: Sequence[str]) -> Positions:
        # Where the table was dropped, what landed in it is gone, and what is known of those files is void.
        found: Positions = {}
        for partition in partitions:
            found.update(self._ledger.claim(partition, void_if_landed=self._target is None))
        return found

    def write(self, batch: Batch) -> list[Reject]:
        self._enter_round()
        data = self._with_table_for(batch.data)
        if self._target is None:  # Nothing but nulls so far: no table can be made of that, and nothing would be in it.
            return [
                Reject(row, "no_columns", "the row has no value in any column, and the table does not exist yet")
                for row in range(len(batch))
            ]
        from ddpm_core.schema.conform import conform

        conformed = conform(data, self._columns_to_conform_to(self._target), refuse_nul=self.refuse_nul)
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
        self._ledger.keep(dead_letters)
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
        if self.atomic and not self._emptied:
            # DELETE, not TRUNCATE: readers go on seeing the old rows until COMMIT.
            if self._target is not None:
                # Else rows that another process commits meanwhile could stay while their position goes.
                self.lock_out_writers()
                self._look_at_target()
                self.fetch(f"DELETE FROM {self.qualified}")
            self._ledger.void_all()
            self._emptied = True

    def _forget_round(self) -> None:
        """After a rollback the table may be gone again, or lack the columns it gained."""
        self._in_round = False
        self._target_known = False
        self._emptied = False

    def _look_at_target(self) -> None:
        self._target = self.describe()
        self._target_known = True

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

    def _with_table_for(self, data: pa.RecordBatch) -> pa.RecordBatch:
        """Make the table or add columns, so that every value of these rows has a place, where that is allowed."""
        from ddpm_core.schema.conform import unknown_fields

        if self._target is None:
            fields = self._fields_for_new_table(data)
            if fields:
                key = ", ".join(self.quote(name) for name in self.options.key)
                columns = [self._column_ddl(field) for field in fields]
                columns += [f"PRIMARY KEY ({key})"] if key else []
                self.fetch(f"CREATE TABLE {self.qualified} ({', '.join(columns)})")
                self.mark_owned()
                self._look_at_target()
        elif self._target.owned:
            new = [f for f in unknown_fields(data, self._target.columns) if not self.name_problem(f.name)]
            for field in new:
                self.fetch(f"ALTER TABLE {self.qualified} ADD COLUMN {self._column_ddl(field)}")
            if new:
                self._look_at_target()
        return data

    def _fields_for_new_table(self, data: pa.RecordBatch) -> list[pa.Field]:
        """The data's columns in their order, with the declared types where there are some; then what was declared besides.

        A column of the null type has had no value yet: it is added when one comes, with that value's type. Of names that differ in
        case only, the first counts.
        """
        import pyarrow as pa

        from ddpm_core.schema.conform import typed_fields

        declared = {field.name.casefold(): field for field in self.context.columns or ()}
        typed = {field.name: field for field in typed_fields(data)}
        fields: dict[str, pa.Field] = {}
        for name in data.schema.names:
            field = declared.get(name.casefold()) or typed.get(name)
            if field is not None and not self.name_problem(field.name):
                fields.setdefault(name.casefold(), field)
        for name, field in declared.items():
            fields.setdefault(name, field)
        missing = [name for name in self.options.key if fields.get(name.casefold(), pa.field("", pa.null())).name != name]
        if missing and fields:
            known = ", ".join(field.name for field in fields.values())
            raise ConfigError(f"the data has no column {missing[0]!r}, which the key names; it has {known}")
        return list(fields.values())

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

    def _column_ddl(self, field: pa.Field) -> str:
        return f"{self.quote(field.name)} {self.column_type(field)}"


def _shown(name: str) -> str:
    """An identifier as people would write it in SQL; `quote` is for statements that are run."""
    return '"' + name.replace('"', '""') + '"'

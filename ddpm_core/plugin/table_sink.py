"""The base of sinks that are transactional SQL databases: Postgres, DuckDB, and whatever has tables and transactions.

What makes a row land exactly once is written here, once, for all of them: the table of positions with its epochs, the
compare-and-set, the dead letters beside the data. A database's plugin adds how to connect, its types, and its fastest way in.

One round is one transaction: rows, dead letters, then ownership and positions, COMMIT. A table `_ddpm_positions` lies in the
target's schema, with one row for each (pipeline, target table, partition or generation). The row of a partition holds the epoch:
claiming adds 1, and a commit succeeds only while the epoch is the one it claimed. A partition nobody has committed yet has no row:
the first commit inserts it, and of two first commits the second finds it there and is fenced. A killed run leaves nothing else.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from ddpm_core.config.options import PluginOptions
from ddpm_core.errors import ConfigError, FencedError
from ddpm_core.plugin.sink import Sink
from ddpm_core.records import Batch, DeadLetter, Position, Positions, Reject, stream_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.plugin.specs import BuildContext

POSITIONS = "_ddpm_positions"
DEAD_LETTERS = "_ddpm_dead_letters"
OWNED = "created by ddpm"
"""The comment on tables that DDPM created: those may gain columns. Any other table is a contract."""

DEAD_LETTER_COLUMNS = (
    "id", "pipeline", "target", "source", "partition", "record_offset", "byte_offset", "stage", "reason", "message", "plugin",
    "plugin_version", "sink", "payload", "payload_kind", "view", "attempts", "created_at",
)  # fmt: skip
"""The columns of `_ddpm_dead_letters`, in their order."""


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
class Dialect:
    """How a database spells what `TableSink` says.

    Attributes:
        name: For messages, such as `Postgres`.
        placeholder: A parameter in a statement: `?` or `%s`.
        text, key_text, integer, bytes, json, timestamp: Column types of DDPM's own tables. `key_text` compares by bytes.
        max_name_bytes: The longest identifier, in UTF-8 bytes, or None.
    """

    name: str
    placeholder: str
    text: str
    key_text: str
    integer: str
    bytes: str
    json: str
    timestamp: str
    max_name_bytes: int | None = None


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
        self._epochs: dict[str, int] = {}
        self._stored: dict[str, int] = {}
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
        self._epochs.clear()
        self._stored.clear()
        self.begin()
        try:
            self._create_positions()
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
        found: Positions = {}
        if self._in_round:  # A run that is one round claims its later files inside it.
            for partition in partitions:
                found.update(self._claim(partition))
            return found
        self.begin()
        try:
            self._look_at_target()
            for partition in partitions:
                found.update(self._claim(partition))
            self.end()
        except BaseException:
            self.undo()
            raise
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

        conformed = conform(data, self._target.columns, refuse_nul=self.refuse_nul)
        rejects = list(conformed.rejects)
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
        self._keep(dead_letters)
        epochs: dict[str, int] = {}
        stored = dict(self._stored)
        for partition in sorted(positions):
            stream = stream_of(partition)
            if stream not in epochs:
                epochs[stream] = self._own(stream, stored)
            self._advance(partition, positions[partition], stored)
        self.end()
        self._in_round = False
        self._epochs.update(epochs)
        self._stored = stored

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
        if not self._target_known:
            self._look_at_target()
        if self.atomic and not self._emptied:
            # DELETE, not TRUNCATE: readers go on seeing the old rows until COMMIT.
            if self._target is not None:
                self.fetch(f"DELETE FROM {self.qualified}")
            self.fetch(f"DELETE FROM {self._own_table(POSITIONS)} WHERE {self._of_target()}", self._target_key())
            self._epochs.clear()
            self._stored.clear()
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
            hint=f"CREATE UNIQUE INDEX ON {self.qualified} ({', '.join(map(self.quote, self.options.key))})",
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
                self.fetch(f"COMMENT ON TABLE {self.qualified} IS '{OWNED}'")
                self._look_at_target()
        elif self._target.owned:
            new = [f for f in unknown_fields(data, self._target.columns) if not self.name_problem(f.name)]
            for field in new:
                self.fetch(f"ALTER TABLE {self.qualified} ADD COLUMN {self._column_ddl(field)}")
            if new:
                self._look_at_target()
        return data

    def _fields_for_new_table(self, data: pa.RecordBatch) -> list[pa.Field]:
        """The declared columns, and the others that have a value; of names that differ in case only, the first."""
        import pyarrow as pa

        from ddpm_core.schema.conform import unknown_fields

        fields = {field.name.casefold(): field for field in self.context.columns or ()}
        for field in unknown_fields(data, pa.schema(list(fields.values()))):
            if not self.name_problem(field.name):
                fields.setdefault(field.name.casefold(), field)
        missing = [name for name in self.options.key if fields.get(name.casefold(), pa.field("", pa.null())).name != name]
        if missing and fields:
            raise ConfigError(
                f"the data has no column {missing[0]!r}, which the key names; it has {', '.join(f.name for f in fields.values())}"
            )
        return list(fields.values())

    def _column_ddl(self, field: pa.Field) -> str:
        return f"{self.quote(field.name)} {self.column_type(field)}"

    # DDPM's own tables.

    def _own_table(self, name: str) -> str:
        return f"{self.quote(self.schema_name)}.{self.quote(name)}"

    def _of_target(self) -> str:
        p = self.dialect.placeholder
        return f"pipeline = {p} AND target = {p}"

    def _target_key(self) -> list[Any]:
        return [self.context.pipeline, self.target_name]

    def _create_positions(self) -> None:
        d = self.dialect
        self._create_if_missing(
            POSITIONS,
            f"pipeline {d.key_text} NOT NULL, target {d.key_text} NOT NULL, partition {d.key_text} NOT NULL, "
            f"next_offset {d.integer} NOT NULL, epoch {d.integer} NOT NULL, detail {d.text} NOT NULL, "
            f"updated_at {d.timestamp} NOT NULL, PRIMARY KEY (pipeline, target, partition)",
        )

    def _create_dead_letters(self) -> None:
        d = self.dialect
        types = {
            "id": f"{d.key_text} NOT NULL PRIMARY KEY",
            "record_offset": f"{d.integer} NOT NULL",
            "byte_offset": d.integer,
            "payload": f"{d.bytes} NOT NULL",
            "view": d.json,
            "attempts": f"{d.integer} NOT NULL",
            "created_at": f"{d.timestamp} NOT NULL",
        }
        self._create_if_missing(
            DEAD_LETTERS, ", ".join(f"{name} {types.get(name, f'{d.text} NOT NULL')}" for name in DEAD_LETTER_COLUMNS)
        )

    def _create_if_missing(self, name: str, columns: str) -> None:
        self.fetch(f"CREATE TABLE IF NOT EXISTS {self._own_table(name)} ({columns})")

    def _claim(self, partition: str) -> Positions:
        """Read what is known of this partition, and raise its epoch where it has one."""
        table, p = self._own_table(POSITIONS), self.dialect.placeholder
        # `$` is the character after `#`: every generation lies between the two, and the primary key finds them.
        rows = self.fetch(
            f"SELECT partition, next_offset, detail FROM {table} "
            f"WHERE {self._of_target()} AND (partition = {p} OR (partition >= {p} AND partition < {p}))",
            [*self._target_key(), partition, f"{partition}#", f"{partition}$"],
        )
        known = {name: Position(int(offset), json.loads(detail)) for name, offset, detail in rows}
        if self._target is None:
            # The table was dropped: what landed in it is gone, so what is known of those files is void.
            void = [name for name, position in known.items() if position.detail.get("rows")]
            for name in void:
                self.fetch(f"DELETE FROM {table} WHERE {self._of_target()} AND partition = {p}", [*self._target_key(), name])
                del known[name]
        epoch = self.fetch(
            f"UPDATE {table} SET epoch = epoch + 1, updated_at = now() WHERE {self._of_target()} AND partition = {p} "
            "RETURNING epoch",
            [*self._target_key(), partition],
        )
        self._epochs[partition] = int(epoch[0][0]) if epoch else 0
        self._stored.update({name: position.offset for name, position in known.items()})
        for name in [n for n in self._stored if stream_of(n) == partition and n not in known]:
            del self._stored[name]
        if partition in known and any(name != partition for name in known):
            del known[partition]  # The row that only holds the epoch of a partition with generations.
        return known

    def _own(self, stream: str, stored: dict[str, int]) -> int:
        """Prove that this instance still owns the partition, and hold it until COMMIT. Returns the epoch."""
        table, p = self._own_table(POSITIONS), self.dialect.placeholder
        epoch = self._epochs.get(stream, 0)
        if epoch:
            won = self.fetch(
                f"UPDATE {table} SET updated_at = now() WHERE {self._of_target()} AND partition = {p} AND epoch = {p} RETURNING 1",
                [*self._target_key(), stream, epoch],
            )
        else:
            epoch = 1
            won = self.fetch(
                f"INSERT INTO {table} VALUES ({', '.join([p] * 6)}, now()) ON CONFLICT DO NOTHING RETURNING 1",
                [*self._target_key(), stream, 0, epoch, "{}"],
            )
            stored[stream] = 0
        if not won:
            raise FencedError([stream])
        return epoch

    def _advance(self, partition: str, position: Position, stored: dict[str, int]) -> None:
        """Compare and set: from what this instance knows (`stored`, which is kept up to date) to the new position."""
        table, p = self._own_table(POSITIONS), self.dialect.placeholder
        detail = json.dumps(position.detail, ensure_ascii=False, sort_keys=True)
        if partition in stored:
            won = self.fetch(
                f"UPDATE {table} SET next_offset = {p}, detail = {p}, updated_at = now() "
                f"WHERE {self._of_target()} AND partition = {p} AND next_offset = {p} RETURNING 1",
                [position.offset, detail, *self._target_key(), partition, stored[partition]],
            )
        else:
            won = self.fetch(
                f"INSERT INTO {table} VALUES ({', '.join([p] * 6)}, now()) ON CONFLICT DO NOTHING RETURNING 1",
                [*self._target_key(), partition, position.offset, 0, detail],
            )
        if not won:
            raise FencedError([partition])
        stored[partition] = position.offset

    def _keep(self, dead_letters: Sequence[DeadLetter]) -> None:
        if not dead_letters:
            return
        self._create_dead_letters()
        p = self.dialect.placeholder
        statement = (
            f"INSERT INTO {self._own_table(DEAD_LETTERS)} ({', '.join(DEAD_LETTER_COLUMNS)}) "
            f"VALUES ({', '.join([p] * len(DEAD_LETTER_COLUMNS))}) ON CONFLICT DO NOTHING"
        )
        for letter in dead_letters:
            self.fetch(statement, [self._dead_letter_value(letter, name) for name in DEAD_LETTER_COLUMNS])

    def _dead_letter_value(self, letter: DeadLetter, column: str) -> Any:
        """A dead letter's value for one column. Text that the database cannot hold is escaped: the payload has the original."""
        if column == "target":
            return self.target_name
        value = getattr(letter, "offset" if column == "record_offset" else column)
        if isinstance(value, str) and column != "view":
            return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
        return value

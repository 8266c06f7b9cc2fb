"""How a table sink's table comes to be and changes: what the rules of `schema/evolve.py` ask for, said in SQL."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ddpm_core.errors import ConfigError
from ddpm_core.plugin.dialect import Dialect
from ddpm_core.plugin.sink import SchemaChange, Sink
from ddpm_core.records import Reject
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.plugin.specs import BuildContext
    from ddpm_core.plugin.table_options import TableOptions
    from ddpm_core.schema.evolve import Change, WiderColumn


OWN_PREFIX = "_ddpm_"
"""What the names of DDPM's own tables begin with: none of them can be a target."""


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


class EvolvingTable(Sink):
    """The part of a table sink that knows its table: makes it, adds columns, widens them. Plugins derive from `TableSink`.

    Args:
        options, context, schema, table: As `TableSink` has them.
    """

    dialect: Dialect
    owned_comment: ClassVar[str] = "created by ddpm"
    """The comment on tables that DDPM created: those may change, where `--schema` does not say otherwise."""

    def __init__(self, options: TableOptions, context: BuildContext, *, schema: str, table: str) -> None:
        self.options = options
        self.context = context
        self.schema_name = schema
        self.table_name = table
        self._target: TargetTable | None = None
        self._target_known = False
        if table.lower().startswith(OWN_PREFIX):
            raise ConfigError(f"{table!r} cannot be the table: names that begin with {OWN_PREFIX} are DDPM's own")
        for name in (schema, table, *options.key):
            problem = self.name_problem(name)
            if problem:
                raise ConfigError(f"{name!r} cannot be a name in {self.dialect.name}: {problem}")

    # What a database's plugin writes, or overrides.

    @abstractmethod
    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; none for statements without a result."""

    @abstractmethod
    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one INSERT, UPDATE or DELETE and return how many rows it found, those included that were so already."""

    @abstractmethod
    def quote(self, name: str) -> str:
        """An identifier, quoted so that any text is safe in a statement passed to `fetch`."""

    @abstractmethod
    def describe(self) -> TargetTable | None:
        """The target table, or None when there is none. Called inside a transaction."""

    @abstractmethod
    def column_type(self, field: pa.Field) -> str:
        """The SQL type for a new column. Raises `ConfigError` when the database has none."""

    def mark_owned(self) -> None:
        """Mark the table that was just created as DDPM's own, so that `describe` can tell. For databases without comments: override it."""
        self.fetch(f"COMMENT ON TABLE {self.qualified} IS '{self.owned_comment}'")

    def ddl(self, change: Change) -> list[str]:
        """The statements that make a change. Override where the database spells them otherwise."""
        from ddpm_core.schema.evolve import NewColumn, NewTable

        match change:
            case NewTable(fields):
                key = ", ".join(self.quote(name) for name in self.options.key)
                columns = [self._column_ddl(field) for field in fields] + ([f"PRIMARY KEY ({key})"] if key else [])
                return [f"CREATE TABLE {self.qualified} ({', '.join(columns)})"]
            case NewColumn(field):
                return [f"ALTER TABLE {self.qualified} ADD COLUMN {self._column_ddl(field)}"]
            case _:
                return [self.widen_ddl(change)]

    def widen_ddl(self, change: WiderColumn) -> str:
        """The statement that gives a column its wider type."""
        field = self._field_of(change)
        return f"ALTER TABLE {self.qualified} ALTER COLUMN {self.quote(field.name)} TYPE {self.column_type(field)}"

    def can_widen(self, column: str) -> bool:
        """Whether the database can change this column's type, inside the round's transaction. Called after `describe`."""
        return True

    def run_ddl(self, statements: Sequence[str]) -> None:
        """Run statements that change the target's schema, in the round's transaction."""
        for statement in statements:
            self.fetch(statement)

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

    # The table.

    @property
    def target_name(self) -> str:
        """The target as `schema.table`, unquoted: for people, and as part of every position's key."""
        return f"{self.schema_name}.{self.table_name}"

    @property
    def qualified(self) -> str:
        """The target, quoted for statements."""
        return f"{self.quote(self.schema_name)}.{self.quote(self.table_name)}"

    def plan(self, data: pa.RecordBatch) -> list[SchemaChange]:
        from ddpm_core.schema.evolve import after

        planned: list[SchemaChange] = []
        for find in (self._needed, self._widenings):
            changes = find(data)
            planned += [SchemaChange(statement, change.why) for change in changes for statement in self.ddl(change)]
            if changes:
                columns = after(self._target.columns if self._target else data.schema, changes)
                self._target = TargetTable(columns, owned=self._target is None or self._target.owned)
        return planned

    def problems(self) -> list[str]:
        import pyarrow as pa

        from ddpm_core.schema.misfits import misfits

        if self._target is None:
            return []
        return misfits(pa.schema(self.context.columns or ()), self._target.columns, grows=self._may_change())

    def _look_at_target(self) -> None:
        self._target = self.describe()
        self._target_known = True

    def _may_change(self) -> bool:
        """Whether the table may be changed: as `--schema` says; if that is not given, when DDPM created it."""
        if self._target is None:
            return True
        return self._target.owned if self.context.evolve is None else self.context.evolve

    def _needed(self, data: pa.RecordBatch) -> list[Change]:
        """The table or the columns without which values of these rows have no place, where they may be made."""
        from ddpm_core.schema.evolve import NewTable, new_columns

        if self._target is None:
            fields = self._fields_for_new_table(data)
            return [NewTable(tuple(fields))] if fields else []
        if not self._may_change():
            return []
        return [change for change in new_columns(data, self._target.columns) if not self.name_problem(change.field.name)]

    def _widenings(self, data: pa.RecordBatch, refused: Sequence[Reject] | None = None) -> list[Change]:
        """The columns that are too narrow for values of these rows, where they may be widened."""
        from ddpm_core.schema.evolve import refused_by_range, wider_columns

        if self._target is None or not self._may_change():
            return []
        if refused is not None and not refused_by_range([reject.reason for reject in refused]):
            return []
        declared = {field.name.casefold(): field.type for field in self.context.columns or ()}
        return [
            change
            for change in wider_columns(data, self._target.columns)
            # A column that is as it was declared stays so.
            if self.can_widen(change.name) and declared.get(change.name.casefold()) != change.old
        ]

    def _change(self, changes: Sequence[Change]) -> bool:
        """Make these changes. Whether there were any."""
        from ddpm_core.schema.evolve import NewTable

        if not changes:
            return False
        self.run_ddl([statement for change in changes for statement in self.ddl(change)])
        if isinstance(changes[0], NewTable):
            self.mark_owned()
        self._look_at_target()
        return True

    def _field_of(self, change: WiderColumn) -> pa.Field:
        """The target's column with its new type."""
        assert self._target is not None  # noqa: S101 - only what is there is widened
        return self._target.columns.field(change.name).with_type(change.new).remove_metadata()

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

    def _column_ddl(self, field: pa.Field) -> str:
        return f"{self.quote(field.name)} {self.column_type(field)}"

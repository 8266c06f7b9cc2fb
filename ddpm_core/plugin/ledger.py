"""DDPM's own two tables beside the data: how far each file has landed, and what was set aside.

`_ddpm_positions` has one row for each (pipeline, target table, partition or generation). The row of a partition holds its epoch: claiming
adds 1, and a commit succeeds only while the epoch is the one that was claimed. A partition that nobody has committed yet has no row: the
first commit inserts it, and of two first commits the second finds it there and is fenced. So a run that is killed before its first commit
leaves nothing. The compare-and-set comes last in a transaction: an instance that is frozen before it holds no lock that its successor needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ddpm_core.errors import FencedError
from ddpm_core.records import DeadLetter, Position, Positions, stream_of

POSITIONS = "_ddpm_positions"
DEAD_LETTERS = "_ddpm_dead_letters"

DEAD_LETTER_COLUMNS = (
    "id", "pipeline", "target", "source", "partition", "record_offset", "byte_offset", "stage", "reason", "message", "plugin",
    "plugin_version", "sink", "payload", "payload_kind", "view", "attempts", "created_at",
)  # fmt: skip
"""The columns of `_ddpm_dead_letters`, in their order."""
_MAY_BE_NULL = ("byte_offset", "view")
_POSITION_KEY = ("pipeline", "target", "partition")

PIECE_LETTERS = 2_000
PIECE_BYTES = 8 << 20
"""Dead letters go into the table in pieces of so many letters or bytes of payload, whichever comes first."""


class Statements(Protocol):
    """What the ledger asks of its sink. Every statement runs in the transaction that is open."""

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement that changes rows and return how many it found, changed or not."""

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement that changes rows once for each of these parameters."""

    def make_own_table(self, name: str, columns: str) -> None:
        """Make one of DDPM's own tables, beside the target, if it is missing."""

    def quote(self, name: str) -> str:
        """An identifier for statements."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database spells what DDPM says.

    Attributes:
        name: For messages, such as `Postgres`.
        placeholder: A parameter in a statement: `?` or `%s`.
        text, key_text, integer, bytes, json, timestamp: Column types of DDPM's own tables. `key_text` compares by bytes; `{}` in it is
            the most bytes that the column must take, as `key_sizes` says.
        max_name_bytes: The longest identifier, in UTF-8 bytes, or None.
        now: The expression for the present time.
        arrays: A parameter may be a list, and `unnest` of several of them gives rows. Without, dead letters go through `change_many`.
        if_absent: How a row is inserted unless its key is there: by `ON CONFLICT DO NOTHING`, or by `WHERE NOT EXISTS`. Of two
            sessions that insert the same key at once the second must wait for the first, and find the row or get an error.
        from_nothing: What follows a SELECT that reads no table, such as ` FROM DUAL`.
        lock_hint: What follows a table's name in `WHERE NOT EXISTS`, so that the key is locked before it is found absent.
        key_sizes: The most bytes in a pipeline's, target's and partition's name and in a dead letter's id, where an index has a limit.
        transactional_ddl: A table that is made in a transaction goes with its rollback. Without, making one commits: then DDPM's own
            tables are made when nothing is written yet.
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
    now: str = "now()"
    arrays: bool = True
    if_absent: Literal["on_conflict", "not_exists"] = "on_conflict"
    from_nothing: str = ""
    lock_hint: str = ""
    key_sizes: tuple[int, int, int, int] = (0, 0, 0, 0)
    transactional_ddl: bool = True


@dataclass(frozen=True, slots=True)
class Reached:
    """What a transaction is about to make true: partition -> epoch held, partition or generation -> offset stored."""

    epochs: dict[str, int]
    stored: dict[str, int]


class Ledger:
    """The positions and dead letters of one target table, as one instance knows them. Every statement runs in the caller's transaction.

    Args:
        sink: Runs the statements.
        dialect: The database's spelling.
        schema: Where both tables lie, unquoted: beside the target.
        pipeline, target: Whose positions these are.
    """

    def __init__(self, sink: Statements, dialect: Dialect, *, schema: str, pipeline: str, target: str) -> None:
        self._sink = sink
        self._dialect = dialect
        self._quote = sink.quote
        self._positions = f"{sink.quote(schema)}.{sink.quote(POSITIONS)}"
        self._dead_letters = f"{sink.quote(schema)}.{sink.quote(DEAD_LETTERS)}"
        self._target = target
        self._key: list[Any] = [pipeline, target]
        self._of_target = f"{self._is('pipeline')} AND {self._is('target')}"
        self._epochs: dict[str, int] = {}
        self._stored: dict[str, int] = {}

    def create(self) -> None:
        """Make the table of positions if it is missing; that of dead letters too, where it cannot be made within a round."""
        d, q = self._dialect, self._quote
        keys = zip(_POSITION_KEY, d.key_sizes, strict=False)
        columns = [f"{q(name)} {d.key_text.format(size)} NOT NULL" for name, size in keys]
        columns += [f"{q('next_offset')} {d.integer} NOT NULL", f"{q('epoch')} {d.integer} NOT NULL"]
        columns += [f"{q('detail')} {d.text} NOT NULL", f"{q('updated_at')} {d.timestamp} NOT NULL"]
        columns += [f"PRIMARY KEY ({', '.join(map(q, _POSITION_KEY))})"]
        self._sink.make_own_table(POSITIONS, ", ".join(columns))
        if not d.transactional_ddl:
            self._create_dead_letters()

    def forget(self) -> None:
        """Forget what this instance has claimed."""
        self._epochs.clear()
        self._stored.clear()

    def void_all(self) -> None:
        """Delete every position of the target: its rows are being replaced."""
        self._sink.change(f"DELETE FROM {self._positions} WHERE {self._of_target}", self._key)
        self.forget()

    def claim(self, partition: str, *, void_if_landed: bool) -> Positions:
        """Take ownership of a partition and its generations; return where each one stands.

        Args:
            partition: Not a generation.
            void_if_landed: Delete and leave out the positions under which rows landed: the table they landed in is gone.
        """
        p, q = self._dialect.placeholder, self._quote
        claimed = self._sink.change(
            f"UPDATE {self._positions} SET {q('epoch')} = {q('epoch')} + 1, {self._touched()} "
            f"WHERE {self._of_target} AND {self._is('partition')}",
            [*self._key, partition],
        )
        # `$` is the character after `#`: every generation lies between the two, and the primary key finds them.
        rows = self._sink.fetch(
            f"SELECT {q('partition')}, {q('next_offset')}, {q('detail')}, {q('epoch')} FROM {self._positions} "
            f"WHERE {self._of_target} AND ({self._is('partition')} OR ({q('partition')} >= {p} AND {q('partition')} < {p}))",
            [*self._key, partition, f"{partition}#", f"{partition}$"],
        )
        known: Positions = {}
        epochs: dict[str, int] = {}
        for found, offset, detail, epoch in rows:
            name = found.decode() if isinstance(found, bytes) else str(found)
            known[name], epochs[name] = Position(int(offset), json.loads(detail)), int(epoch)
        if void_if_landed:
            for name in [name for name, position in known.items() if position.detail.get("rows")]:
                self._sink.change(
                    f"DELETE FROM {self._positions} WHERE {self._of_target} AND {self._is('partition')}", [*self._key, name]
                )
                del known[name], epochs[name]
        # The UPDATE holds the row, so this is the epoch that it made. Without one, the first commit inserts the row.
        self._epochs[partition] = epochs.get(partition, 0) if claimed else 0
        self._stored = {name: offset for name, offset in self._stored.items() if stream_of(name) != partition}
        self._stored.update({name: position.offset for name, position in known.items()})
        return known

    def advance(self, positions: Positions) -> Reached:
        """Prove ownership of every partition and move its positions. The last statements before COMMIT.

        Returns:
            What `committed` takes once the COMMIT has succeeded.

        Raises:
            FencedError: Another instance has claimed a partition, or moved its position.
        """
        reached = Reached(dict(self._epochs), dict(self._stored))
        owned: set[str] = set()
        for partition in sorted(positions):  # Always in the same order, so that two instances cannot deadlock.
            stream = stream_of(partition)
            if stream not in owned:
                self._own(stream, reached)
                owned.add(stream)
            self._move(partition, positions[partition], reached)
        return reached

    def committed(self, reached: Reached) -> None:
        """The transaction is durable."""
        self._epochs, self._stored = reached.epochs, reached.stored

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters; the same id is stored once. The table is made when the first one comes."""
        if not letters:
            return
        if self._dialect.transactional_ddl:
            self._create_dead_letters()
        if not self._dialect.arrays:
            sql, again = self._insert_if_absent(self._dead_letters, DEAD_LETTER_COLUMNS, ("id",))
            rows = ([self._value(letter, name) for name in DEAD_LETTER_COLUMNS] for letter in letters)
            self._sink.change_many(sql, [[*row, *row[:1]] if again else row for row in rows])
            return
        # One array for each column: a statement for each letter costs DuckDB 3 ms, and a run may set aside every twentieth record.
        p, types = self._dialect.placeholder, self._dead_letter_types()
        into = f"INSERT INTO {self._dead_letters} ({', '.join(map(self._quote, DEAD_LETTER_COLUMNS))})"
        values = ", ".join(f"unnest({p}::{types[name]}[])" for name in DEAD_LETTER_COLUMNS)
        for piece in _pieces(letters):
            columns = [[self._value(letter, name) for letter in piece] for name in DEAD_LETTER_COLUMNS]
            self._sink.change(f"{into} SELECT {values} ON CONFLICT DO NOTHING", columns)

    def _own(self, stream: str, reached: Reached) -> None:
        """Prove that this instance still owns the partition, and hold its row until COMMIT."""
        epoch = reached.epochs.get(stream, 0)
        if epoch:
            won = self._sink.change(
                f"UPDATE {self._positions} SET {self._touched()} "
                f"WHERE {self._of_target} AND {self._is('partition')} AND {self._is('epoch')}",
                [*self._key, stream, epoch],
            )
        else:
            won = self._insert(stream, 0, 1, "{}")
            reached.epochs[stream], reached.stored[stream] = 1, 0
        if not won:
            raise FencedError([stream])

    def _move(self, partition: str, position: Position, reached: Reached) -> None:
        """Compare and set: from the offset that this instance knows to the new one."""
        detail = json.dumps(position.detail, ensure_ascii=False, sort_keys=True)
        if partition in reached.stored:
            won = self._sink.change(
                f"UPDATE {self._positions} SET {self._is('next_offset')}, {self._is('detail')}, {self._touched()} "
                f"WHERE {self._of_target} AND {self._is('partition')} AND {self._is('next_offset')}",
                [position.offset, detail, *self._key, partition, reached.stored[partition]],
            )
        else:
            won = self._insert(partition, position.offset, 0, detail)
        if not won:
            raise FencedError([stream_of(partition)])
        reached.stored[partition] = position.offset

    def _insert(self, partition: str, offset: int, epoch: int, detail: str) -> int:
        values = [*self._key, partition, offset, epoch, detail]
        sql, again = self._insert_if_absent(
            self._positions, (*_POSITION_KEY, "next_offset", "epoch", "detail"), _POSITION_KEY, stamped="updated_at"
        )
        return self._sink.change(sql, [*values, *values[:3]] if again else values)

    def _insert_if_absent(self, table: str, columns: Sequence[str], key: Sequence[str], *, stamped: str = "") -> tuple[str, bool]:
        """An INSERT of one row unless its key is there; and whether the key's values are parameters once more, behind all others."""
        d, q = self._dialect, self._quote
        values = ", ".join([*[d.placeholder] * len(columns), *([d.now] if stamped else [])])
        into = f"INSERT INTO {table} ({', '.join(map(q, [*columns, *([stamped] if stamped else [])]))})"
        if d.if_absent == "on_conflict":
            return f"{into} VALUES ({values}) ON CONFLICT DO NOTHING", False
        same = " AND ".join(self._is(name) for name in key)
        return f"{into} SELECT {values}{d.from_nothing} WHERE NOT EXISTS (SELECT 1 FROM {table}{d.lock_hint} WHERE {same})", True

    def _is(self, column: str) -> str:
        return f"{self._quote(column)} = {self._dialect.placeholder}"

    def _touched(self) -> str:
        return f"{self._quote('updated_at')} = {self._dialect.now}"

    def _create_dead_letters(self) -> None:
        d, q, types = self._dialect, self._quote, self._dead_letter_types()
        columns = [f"{q(name)} {types[name]}{'' if name in _MAY_BE_NULL else ' NOT NULL'}" for name in DEAD_LETTER_COLUMNS[1:]]
        key = f"{q('id')} {d.key_text.format(d.key_sizes[3])} NOT NULL PRIMARY KEY"
        self._sink.make_own_table(DEAD_LETTERS, ", ".join([key, *columns]))

    def _dead_letter_types(self) -> dict[str, str]:
        d = self._dialect
        special = {
            "record_offset": d.integer,
            "byte_offset": d.integer,
            "payload": d.bytes,
            "view": d.json,
            "attempts": d.integer,
            "created_at": d.timestamp,
        }
        return {name: special.get(name, d.text) for name in DEAD_LETTER_COLUMNS}

    def _value(self, letter: DeadLetter, column: str) -> Any:
        """A dead letter's value for one column. Text that no database holds is escaped: the payload has the original."""
        if column == "target":
            return self._target
        value = getattr(letter, "offset" if column == "record_offset" else column)
        if isinstance(value, str) and column != "view":
            return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
        return value


def _pieces(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    piece: list[DeadLetter] = []
    nbytes = 0
    for letter in letters:
        if piece and (len(piece) == PIECE_LETTERS or nbytes + len(letter.payload) > PIECE_BYTES):
            yield piece
            piece, nbytes = [], 0
        piece.append(letter)
        nbytes += len(letter.payload)
    if piece:
        yield piece

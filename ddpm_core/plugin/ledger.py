"""DDPM's own two tables beside the data: how far each file has landed, and what was set aside.

`_ddpm_positions` has one row for each (pipeline, target table, partition or generation). The row of a partition holds its epoch: claiming
adds 1, and a commit succeeds only while the epoch is the one that was claimed. A partition that nobody has committed yet has no row: the
first commit inserts it, and of two first commits the second finds it there and is fenced. So a run that is killed before its first commit
leaves nothing. The compare-and-set comes last in a transaction: an instance that is frozen before it holds no lock that its successor needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from ddpm_core.errors import FencedError
from ddpm_core.plugin.letter_rows import DEAD_LETTER_COLUMNS, MAY_BE_NULL, letter_value
from ddpm_core.records import LETTER_PARTITIONS, DeadLetter, Position, Positions, letter_partition, stream_of
from ddpm_core.values import dataclass

POSITIONS = "_ddpm_positions"
DEAD_LETTERS = "_ddpm_dead_letters"

_POSITION_KEY = ("pipeline", "target", "partition")

PIECE_LETTERS = 2_000
PIECE_BYTES = 8 << 20
"""Dead letters go into the table in pieces of so many letters or bytes of payload, whichever comes first."""
AT_ONCE = 1_000
"""So many values are named in a statement: databases without arrays take that many parameters."""


class Statements(Protocol):
    """What the ledger asks of its sink. Every statement runs in the transaction that is open."""

    def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement that changes rows and return how many it found, changed or not."""

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement that changes rows once for each of these parameters."""

    def insert_absent(self, table: str, types: Mapping[str, str], columns: Sequence[Sequence[Any]]) -> None:
        """Insert rows, given column by column, but for those whose key is there."""

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
        arrays: A parameter may be a list, and `unnest` of several of them gives rows. Dead letters go through `insert_absent` then, and
            otherwise through `change_many`.
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
        self._letters_are_void = False

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

    def knows(self, pipeline: str) -> bool:
        """Whether this pipeline, which may be another, has a position in the target."""
        sql = f"SELECT 1 FROM {self._positions} WHERE {self._of_target}"
        return bool(self._sink.fetch(sql, [pipeline, self._key[1]]))

    def forget(self) -> None:
        """Forget what this instance has claimed."""
        self._epochs.clear()
        self._stored.clear()
        self._letters_are_void = False

    def void_all(self) -> None:
        """Delete every position of the target: its rows are being replaced."""
        self._sink.change(f"DELETE FROM {self._positions} WHERE {self._of_target}", self._key)
        self.forget()

    def claim(self, partitions: Sequence[str], *, void_if_landed: bool) -> Positions:
        """Take ownership of partitions and their generations; return where each one stands.

        Args:
            partitions: No generations.
            void_if_landed: Delete and leave out the positions under which rows landed: the table they landed in is gone.
        """
        if not partitions:
            return {}
        claimed = self._take(partitions)
        known: Positions = {}
        epochs: dict[str, int] = {}
        for found, offset, detail, epoch in self._standing(partitions):
            name = _text(found)
            known[name], epochs[name] = Position(int(offset), json.loads(detail)), int(epoch)
        if void_if_landed:
            for name in [name for name, position in known.items() if position.detail.get("rows")]:
                self._sink.change(
                    f"DELETE FROM {self._positions} WHERE {self._of_target} AND {self._is('partition')}", [*self._key, name]
                )
                del known[name], epochs[name]
        if void_if_landed and not self._letters_are_void:
            self._void_letters()
            self._letters_are_void = True
        # The UPDATE holds the row, so this is the epoch that it made. Without one, the first commit inserts the row.
        self._epochs.update({name: epochs.get(name, 0) if name in claimed else 0 for name in partitions})
        asked = set(partitions)
        self._stored = {name: offset for name, offset in self._stored.items() if stream_of(name) not in asked}
        self._stored.update({name: position.offset for name, position in known.items()})
        return known

    def _take(self, partitions: Sequence[str]) -> set[str]:
        """Add 1 to the epochs of those that have a row, and hold the rows. Returns which they are."""
        among, names = self._among("partition", partitions)
        update = f"UPDATE {self._positions} SET {self._quote('epoch')} = {self._quote('epoch')} + 1, {self._touched()} WHERE {self._of_target}"
        if self._dialect.arrays:
            taken = self._sink.fetch(f"{update} AND {among} RETURNING {self._quote('partition')}", [*self._key, *names])
            return {_text(name) for (name,) in taken}
        return {name for name in partitions if self._sink.change(f"{update} AND {self._is('partition')}", [*self._key, name])}

    def _standing(self, partitions: Sequence[str]) -> list[tuple[Any, ...]]:
        """Name, offset, detail and epoch of the rows that these and their generations have."""
        p, q = self._dialect.placeholder, self._quote
        columns = ", ".join(map(q, ("partition", "next_offset", "detail", "epoch")))
        # `$` is the character after `#`: every generation lies between the two, and the primary key finds them.
        bounds = [[*partitions], [f"{name}#" for name in partitions], [f"{name}$" for name in partitions]]
        if self._dialect.arrays:
            asked = ", ".join(f"unnest({p}::{self._dialect.text}[]) AS {q(name)}" for name in "nbe")
            return self._sink.fetch(
                f"SELECT {columns} FROM {self._positions}, (SELECT {asked}) AS asked WHERE {self._of_target} "
                f"AND ({q('partition')} = {q('n')} OR ({q('partition')} >= {q('b')} AND {q('partition')} < {q('e')}))",
                [*bounds, *self._key],
            )
        sql = (
            f"SELECT {columns} FROM {self._positions} "
            f"WHERE {self._of_target} AND ({self._is('partition')} OR ({q('partition')} >= {p} AND {q('partition')} < {p}))"
        )
        return [row for bound in zip(*bounds, strict=True) for row in self._sink.fetch(sql, [*self._key, *bound])]

    def advance(self, positions: Positions) -> Reached:
        """Prove ownership of every partition and move its positions. The last statements before COMMIT.

        Returns:
            What `committed` takes once the COMMIT has succeeded.

        Raises:
            FencedError: Another instance has claimed a partition, or moved its position.
        """
        reached = Reached(dict(self._epochs), dict(self._stored))
        at_once = [
            name for name in sorted(positions) if stream_of(name) == name and reached.epochs.get(name) and name in reached.stored
        ]
        if at_once:
            self._move_at_once(at_once, positions, reached)
        owned: set[str] = set()
        new: dict[str, tuple[Position, int]] = {}
        # Always in the same order, so that two instances cannot deadlock.
        for partition in sorted(positions.keys() - set(at_once)):
            stream = stream_of(partition)
            if stream not in owned:
                owned.add(stream)
                if reached.epochs.get(stream):
                    self._own(stream, reached.epochs[stream])
                else:
                    new[stream] = positions.get(stream, Position(0)), 1
            if partition in reached.stored:
                self._move(partition, positions[partition], reached)
            elif partition not in new:
                new[partition] = positions[partition], 0
        if new:
            self._insert(new)
            reached.epochs.update({name: epoch for name, (_, epoch) in new.items() if epoch})
            reached.stored.update({name: position.offset for name, (position, _) in new.items()})
        return reached

    def committed(self, reached: Reached) -> None:
        """The transaction is durable."""
        self._epochs, self._stored = reached.epochs, reached.stored

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters; the same id is stored once. The table is made when the first one comes.

        One that is there already, and got through when it was sent again, is open again: its record was read anew (`--again`,
        `--mode replace`, a table that was dropped) and refused anew, so what had landed of it does not count any more.
        """
        if not letters:
            return
        if self._dialect.transactional_ddl:
            self._create_dead_letters()
        for start in range(0, len(letters), AT_ONCE):
            self._open_again(letters[start : start + AT_ONCE])
        if not self._dialect.arrays:
            sql, again = self._insert_if_absent(self._dead_letters, DEAD_LETTER_COLUMNS, ("id",))
            rows = ([self._value(letter, name) for name in DEAD_LETTER_COLUMNS] for letter in letters)
            self._sink.change_many(sql, [[*row, *row[:1]] if again else row for row in rows])
            return
        # Column by column: a statement for each letter costs DuckDB 3 ms, and a run may set aside every twentieth record.
        for piece in _pieces(letters):
            columns = [[self._value(letter, name) for letter in piece] for name in DEAD_LETTER_COLUMNS]
            self._sink.insert_absent(self._dead_letters, self._dead_letter_types(), columns)

    def _open_again(self, letters: Sequence[DeadLetter]) -> None:
        """Those that were replayed are open, and their positions are void. One statement, and no more where there are none."""
        q = self._quote
        among, ids = self._among("id", [letter.id for letter in letters])
        opened = self._sink.change(
            f"UPDATE {self._dead_letters} SET {q('replayed_at')} = NULL, {q('attempts')} = 1, {q('created_at')} = {self._dialect.now} "
            f"WHERE {among} AND {q('replayed_at')} IS NOT NULL",
            ids,
        )
        if opened:
            among, names = self._among("partition", [letter_partition(letter) for letter in letters])
            self._sink.change(f"DELETE FROM {self._positions} WHERE {self._of_target} AND {among}", [*self._key, *names])

    def _void_letters(self) -> None:
        """The table is gone, and with it what landed in it of letters that were sent again: they can land once more."""
        q, p = self._quote, self._dialect.placeholder
        self._sink.change(
            f"DELETE FROM {self._positions} WHERE {self._of_target} "
            f"AND {q('partition')} >= {p} AND {q('partition')} < {p} AND {q('next_offset')} > 0",
            [*self._key, LETTER_PARTITIONS, f"{LETTER_PARTITIONS[:-1]};"],
        )

    def _among(self, column: str, values: Sequence[str]) -> tuple[str, list[Any]]:
        """The condition that a column is one of these, and its parameters."""
        p = self._dialect.placeholder
        if self._dialect.arrays:
            return f"{self._quote(column)} IN (SELECT unnest({p}::{self._dialect.text}[]))", [list(values)]
        return f"{self._quote(column)} IN ({', '.join([p] * len(values))})", list(values)

    def _own(self, stream: str, epoch: int) -> None:
        """Prove that this instance still owns a partition that has a row, and hold the row until COMMIT."""
        won = self._sink.change(
            f"UPDATE {self._positions} SET {self._touched()} WHERE {self._of_target} AND {self._is('partition')} AND {self._is('epoch')}",
            [*self._key, stream, epoch],
        )
        if not won:
            raise FencedError([stream])

    def _move_at_once(self, partitions: Sequence[str], positions: Positions, reached: Reached) -> None:
        """Compare and set partitions without generations: ownership and offset in one statement each, or in one for all."""
        d, q, p = self._dialect, self._quote, self._dialect.placeholder
        rows = [
            (positions[name].offset, _detail(positions[name]), name, reached.epochs[name], reached.stored[name])
            for name in partitions
        ]
        if d.arrays:
            kinds = (d.integer, d.text, d.text, d.integer, d.integer)
            given = ", ".join(f"unnest({p}::{kind}[]) AS {q(name)}" for kind, name in zip(kinds, "odnes", strict=True))
            won = self._sink.change(
                f"UPDATE {self._positions} AS kept SET {q('next_offset')} = given.{q('o')}, {q('detail')} = given.{q('d')}, {self._touched()} "
                f"FROM (SELECT {given}) AS given WHERE {self._of_target} AND kept.{q('partition')} = given.{q('n')} "
                f"AND kept.{q('epoch')} = given.{q('e')} AND kept.{q('next_offset')} = given.{q('s')}",
                [*[list(column) for column in zip(*rows, strict=True)], *self._key],
            )
        else:
            won = sum(
                self._sink.change(
                    f"UPDATE {self._positions} SET {self._is('next_offset')}, {self._is('detail')}, {self._touched()} "
                    f"WHERE {self._of_target} AND {self._is('partition')} AND {self._is('epoch')} AND {self._is('next_offset')}",
                    [offset, detail, *self._key, *rest],
                )
                for offset, detail, *rest in rows
            )
        if won != len(rows):
            raise FencedError(self._not_ours(partitions, reached))
        reached.stored.update({name: positions[name].offset for name in partitions})

    def _not_ours(self, partitions: Sequence[str], reached: Reached) -> list[str]:
        """Which of these another instance has claimed or moved. Those that this transaction has moved itself stand at other offsets: the
        epoch tells, and an offset that somebody moved under the same epoch is a second instance's too."""
        rows = self._sink.fetch(
            f"SELECT {self._quote('partition')}, {self._quote('epoch')} FROM {self._positions} WHERE {self._of_target}", self._key
        )
        epochs = {_text(name): int(epoch) for name, epoch in rows}
        taken = [name for name in partitions if epochs.get(name) != reached.epochs[name]]
        return taken or list(partitions)

    def _move(self, partition: str, position: Position, reached: Reached) -> None:
        """Compare and set: from the offset that this instance knows to the new one."""
        won = self._sink.change(
            f"UPDATE {self._positions} SET {self._is('next_offset')}, {self._is('detail')}, {self._touched()} "
            f"WHERE {self._of_target} AND {self._is('partition')} AND {self._is('next_offset')}",
            [position.offset, _detail(position), *self._key, partition, reached.stored[partition]],
        )
        if not won:
            raise FencedError([stream_of(partition)])
        reached.stored[partition] = position.offset

    def _insert(self, new: Mapping[str, tuple[Position, int]]) -> None:
        """Rows for partitions and generations that have none: with the first one of a partition this instance owns it. Where there are
        arrays, in one statement: a replay of dead letters has a thousand of them in a transaction."""
        d, q, p = self._dialect, self._quote, self._dialect.placeholder
        columns = (*_POSITION_KEY, "next_offset", "epoch", "detail")
        rows = [(name, position.offset, epoch, _detail(position)) for name, (position, epoch) in new.items()]
        if d.arrays:
            values = ", ".join(f"unnest({p}::{kind}[])" for kind in (d.text, d.integer, d.integer, d.text))
            made = self._sink.fetch(
                f"INSERT INTO {self._positions} ({', '.join(map(q, [*columns, 'updated_at']))}) "
                f"SELECT {p}, {p}, {values}, {d.now} ON CONFLICT DO NOTHING RETURNING {q('partition')}",
                [*self._key, *[list(column) for column in zip(*rows, strict=True)]],
            )
            taken = new.keys() - {_text(name) for (name,) in made}
        else:
            sql, again = self._insert_if_absent(self._positions, columns, _POSITION_KEY, stamped="updated_at")
            given = [[*self._key, *row] for row in rows]
            taken = {row[2] for row in given if not self._sink.change(sql, [*row, *row[:3]] if again else row)}
        if taken:
            raise FencedError(sorted(set(map(stream_of, taken))))

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
        columns = [f"{q(name)} {types[name]}{'' if name in MAY_BE_NULL else ' NOT NULL'}" for name in DEAD_LETTER_COLUMNS[1:]]
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
            "message_key": d.bytes,
            "message_timestamp": d.integer,
            "replayed_at": d.timestamp,
        }
        return {name: special.get(name, d.text) for name in DEAD_LETTER_COLUMNS}

    def _value(self, letter: DeadLetter, column: str) -> Any:
        return self._target if column == "target" else letter_value(letter, column)


def _text(name: str | bytes) -> str:
    """A name as it is in Python: where text has no order by bytes, databases keep it as bytes."""
    return name.decode() if isinstance(name, bytes) else str(name)


def _detail(position: Position) -> str:
    return json.dumps(position.detail, ensure_ascii=False, sort_keys=True)


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

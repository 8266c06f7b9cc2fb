"""How far each file and partition has landed: DDPM's own table of positions, beside the data.

`_ddpm_positions` has one row for each (pipeline, target table, partition or generation). The row of a partition holds its epoch: claiming
adds 1, and a commit succeeds only while the epoch is the one that was claimed. A partition that nobody has committed yet has no row: the
first commit inserts it, and of two first commits the second finds it there and is fenced. So a run that is killed before its first commit
leaves nothing. The compare-and-set comes last in a transaction: an instance that is frozen before it holds no lock that its successor needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ddpm_core.errors import FencedError
from ddpm_core.plugin.dialect import AT_ONCE, Dialect, Spelling, Statements
from ddpm_core.records import LETTER_PARTITIONS, Position, Positions, stream_of
from ddpm_core.values import dataclass

POSITIONS = "_ddpm_positions"

_KEY = ("pipeline", "target", "partition")


@dataclass(frozen=True, slots=True)
class Reached:
    """What a transaction is about to make true: partition -> epoch held, partition or generation -> offset stored."""

    epochs: dict[str, int]
    stored: dict[str, int]


class Ledger:
    """The positions of one target table, as one instance knows them. Every statement runs in the caller's transaction.

    Args:
        sink: Runs the statements.
        dialect: The database's spelling.
        schema: Where the table lies, unquoted: beside the target.
        pipeline, target: Whose positions these are.
    """

    def __init__(self, sink: Statements, dialect: Dialect, *, schema: str, pipeline: str, target: str) -> None:
        self._sink = sink
        self._dialect = dialect
        self._sql = Spelling(sink, dialect)
        self._quote = sink.quote
        self._positions = f"{sink.quote(schema)}.{sink.quote(POSITIONS)}"
        self._key: list[Any] = [pipeline, target]
        self._of_target = f"{self._sql.equal('pipeline')} AND {self._sql.equal('target')}"
        self._epochs: dict[str, int] = {}
        self._stored: dict[str, int] = {}

    def create(self) -> None:
        """Make the table if it is missing."""
        d, q = self._dialect, self._quote
        keys = zip(_KEY, d.key_sizes, strict=False)
        columns = [f"{q(name)} {d.key_text.format(size)} NOT NULL" for name, size in keys]
        columns += [f"{q('next_offset')} {d.integer} NOT NULL", f"{q('epoch')} {d.integer} NOT NULL"]
        columns += [f"{q('detail')} {d.text} NOT NULL", f"{q('updated_at')} {d.timestamp} NOT NULL"]
        columns += [f"PRIMARY KEY ({', '.join(map(q, _KEY))})"]
        self._sink.make_own_table(POSITIONS, ", ".join(columns))

    def knows(self, pipeline: str) -> bool:
        """Whether this pipeline, which may be another, has a position in the target."""
        sql = f"SELECT 1 FROM {self._positions} WHERE {self._of_target}"
        return bool(self._sink.fetch(sql, [pipeline, self._key[1]]))

    def forget(self) -> None:
        """Forget what this instance has claimed."""
        self._epochs.clear()
        self._stored.clear()

    def void_all(self) -> None:
        """Delete every position of the target: its rows are being replaced."""
        self._sink.change(f"DELETE FROM {self._positions} WHERE {self._of_target}", self._key)
        self.forget()

    def void(self, partitions: Sequence[str]) -> None:
        """Delete the positions of these partitions or generations: what had landed of them does not count any more."""
        among, names = self._sql.among("partition", partitions)
        self._sink.change(f"DELETE FROM {self._positions} WHERE {self._of_target} AND {among}", [*self._key, *names])

    def void_landed(self, still_missing: Callable[[], bool]) -> None:
        """Forget where everything stands under which rows landed, and letters that were sent again: the table they landed in is gone.

        Not where another instance makes the table meanwhile: its rows are there, and their positions with them.

        Args:
            still_missing: Looks for the table once more, when the rows of all those positions are held.
        """
        if not self._landed():
            return
        epoch = self._quote("epoch")
        self._sink.change(f"UPDATE {self._positions} SET {epoch} = {epoch} WHERE {self._of_target}", self._key)
        landed = self._landed()
        if still_missing():
            for start in range(0, len(landed), AT_ONCE):
                self.void(landed[start : start + AT_ONCE])

    def _landed(self) -> list[str]:
        """The partitions and generations under which rows are, and the letters that were sent again."""
        columns = ", ".join(map(self._quote, ("partition", "next_offset", "detail")))
        rows = self._sink.fetch(f"SELECT {columns} FROM {self._positions} WHERE {self._of_target}", self._key)
        found = [(_text(name), int(offset), detail) for name, offset, detail in rows]
        return [
            name
            for name, offset, detail in found
            if (offset and name.startswith(LETTER_PARTITIONS)) or json.loads(detail).get("rows")
        ]

    def claim(self, partitions: Sequence[str]) -> Positions:
        """Take ownership of partitions, which are no generations; return where they and their generations stand."""
        if not partitions:
            return {}
        claimed = self._take(partitions)
        known: Positions = {}
        epochs: dict[str, int] = {}
        for found, offset, detail, epoch in self._standing(partitions):
            name = _text(found)
            known[name], epochs[name] = Position(int(offset), json.loads(detail)), int(epoch)
        # The UPDATE holds the row, so this is the epoch that it made. Without one, the first commit inserts the row.
        self._epochs.update({name: epochs.get(name, 0) if name in claimed else 0 for name in partitions})
        asked = set(partitions)
        self._stored = {name: offset for name, offset in self._stored.items() if stream_of(name) not in asked}
        self._stored.update({name: position.offset for name, position in known.items()})
        return known

    def _take(self, partitions: Sequence[str]) -> set[str]:
        """Add 1 to the epochs of those that have a row, and hold the rows. Returns which they are."""
        update = f"UPDATE {self._positions} SET {self._quote('epoch')} = {self._quote('epoch')} + 1, {self._sql.now('updated_at')}"
        if not self._dialect.arrays:
            one = f"{update} WHERE {self._of_target} AND {self._sql.equal('partition')}"
            return {name for name in partitions if self._sink.change(one, [*self._key, name])}
        among, names = self._sql.among("partition", partitions)
        near, bounds = self._near(partitions)
        taken = self._sink.fetch(f"{update} WHERE {near} AND {among} RETURNING {self._quote('partition')}", [*bounds, *names])
        return {_text(name) for (name,) in taken}

    def _standing(self, partitions: Sequence[str]) -> list[tuple[Any, ...]]:
        """Name, offset, detail and epoch of the rows that these and their generations have."""
        p, q = self._dialect.placeholder, self._quote
        found = f"SELECT {', '.join(map(q, ('partition', 'next_offset', 'detail', 'epoch')))} FROM {self._positions}"
        # `$` is the character after `#`: every generation lies between the two, and the primary key finds them.
        names = [[*partitions], [f"{name}#" for name in partitions], [f"{name}$" for name in partitions]]
        if not self._dialect.arrays:
            one = f"{self._sql.equal('partition')} OR ({q('partition')} >= {p} AND {q('partition')} < {p})"
            sql = f"{found} WHERE {self._of_target} AND ({one})"
            return [row for name in zip(*names, strict=True) for row in self._sink.fetch(sql, [*self._key, *name])]
        asked = ", ".join(f"unnest({p}::{self._dialect.text}[]) AS {q(name)}" for name in "nbe")
        near, bounds = self._near(partitions)
        of_one = (
            f"{q('partition')} >= asked.{q('n')} AND {q('partition')} < asked.{q('e')} "
            f"AND ({q('partition')} = asked.{q('n')} OR {q('partition')} >= asked.{q('b')})"
        )
        # OFFSET 0 keeps Postgres from joining the other way round, which without statistics it would: 7 s for 64 of a million.
        return self._sink.fetch(
            f"SELECT kept.* FROM (SELECT {asked}) AS asked CROSS JOIN LATERAL ({found} WHERE {near} AND {of_one} OFFSET 0) AS kept",
            [*names, *bounds],
        )

    def _near(self, partitions: Sequence[str]) -> tuple[str, list[Any]]:
        """A condition that all rows of these meet, and few others, and its parameters: files come in the order of their names, and between
        the first and the last of some there are few of the million that have landed."""
        p, column = self._dialect.placeholder, self._quote("partition")
        first, last = min(partitions), max(f"{name}$" for name in partitions)
        return f"{self._of_target} AND {column} >= {p} AND {column} < {p}", [*self._key, first, last]

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
        # In one order, so that of two instances with the same partitions one waits for the other, and neither for both.
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

    def _own(self, stream: str, epoch: int) -> None:
        """Prove that this instance still owns a partition that has a row, and hold the row until COMMIT."""
        won = self._sink.change(
            f"UPDATE {self._positions} SET {self._sql.now('updated_at')} WHERE {self._of_target} AND {self._sql.equal('partition')} AND {self._sql.equal('epoch')}",
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
                f"UPDATE {self._positions} AS kept SET {q('next_offset')} = given.{q('o')}, {q('detail')} = given.{q('d')}, {self._sql.now('updated_at')} "
                f"FROM (SELECT {given}) AS given WHERE {self._of_target} AND kept.{q('partition')} = given.{q('n')} "
                f"AND kept.{q('epoch')} = given.{q('e')} AND kept.{q('next_offset')} = given.{q('s')}",
                [*[list(column) for column in zip(*rows, strict=True)], *self._key],
            )
        else:
            won = sum(
                self._sink.change(
                    f"UPDATE {self._positions} SET {self._sql.equal('next_offset')}, {self._sql.equal('detail')}, {self._sql.now('updated_at')} "
                    f"WHERE {self._of_target} AND {self._sql.equal('partition')} AND {self._sql.equal('epoch')} AND {self._sql.equal('next_offset')}",
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
            f"UPDATE {self._positions} SET {self._sql.equal('next_offset')}, {self._sql.equal('detail')}, {self._sql.now('updated_at')} "
            f"WHERE {self._of_target} AND {self._sql.equal('partition')} AND {self._sql.equal('next_offset')}",
            [position.offset, _detail(position), *self._key, partition, reached.stored[partition]],
        )
        if not won:
            raise FencedError([stream_of(partition)])
        reached.stored[partition] = position.offset

    def _insert(self, new: Mapping[str, tuple[Position, int]]) -> None:
        """Rows for partitions and generations that have none: with the first one of a partition this instance owns it. Where there are
        arrays, in one statement: a replay of dead letters has a thousand of them in a transaction."""
        d, q, p = self._dialect, self._quote, self._dialect.placeholder
        columns = (*_KEY, "next_offset", "epoch", "detail")
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
            sql, again = self._sql.insert_if_absent(self._positions, columns, _KEY, stamped="updated_at")
            given = [[*self._key, *row] for row in rows]
            taken = {row[2] for row in given if not self._sink.change(sql, [*row, *row[:3]] if again else row)}
        if taken:
            raise FencedError(sorted(set(map(stream_of, taken))))


def _text(name: str | bytes) -> str:
    """A name as it is in Python: where text has no order by bytes, databases keep it as bytes."""
    return name.decode() if isinstance(name, bytes) else str(name)


def _detail(position: Position) -> str:
    return json.dumps(position.detail, ensure_ascii=False, sort_keys=True)

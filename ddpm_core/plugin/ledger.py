"""DDPM's own two tables beside the data: how far each file has landed, and what was set aside.

`_ddpm_positions` has one row for each (pipeline, target table, partition or generation). The row of a partition holds its epoch: claiming
adds 1, and a commit succeeds only while the epoch is the one that was claimed. A partition that nobody has committed yet has no row: the
first commit inserts it, and of two first commits the second finds it there and is fenced. So a run that is killed before its first commit
leaves nothing. The compare-and-set comes last in a transaction: an instance that is frozen before it holds no lock that its successor needs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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

PIECE_LETTERS = 2_000
PIECE_BYTES = 8 << 20
"""Dead letters go into the table in pieces of so many letters or bytes of payload, whichever comes first."""

Fetch: TypeAlias = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database spells what DDPM says. It must know `ON CONFLICT DO NOTHING` and `RETURNING`.

    Attributes:
        name: For messages, such as `Postgres`.
        placeholder: A parameter in a statement: `?` or `%s`.
        text, key_text, integer, bytes, json, timestamp: Column types of DDPM's own tables. `key_text` compares by bytes.
        max_name_bytes: The longest identifier, in UTF-8 bytes, or None.
        now: The expression for the present time.
        arrays: A parameter may be a list, and `unnest` of several of them gives rows. Without, each dead letter is a statement.
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


@dataclass(frozen=True, slots=True)
class Reached:
    """What a transaction is about to make true: partition -> epoch held, partition or generation -> offset stored."""

    epochs: dict[str, int]
    stored: dict[str, int]


class Ledger:
    """The positions and dead letters of one target table, as one instance knows them. Every statement runs in the caller's transaction.

    Args:
        fetch: Runs a statement and returns its rows.
        quote: Quotes an identifier.
        dialect: The database's spelling.
        schema: Where both tables lie, unquoted: beside the target.
        pipeline, target: Whose positions these are.
    """

    def __init__(
        self, fetch: Fetch, quote: Callable[[str], str], dialect: Dialect, *, schema: str, pipeline: str, target: str
    ) -> None:
        self._fetch = fetch
        self._dialect = dialect
        self._positions = f"{quote(schema)}.{quote(POSITIONS)}"
        self._dead_letters = f"{quote(schema)}.{quote(DEAD_LETTERS)}"
        self._target = target
        self._key: list[Any] = [pipeline, target]
        self._of_target = f"pipeline = {dialect.placeholder} AND target = {dialect.placeholder}"
        self._epochs: dict[str, int] = {}
        self._stored: dict[str, int] = {}

    def create(self) -> None:
        """Make the table of positions if it is missing."""
        d = self._dialect
        self._fetch(
            f"CREATE TABLE IF NOT EXISTS {self._positions} (pipeline {d.key_text} NOT NULL, target {d.key_text} NOT NULL, "
            f"partition {d.key_text} NOT NULL, next_offset {d.integer} NOT NULL, epoch {d.integer} NOT NULL, "
            f"detail {d.text} NOT NULL, updated_at {d.timestamp} NOT NULL, PRIMARY KEY (pipeline, target, partition))",
            [],
        )

    def forget(self) -> None:
        """Forget what this instance has claimed."""
        self._epochs.clear()
        self._stored.clear()

    def void_all(self) -> None:
        """Delete every position of the target: its rows are being replaced."""
        self._fetch(f"DELETE FROM {self._positions} WHERE {self._of_target}", self._key)
        self.forget()

    def claim(self, partition: str, *, void_if_landed: bool) -> Positions:
        """Take ownership of a partition and its generations; return where each one stands.

        Args:
            partition: Not a generation.
            void_if_landed: Delete and leave out the positions under which rows landed: the table they landed in is gone.
        """
        p = self._dialect.placeholder
        # `$` is the character after `#`: every generation lies between the two, and the primary key finds them.
        rows = self._fetch(
            f"SELECT partition, next_offset, detail FROM {self._positions} "
            f"WHERE {self._of_target} AND (partition = {p} OR (partition >= {p} AND partition < {p}))",
            [*self._key, partition, f"{partition}#", f"{partition}$"],
        )
        known = {name: Position(int(offset), json.loads(detail)) for name, offset, detail in rows}
        if void_if_landed:
            for name in [name for name, position in known.items() if position.detail.get("rows")]:
                self._fetch(f"DELETE FROM {self._positions} WHERE {self._of_target} AND partition = {p}", [*self._key, name])
                del known[name]
        epoch = self._fetch(
            f"UPDATE {self._positions} SET epoch = epoch + 1, updated_at = {self._dialect.now} "
            f"WHERE {self._of_target} AND partition = {p} RETURNING epoch",
            [*self._key, partition],
        )
        self._epochs[partition] = int(epoch[0][0]) if epoch else 0
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
        self._create_dead_letters()
        p, types = self._dialect.placeholder, self._dead_letter_types()
        into = f"INSERT INTO {self._dead_letters} ({', '.join(DEAD_LETTER_COLUMNS)})"
        if not self._dialect.arrays:
            one = f"{into} VALUES ({', '.join([p] * len(DEAD_LETTER_COLUMNS))}) ON CONFLICT DO NOTHING"
            for letter in letters:
                self._fetch(one, [self._value(letter, name) for name in DEAD_LETTER_COLUMNS])
            return
        # One array for each column: a statement for each letter costs DuckDB 3 ms, and a run may set aside every twentieth record.
        values = ", ".join(f"unnest({p}::{types[name]}[])" for name in DEAD_LETTER_COLUMNS)
        for piece in _pieces(letters):
            columns = [[self._value(letter, name) for letter in piece] for name in DEAD_LETTER_COLUMNS]
            self._fetch(f"{into} SELECT {values} ON CONFLICT DO NOTHING", columns)

    def _own(self, stream: str, reached: Reached) -> None:
        """Prove that this instance still owns the partition, and hold its row until COMMIT."""
        p = self._dialect.placeholder
        epoch = reached.epochs.get(stream, 0)
        if epoch:
            won = self._fetch(
                f"UPDATE {self._positions} SET updated_at = {self._dialect.now} "
                f"WHERE {self._of_target} AND partition = {p} AND epoch = {p} RETURNING 1",
                [*self._key, stream, epoch],
            )
        else:
            won = self._insert(stream, 0, 1, "{}")
            reached.epochs[stream], reached.stored[stream] = 1, 0
        if not won:
            raise FencedError([stream])

    def _move(self, partition: str, position: Position, reached: Reached) -> None:
        """Compare and set: from the offset that this instance knows to the new one."""
        p = self._dialect.placeholder
        detail = json.dumps(position.detail, ensure_ascii=False, sort_keys=True)
        if partition in reached.stored:
            won = self._fetch(
                f"UPDATE {self._positions} SET next_offset = {p}, detail = {p}, updated_at = {self._dialect.now} "
                f"WHERE {self._of_target} AND partition = {p} AND next_offset = {p} RETURNING 1",
                [position.offset, detail, *self._key, partition, reached.stored[partition]],
            )
        else:
            won = self._insert(partition, position.offset, 0, detail)
        if not won:
            raise FencedError([stream_of(partition)])
        reached.stored[partition] = position.offset

    def _insert(self, partition: str, offset: int, epoch: int, detail: str) -> list[tuple[Any, ...]]:
        p = self._dialect.placeholder
        return self._fetch(
            f"INSERT INTO {self._positions} (pipeline, target, partition, next_offset, epoch, detail, updated_at) "
            f"VALUES ({', '.join([p] * 6)}, {self._dialect.now}) ON CONFLICT DO NOTHING RETURNING 1",
            [*self._key, partition, offset, epoch, detail],
        )

    def _create_dead_letters(self) -> None:
        types = self._dead_letter_types()
        columns = [f"{name} {types[name]}{'' if name in _MAY_BE_NULL else ' NOT NULL'}" for name in DEAD_LETTER_COLUMNS[1:]]
        key = f"id {self._dialect.key_text} NOT NULL PRIMARY KEY"
        self._fetch(f"CREATE TABLE IF NOT EXISTS {self._dead_letters} ({', '.join([key, *columns])})", [])

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

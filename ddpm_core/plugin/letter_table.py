"""What was set aside, kept beside the data: DDPM's own table of dead letters, as a sink writes it.

`_ddpm_dead_letters` has one row for each dead letter, by its id. `kept_letters.py` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ddpm_core.plugin.dialect import AT_ONCE, Dialect, Spelling, Statements
from ddpm_core.plugin.letter_rows import DEAD_LETTER_COLUMNS, MAY_BE_NULL, in_pieces, letter_value
from ddpm_core.records import DeadLetter, letter_partition

DEAD_LETTERS = "_ddpm_dead_letters"

PIECE_LETTERS = 2_000
PIECE_BYTES = 8 << 20
"""Dead letters go into the table in pieces of so many letters or bytes of payload, whichever comes first."""


class LetterTable:
    """The dead letters of one target table. Every statement runs in the caller's transaction.

    Args:
        sink: Runs the statements.
        dialect: The database's spelling.
        schema: Where the table lies, unquoted: beside the target.
        target: Whose letters these are.
        void: Forgets how far these partitions have landed.
    """

    def __init__(
        self, sink: Statements, dialect: Dialect, *, schema: str, target: str, void: Callable[[Sequence[str]], None]
    ) -> None:
        self._sink = sink
        self._dialect = dialect
        self._sql = Spelling(sink, dialect)
        self._table = f"{sink.quote(schema)}.{sink.quote(DEAD_LETTERS)}"
        self._target = target
        self._void = void

    def create(self) -> None:
        """Make the table if it is missing. Called when nothing is written yet where making a table commits; else `keep` does it."""
        d, q, types = self._dialect, self._sql.quote, self._types()
        columns = [f"{q(name)} {types[name]}{'' if name in MAY_BE_NULL else ' NOT NULL'}" for name in DEAD_LETTER_COLUMNS[1:]]
        key = f"{q('id')} {d.key_text.format(d.key_sizes[3])} NOT NULL PRIMARY KEY"
        self._sink.make_own_table(DEAD_LETTERS, ", ".join([key, *columns]))

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters; the same id is stored once. The table is made when the first one comes.

        One that is there already, and got through when it was sent again, is open again: its record was read anew (`--again`,
        `--mode replace`, a table that was dropped) and refused anew, so what had landed of it does not count any more.
        """
        if not letters:
            return
        if self._dialect.transactional_ddl:
            self.create()
        for start in range(0, len(letters), AT_ONCE):
            self._open_again(letters[start : start + AT_ONCE])
        if not self._dialect.arrays:
            sql, again = self._sql.insert_if_absent(self._table, DEAD_LETTER_COLUMNS, ("id",))
            rows = ([self._value(letter, name) for name in DEAD_LETTER_COLUMNS] for letter in letters)
            self._sink.change_many(sql, [[*row, *row[:1]] if again else row for row in rows])
            return
        # Column by column: a statement for each letter costs DuckDB 3 ms, and a run may set aside every twentieth record.
        for piece in in_pieces(letters, PIECE_LETTERS, PIECE_BYTES):
            columns = [[self._value(letter, name) for letter in piece] for name in DEAD_LETTER_COLUMNS]
            self._sink.insert_absent(self._table, self._types(), columns)

    def _open_again(self, letters: Sequence[DeadLetter]) -> None:
        """Those that were replayed are open, and their positions are void. One statement, and no more where there are none."""
        q = self._sql.quote
        among, ids = self._sql.among("id", [letter.id for letter in letters])
        opened = self._sink.change(
            f"UPDATE {self._table} SET {q('replayed_at')} = NULL, {q('attempts')} = 1, {q('created_at')} = {self._dialect.now} "
            f"WHERE {among} AND {q('replayed_at')} IS NOT NULL",
            ids,
        )
        if opened:
            self._void([letter_partition(letter) for letter in letters])

    def _types(self) -> dict[str, str]:
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

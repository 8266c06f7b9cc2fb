"""The source `sql`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ddpm_core import Assigned, BuildContext, ConfigError, EndOfSource, Item, Parsed, Positions, RetryableError, Rows, Source
from ddpm_sql.cursor import Mark
from ddpm_sql.cursor_positions import go_on, resume, take_all
from ddpm_sql.source_batches import Batches
from ddpm_sql.source_columns import ResultColumn
from ddpm_sql.source_options import SqlSourceOptions
from ddpm_sql.source_place import document_name, partition_name
from ddpm_sql.source_question import PROVEN_TIMES, Questions
from ddpm_sql.source_session import Session
from ddpm_sql.source_statement import Statements
from ddpm_sql.source_steps import InOrder, Patience, Portions, all_rows


def build(options: SqlSourceOptions, context: BuildContext) -> SqlSource:
    """The source that these options describe."""
    return SqlSource(options, context)


class SqlSource(Source):
    """Hands out the rows of one table or query, as one piece.

    With a cursor the piece is in its order and lasting: the next run goes on behind the last value that landed, and a connection that
    is lost is made again and goes on there too. Without one it is atomic: it lands at its end, and each run takes all rows.

    One transaction reads everything, so rows do not move meanwhile; a connection that was made again begins another. It is opened in
    `open` and kept until `close`. Nothing is written to the database.
    """

    def __init__(self, options: SqlSourceOptions, context: BuildContext) -> None:
        if not options.table and not options.query.strip(" \t\r\n;"):
            raise ConfigError("source sql: what is to be read?", hint="Give -o source.table=NAME, or -o source.query='SELECT …'.")
        self._options = options
        self._context = context
        self._session = Session(options)
        self._statements = Statements(options)
        self._name = document_name(options, self._session.place)
        self._partition = partition_name(options, self._session.place)
        self._columns: list[ResultColumn] = []
        self._skipped_nulls = 0
        self._bounds: tuple[object, object] = (None, None)
        self._positions: Positions | None = None
        self._assigned = self._handed_out = False

    def open(self) -> None:
        self._assigned = self._handed_out = False
        self._positions = None
        self._session.open()
        questions = Questions(self._options, self._session, self._context.columns)
        questions.catalogue()
        if not self._options.cursor:
            # Begun now, so that a wrong query is known before anything is claimed.
            self._columns = questions.columns(self._begin_everything())
            return
        self._columns = questions.columns()
        self._skipped_nulls = questions.nulls()
        self._bounds = questions.bounds()

    def seek(self, positions: Positions) -> None:
        self._positions = positions

    def read(self, timeout: float) -> Item | None:
        if not self._assigned:
            self._assigned = True
            return Assigned([self._partition])
        if self._positions is None:
            return None
        if self._handed_out:
            return EndOfSource()
        self._handed_out = True
        return self._in_order(self._positions) if self._options.cursor else self._everything(self._positions)

    def close(self) -> None:
        self._session.close()

    # Without a cursor.

    def _begin_everything(self) -> Sequence[object]:
        return self._session.stream(self._statements.everything(), asking=True)

    def _everything(self, known: Positions) -> Rows:
        going = take_all(self._partition, known)

        def steps() -> Iterator[Parsed]:
            return all_rows(self._session.fetch, Batches(self._columns), self._portions())

        return Rows(self._name, f"{self._partition}#{going.generation}", steps, atomic=True, note=going.note)

    # With a cursor.

    def _in_order(self, known: Positions) -> Rows:
        going = go_on(self._partition, known, self._options.cursor, again=self._options.again, name=self._name)
        note = going.note
        if self._skipped_nulls:
            note += f"; {self._skipped_nulls:,} row{'' if self._skipped_nulls == 1 else 's'} with a null cursor left out"
        return Rows(
            self._name,
            f"{self._partition}#{going.generation}",
            lambda: self._steps(going.mark),
            start=going.start,
            note=note,
            lasting=True,
        )

    def _steps(self, mark: Mark | None) -> Iterator[Parsed]:
        """The steps behind a mark. After a lost connection it goes on behind the last step."""
        options = self._options
        ranked = not all(column.exact for column in self._columns if column.name in options.cursor)
        batches = Batches(self._columns)
        in_order = InOrder(options.cursor, self._columns, batches, ranked=ranked, times=self._session.place.family in PROVEN_TIMES)
        patience = Patience(self._context.retry_for)
        while True:
            try:
                if not self._session.is_open:
                    self._session.open()
                self._begin_behind(mark, ranked=ranked)
                for step, reached in in_order.steps(self._session.fetch, self._portions(), mark):
                    mark = reached
                    patience.came_forward()
                    yield step
                return
            except RetryableError as error:
                self._session.close()
                if patience.wait(error):
                    yield Parsed(None, 0, resume=resume(mark, end=False) if mark is not None else None)

    def _begin_behind(self, mark: Mark | None, *, ranked: bool) -> None:
        start, until = self._bounds
        names = [column.name for column in self._columns]
        statement = self._statements.behind(names, mark, start=start, until=until, ranked=ranked)
        self._session.stream(statement, asking=True)

    def _portions(self) -> Portions:
        return Portions(min(self._options.fetch_rows, self._context.batch_rows), self._context.batch_bytes)

"""What stands around a pipeline's own plugins while dead letters go through it, and sees which of them got through.

The rule is one: **a letter's position moves at a sink if and only if the letter got through there**, in the same transaction as its rows.

So a letter that fails again leaves nothing: no row, no position. It can be sent again as often as there is hope for it. A letter that got
through leaves its id in the positions with its rows: whatever happens to the process, or to the note that the letter was replayed, it
does not go there a second time. The engine itself would move the position of a record that is refused, because it keeps the record as a
dead letter; here the dead letter is there already.

For the same reason a letter lands whole or not at all, even if it is a message of several rows and one of them is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from ddpm_core.engine.replay_source import GOT_THROUGH
from ddpm_core.errors import RetryableError
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.processor import Processed, Processor
from ddpm_core.plugin.sink import Sink
from ddpm_core.records import Batch, DeadLetter, Messages, Parsed, Position, Positions, Reject, letter_partition, stream_of

if TYPE_CHECKING:
    import pyarrow as pa

PARTLY_LANDED = "partly_landed"
"""Reason of a letter that is not sent again, because some of its rows may be in the target."""


class Early:
    """The letters that parser or processors have refused in this run, by reason. Filled by one thread before another looks."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        """Id -> reason."""
        self.letters: dict[str, DeadLetter] = {}

    def note(self, letters: Sequence[DeadLetter], record: int, reason: str) -> None:
        """This record was refused."""
        self.reasons.setdefault(letters[record].id, reason)
        self.letters[letters[record].id] = letters[record]

    def has(self, letter: DeadLetter) -> bool:
        """Whether this letter was refused."""
        return letter.id in self.reasons


class WatchedParser(Parser):
    """A parser of letters.

    Args:
        parser: The pipeline's.
        early: Told what it refuses.
    """

    def __init__(self, parser: Parser, early: Early) -> None:
        self._parser = parser
        self._early = early

    def expect(self, schema: pa.Schema) -> None:
        self._parser.expect(schema)

    def parse_messages(self, messages: Messages) -> Parsed:
        letters = letters_of(messages)
        parsed = _whole(self._parser.parse_messages(messages), letters)
        for reject in parsed.rejects:
            self._early.note(letters, reject.index, reject.reason)
        return parsed


class WatchedProcessor(Processor):
    """A processor of letters.

    Args:
        processor: The pipeline's.
        early: Told what it refuses.
    """

    def __init__(self, processor: Processor, early: Early) -> None:
        self._processor = processor
        self._early = early

    def open(self) -> None:
        self._processor.open()

    def process(self, batch: Batch) -> Processed:
        processed = self._processor.process(batch)
        for reject in processed.rejects:
            self._early.note(letters_of(batch.src), batch.record(reject.index), reject.reason)
        return processed

    def held(self) -> Positions:
        return self._processor.held()

    def close(self) -> None:
        self._processor.close()


class WatchedSink(Sink):
    """A sink for letters. It keeps the ones that are refused itself, for the store that they came from.

    Args:
        sink: The pipeline's.
        early: The letters that never get here, or not with all of their rows.
    """

    keeps_dead_letters = True

    def __init__(self, sink: Sink, early: Early) -> None:
        self._sink = sink
        self._early = early
        self.keeps_positions = sink.keeps_positions
        self.transaction_bytes = sink.transaction_bytes
        self.landed: set[str] = set()
        """Partitions of letters that got through here, now or in an earlier run."""
        self.refused: dict[str, DeadLetter] = {}
        """Id -> the letter as it is after this attempt."""
        self._concluded: Positions = {}
        """What the engine takes for committed, while the sink knows nothing of it."""
        self._written: list[Batch] = []

    def landed_here(self, letter: DeadLetter) -> bool:
        """Whether it got through here."""
        return letter_partition(letter) in self.landed

    @property
    def atomic(self) -> bool:
        return self._sink.atomic

    @property
    def full(self) -> bool:
        return self._sink.full

    def open(self) -> None:
        self._written = []
        self._sink.open()

    def expected_schema(self) -> pa.Schema | None:
        return self._sink.expected_schema()

    def claim(self, partitions: Sequence[str]) -> Positions:
        found = self._sink.claim(partitions)
        self.landed.update(name for name, at in found.items() if at.offset >= GOT_THROUGH.offset)
        return found | {name: at for name, at in self._concluded.items() if stream_of(name) in partitions}

    def write(self, batch: Batch) -> list[Reject]:
        letters = letters_of(batch.src)
        records = [batch.record(row) for row in range(len(batch))]
        rows = [row for row, record in enumerate(records) if not self._early.has(letters[record])]
        rejects: dict[int, Reject] = {}
        while rows:
            found = self._sink.write(_rows(batch, rows))
            refused = [rows[reject.index] for reject in found]
            rejects.update({row: replace(reject, index=row) for row, reject in zip(refused, found, strict=True)})
            bad = {records[row] for row in refused}
            kept = [row for row in rows if records[row] not in bad]
            parts = len(kept) + len(refused) < len(rows)
            rows = kept
            if not parts:
                break
            self._begin_again()  # Rows of a refused record went in: all of it is taken out again.
        if rows:
            self._written.append(_rows(batch, rows))
        return [rejects[row] for row in sorted(rejects)]

    def _take_out(self, failed: set[str]) -> None:
        """Of letters that failed after rows of them were written (the condition of the sink cannot judge another row of theirs, or a later
        batch held the row that is refused), the rows are taken out again."""
        kept: list[Batch] = []
        for batch in self._written:
            letters = letters_of(batch.src)
            rows = [row for row in range(len(batch)) if letter_partition(letters[batch.record(row)]) not in failed]
            if rows:
                kept.append(_rows(batch, rows))
        if sum(map(len, kept)) < sum(map(len, self._written)):
            self._written = kept
            self._begin_again()

    def _begin_again(self) -> None:
        self._sink.rollback()
        for batch in self._written:
            if self._sink.write(batch):
                raise RetryableError("the target refused rows that it had taken before", after=0.0)

    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        refused = {letter.id: letter for letter in dead_letters}
        failed = {letter_partition(letter) for letter in (*refused.values(), *self._early.letters.values())}
        if failed:
            self._take_out(failed)
        landed = {name: at for name, at in positions.items() if name not in failed}
        if landed:
            self._sink.commit(landed, [])
        else:
            self._sink.rollback()
        self._written = []
        self.landed.update(landed)
        self.refused.update(refused)
        if self.keeps_positions:
            self._concluded.update({name: Position(at.offset, at.detail) for name, at in positions.items() if name in failed})

    def rollback(self) -> None:
        self._written = []
        self._sink.rollback()

    def cancel(self) -> None:
        self._sink.cancel()

    def close(self) -> None:
        self._sink.close()


def letters_of(source: object) -> list[DeadLetter]:
    """The letters that these messages are."""
    assert isinstance(source, Messages)  # noqa: S101 - `ReplaySource` hands out nothing else
    assert source.letters is not None  # noqa: S101
    return source.letters


def of_sink(letter: DeadLetter, sink: str) -> DeadLetter:
    """What is left of a letter that goes to several sinks when this one refused it: a letter for this sink alone.

    It shares the position of the letter that it was made of, so that of the two only one can land there.
    """
    suffix = blake2b(sink.encode(), digest_size=4).hexdigest()
    return replace(letter, id=f"{letter.id.partition('/')[0]}/{suffix}")


def _whole(parsed: Parsed, letters: Sequence[DeadLetter]) -> Parsed:
    """What was parsed, without letters of which some rows may be in the target: those that were not refused landed the first time.

    In a replay a letter lands whole or not at all, so this is about the first attempt only; the reason stays, once it is known.
    """
    if parsed.data is None or parsed.origin is None:
        return parsed
    rows = {entry["values"]: entry["counts"] for entry in pc.value_counts(parsed.origin).to_pylist()}
    partly = {
        record: Reject(
            record,
            PARTLY_LANDED,
            f"{count} rows were made of this record, and those that were not refused have landed: sent again, they would be there twice",
        )
        for record, count in rows.items()
        if count > 1 and _may_be_there_in_part(letters[record])
    }
    if not partly:
        return parsed
    import pyarrow as pa

    kept = pc.invert(pc.is_in(parsed.origin, pa.array(list(partly), pa.int32())))
    data = parsed.data.filter(kept)
    return replace(
        parsed,
        data=data if data.num_rows else None,
        origin=parsed.origin.filter(kept),
        rejects=[*parsed.rejects, *partly.values()],
    )


def _may_be_there_in_part(letter: DeadLetter) -> bool:
    return letter.reason == PARTLY_LANDED or (letter.stage != "parse" and letter.attempts == 1)


def _rows(batch: Batch, rows: list[int]) -> Batch:
    if len(rows) == len(batch):
        return batch
    import pyarrow as pa

    return batch.take(pa.array(rows, pa.int64()))

"""The commit order: what is durable when, and therefore why a row lands exactly once.

For each group of chunks, for each sink in turn:

1. Trim: drop the records that this sink already has, by its own positions.
2. Write: begin a transaction and write the rows. The sink sets aside the rows that it refuses; their neighbours are in.
3. Dead letters that are kept elsewhere become durable.
4. Dead letters that are kept beside the data, then the positions by compare-and-set on (offset, epoch), go into the same
   transaction, last.
5. COMMIT.

When every sink has the group:

6. The source is told.
7. Observers are told.

A group may grow while the first sink writes it (`Sink.transaction_seconds`): what joins it is kept like the rest until COMMIT, and written
again with it.

A crash before 5 leaves nothing of the group, and the position where it was: the next run reads the group again. A crash after 5 leaves
all of it, and the position after it: the next run goes on behind it. There is no point in between. An error at COMMIT, where nobody
knows which of the two happened, is no special case: the sink is reopened, its positions are read, and step 1 drops what had landed.

Groups are delivered in the order of the source, one after the other, so what is committed is always a prefix. The sinks' own positions are
the only truth; a source resumes from the lowest of them, and each sink trims what it has, so several sinks may stand at different places.
Sinks that keep no positions get each group before those that do: a crash between the two gives them a row again, and never takes one from
them. Where no sink keeps any, the source keeps them itself.

What must land all at once (standard input, which cannot be read twice; `--mode replace`, which replaces all rows at once) stays one
open transaction over many groups, and so does what a sink gathers until it is `full`, because its commits are dear (a file each). The
chunks of such a long round are not kept, so if the environment fails in between, the run ends and nothing of the round has landed.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, TypeVar

from ddpm_core.engine.chunk import Chunk, Refusal
from ddpm_core.engine.dead_letter import dead_letter
from ddpm_core.engine.letter_box import LetterBox
from ddpm_core.engine.limit import TooManyRejectsError
from ddpm_core.engine.outcome import add_refusals, committed_unseen, leading_to, lowest, streams
from ddpm_core.engine.recovery import Recovery
from ddpm_core.engine.sink_slot import Landed, Piece, Round, SinkSlot, portions
from ddpm_core.errors import FatalError, FencedError, RetryableError
from ddpm_core.records import Batch, DeadLetter, Position, Positions

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("ddpm.engine.delivery")
T = TypeVar("T")


class Delivery:
    """Delivers groups of chunks to every sink, in the order that this module describes. Used from one thread.

    Args:
        slots: The sinks, in the pipeline's order. Rejects of parser and processors belong to the first one that keeps positions.
        pipeline: Its name.
        encoding: The format's name, which is how the payloads of dead letters are encoded; empty for a source that decodes itself.
        table: The target table as the user named it, where the pipeline has one; dead letters on the way to different tables differ.
        recovery: What to do when the environment fails.
        letter_box: Where dead letters go that are not kept in a sink's own transaction.
        gone: Partitions that another instance has: a sink that is opened again does not claim them.
        fail_on_reject: Stop at the first reject instead of setting it aside.
        acknowledge: Called with a group's positions when every sink has it (step 6).
    """

    def __init__(
        self,
        slots: Sequence[SinkSlot],
        *,
        pipeline: str,
        table: str = "",
        encoding: str = "",
        recovery: Recovery,
        letter_box: LetterBox,
        gone: AbstractSet[str] = frozenset(),
        fail_on_reject: bool = False,
        acknowledge: Callable[[Positions], None] = lambda _: None,
    ) -> None:
        self._slots = slots
        self._in_turn = sorted(slots, key=lambda slot: slot.sink.keeps_positions)
        self._judge = next((slot for slot in slots if slot.sink.keeps_positions), slots[0])
        """Whose transaction the rejects of parser and processors belong to."""
        self._elsewhere = gone
        self._pipeline = pipeline
        self._table = table
        self._encoding = encoding
        self._recovery = recovery
        self._letter_box = letter_box
        self._fail_on_reject = fail_on_reject
        self._acknowledge = acknowledge
        self._reached: Positions = {}
        """Where the source will stand once the rounds at hand are committed."""
        self._may_settle = False
        """Whether the open rounds hold only what may be committed at any time."""
        self._has_committed = False
        self._run = uuid.uuid4().hex
        self.atomic = any(slot.sink.atomic for slot in slots)

    def open(self) -> None:
        """Open every sink and the store of dead letters, waiting for those that can be waited for."""
        self._recovery.until_done("dead_letter", self._letter_box.open, restore=self._letter_box.close)
        for slot in self._slots:
            self._recovery.until_done(slot.name, slot.open, restore=partial(slot.call, slot.sink.close), breaker=slot.breaker)

    def claim(self, partitions: Sequence[str]) -> tuple[Positions, pa.Schema | None]:
        """Take ownership at every sink. Returns where the source should go on, and the columns that the first sink expects.

        That is the lowest of the sinks' positions; a partition that one of them does not know begins at its beginning.
        """
        known: list[Positions] = []
        for slot in self._slots:
            slot.claimed = [*dict.fromkeys([*slot.claimed, *partitions])]
            claim = partial(slot.claim, partitions)
            found = self._only_once(claim) if slot.round.landed else self._until_done(slot, claim)
            slot.forget(partitions)
            if self.atomic:
                found = {}  # Everything is taken again, into the place of what was there.
            slot.positions.update(found)
            if slot.sink.keeps_positions:
                known.append(found)
        schemas = (slot.call(slot.sink.expected_schema) for slot in self._slots)
        return lowest(known), next((schema for schema in schemas if schema is not None), None)

    def give_up(self, partitions: Sequence[str]) -> None:
        """These are about to be another instance's; all that was delivered of them is committed."""
        for slot in self._slots:
            slot.claimed = [name for name in slot.claimed if name not in partitions]
            slot.forget(partitions)

    @property
    def hopeless(self) -> bool:
        """Whether a sink is down. Safe from any thread."""
        return any(slot.breaker.open for slot in self._slots)

    def _until_done(self, slot: SinkSlot, action: Callable[[], T]) -> T:
        return self._recovery.until_done(slot.name, action, restore=partial(self._restore, slot), breaker=slot.breaker)

    def _restore(self, slot: SinkSlot) -> None:
        slot.claimed = [name for name in slot.claimed if name not in self._elsewhere]
        slot.restore()

    def deliver(self, chunks: list[Chunk], more: Callable[[], list[Chunk]] = list) -> list[Landed]:
        """Make a group durable at every sink; the chunks of an atomic document, only when it ends.

        Args:
            chunks: The group. What `more` gave is in it when this returns or raises: it belongs to the group like the others.
            more: Asked for chunks that are to be committed with these, each time that the first sink has written all so far; the
                group is complete when there are none. Called only where the whole group can be written again.

        Returns what landed now: at the first sink, with the refusals of all of them.

        Raises:
            FatalError: Too many rejects, or one where none may be; the environment did not come back. Nothing of the group was committed.
            FencedError: Another instance owns some of the partitions. The sink was rolled back; deliver the other chunks again.
            Stopped: The user wanted to stop while it waited.
        """
        landed: list[Landed] = []
        parts = [list(some) for _, some in groupby(chunks, key=lambda chunk: chunk.atomic)]
        for part in parts:
            if part[0].atomic and self._may_settle:
                landed += self.settle()  # A document that breaks off must not take others with it.

            def joining(part: list[Chunk] = part) -> list[Chunk]:
                following = more() if part is parts[-1] and not part[0].atomic else []
                part.extend(following)
                chunks.extend(following)
                return following

            landed += self._deliver(part, joining)
        return landed

    @property
    def gathers(self) -> bool:
        """Whether something is written and not committed yet."""
        return any(slot.round.landed for slot in self._slots)

    def settle(self) -> list[Landed]:
        """Commit what sinks that were not full yet have gathered, but for what may land as a whole only. Returns what landed.

        Called when the run ends early.
        """
        if not self._may_settle:
            return []
        held = self._in_rounds()
        rereads = self._can_be_read_again()
        try:
            return self._committed(self._each_sink(self._commit_at_the_end), self._reached)
        except FencedError as error:
            if held <= set(error.partitions):
                raise
            if rereads:
                self.abandon()
                raise FencedError(sorted(held)) from error
            # The round's other chunks are not kept, so they cannot be written again without these.
            taken = ", ".join(error.partitions)
            raise FatalError(
                f"another ddpm process took over {taken}; {self._lost()}", hint="Run the same command again."
            ) from error

    def finish(self) -> list[Landed]:
        """Commit all that has been gathered. Called once, after the last group. Returns what landed."""
        if self.atomic:
            return self._committed(self._each_sink(self._commit_at_the_end), {})
        return self.settle()

    def _deliver(self, chunks: list[Chunk], more: Callable[[], list[Chunk]]) -> list[Landed]:
        """A group whose chunks are all of documents that land as a whole, or all of others. What `more` gives joins `chunks`."""
        ends = not self.atomic and all(chunk.ends or not chunk.atomic for chunk in chunks)
        if ends and self._full() and not self.gathers:
            landed = self._each_sink(lambda slot: self._in_one_round(slot, chunks, more))
            return self._committed(landed, leading_to(chunks))
        self._each_sink(lambda slot: self._join_round(slot, chunks))
        for chunk in chunks:
            chunk.let_go()
        self._reached |= leading_to(chunks)
        self._may_settle = ends
        return self.settle() if ends and self._full() else []

    def _full(self) -> bool:
        return all(slot.call(partial(getattr, slot.sink, "full")) for slot in self._slots)

    def settle_when_full(self) -> list[Landed]:
        """As `settle`, where the sinks say that it is time: asked while nothing comes."""
        return self.settle() if self._may_settle and self._full() else []

    def abandon(self) -> None:
        """Forget what is written and not committed."""
        for slot in self._slots:
            slot.call(slot.sink.rollback)
            slot.round = Round()
        self._reached, self._may_settle = {}, False

    def close(self) -> None:
        """Close every sink; what is not committed is forgotten."""
        for slot in self._slots:
            slot.call(slot.sink.rollback)
            slot.call(slot.sink.close)
            if slot.route is not None:
                slot.route.close()
        self._letter_box.close()

    def cancel(self) -> None:
        """Make a blocked sink return. Called from another thread."""
        for slot in self._slots:
            slot.call(slot.sink.cancel)

    def _each_sink(self, deliver: Callable[[SinkSlot], list[Landed]]) -> list[Landed]:
        landed: list[Landed] = []
        others: list[Landed] = []
        for slot in self._in_turn:
            here = deliver(slot)
            if slot is self._slots[0]:
                landed = here
            else:
                others += here
        add_refusals(landed, others)
        return landed

    def _committed(self, landed: list[Landed], reached: Positions) -> list[Landed]:
        """Every sink has committed up to here."""
        self._reached, self._may_settle, self._has_committed = {}, False, True
        if reached:
            self._acknowledge(reached)  # 6.
        return landed

    def _in_one_round(self, slot: SinkSlot, chunks: Sequence[Chunk], more: Callable[[], list[Chunk]]) -> list[Landed]:
        """Steps 1 to 5 for one sink. The round of the first in turn grows by what `more` gives, the others' hold the same."""
        attempts: list[Landed] = []

        def attempt() -> list[Landed]:
            slot.round = Round()
            self._write(slot, chunks)
            while slot is self._in_turn[0] and (following := more()):
                self._write(slot, following)
            attempts[:] = [*slot.round.landed, *committed_unseen(attempts, slot.round.landed)]
            self._commit(slot)
            return attempts

        try:
            return self._until_done(slot, partial(slot.in_round, attempt))
        except FencedError as error:
            slot.give_up(error.partitions)
            raise
        finally:
            slot.round = Round()

    def _join_round(self, slot: SinkSlot, chunks: Sequence[Chunk]) -> list[Landed]:
        """Write into the open round. Only its first group can be written again: the others are not kept. Nothing has landed yet."""
        if not slot.round.landed:

            def attempt() -> None:
                slot.round = Round()
                self._write(slot, chunks)

            self._until_done(slot, partial(slot.in_round, attempt))
        else:
            self._only_once(lambda: self._write(slot, chunks))
        return []

    def _write(self, slot: SinkSlot, chunks: Sequence[Chunk]) -> None:
        """Steps 1 and 2."""
        taken = self._elsewhere & {stream for chunk in chunks for stream in streams(chunk)}
        if taken:  # They went while this waited. A sink that was opened again has not claimed them.
            raise FencedError(sorted(taken))
        for portion in portions(self._trimmed(slot, chunks)):  # 1.
            refused = iter(slot.write([batch for _, batches in portion for batch in batches]))  # 2.
            for landed, batches in portion:
                for batch in batches:
                    rejects = next(refused)
                    landed.rows += len(batch) - len(rejects)
                    landed.refusals += slot.refusals("sink", batch, rejects)
                slot.round.landed.append(landed)
                self._advance(slot, landed)
            self._check_rejects(slot)
            slot.round.letters += [self._letter(landed.chunk, refusal) for landed, _ in portion for refusal in landed.refusals]

    def _letter(self, chunk: Chunk, refusal: Refusal) -> DeadLetter:
        return dead_letter(chunk, refusal, pipeline=self._pipeline, table=self._table, encoding=self._encoding)

    def _trimmed(self, slot: SinkSlot, chunks: Sequence[Chunk]) -> list[Piece]:
        """What the sink does not have yet, each chunk with the rows that are for this sink."""
        pieces: list[Piece] = []
        # What this round holds already counts too: after an assignment a source hands out again what is still on its way.
        known = {**self._standing(slot), **slot.round.positions}
        for whole in chunks:
            chunk = whole.after(known)
            if chunk is not None:
                known |= chunk.next
                landed = Landed(chunk, refusals=list(chunk.refusals) if slot is self._judge else [])
                routed = [self._routed(slot, batch, landed) for batch in chunk.batches]
                pieces.append((landed, [batch for batch in routed if len(batch)]))
        return pieces

    def _routed(self, slot: SinkSlot, batch: Batch, landed: Landed) -> Batch:
        """The rows that are for this sink; those of which it cannot be told are set aside."""
        if slot.route is None:
            return batch
        mine, rejects = slot.route.split(batch)
        landed.refusals += slot.refusals("process", batch, rejects)
        return mine

    def _advance(self, slot: SinkSlot, landed: Landed) -> None:
        """Where the sink will stand after this chunk; the rows landed so far tell a dropped table from a file without rows."""
        for partition, position in landed.chunk.next.items():
            before = slot.round.positions.get(partition) or self._standing(slot).get(partition) or landed.chunk.first[partition]
            rows = int(before.detail.get("rows", 0)) + landed.rows
            slot.round.positions[partition] = Position(position.offset, {**position.detail, "rows": rows, "run": self._run})

    def _standing(self, slot: SinkSlot) -> Positions:
        """Behind what a sink need not get again. That is nothing where all rows are replaced: those that it has go away."""
        return {} if self.atomic else slot.positions

    def _check_rejects(self, slot: SinkSlot) -> None:
        earliest = next((landed for landed in slot.round.landed if landed.refusals), None)
        if earliest is None:
            return
        letter = (slot.round.letters or [self._letter(earliest.chunk, earliest.refusals[0])])[0]
        first = f"{letter.source}, record {letter.offset:,} (counted from 0): {letter.reason}: {letter.message}"
        if self._fail_on_reject:
            raise FatalError(first, hint="It was not set aside because of --on-error fail; what was committed before stays.")
        problem = slot.limit.problem(landed.counted() for landed in slot.round.landed)
        if problem:
            key, flag = ("in_a_row", "--max-rejects-in-a-row") if "in a row" in problem else ("share", "--max-reject-share")
            raised = f"`reject_limit.{key}` in the pipeline ({flag} of `ddpm ingest`)"
            raise TooManyRejectsError(
                f"{problem}; the first: {first}",
                hint=f"That is hardly bad rows: check the format, or raise {raised}. What was committed before stays.",
            )

    def _commit(self, slot: SinkSlot) -> None:
        """Steps 3 to 5."""
        current = slot.round
        if not current.positions and not self.atomic:
            return
        beside = slot.sink.keeps_dead_letters and not self._letter_box.takes_all
        if current.letters and not beside:
            self._letter_box.append([replace(letter, target=self._table) for letter in current.letters])  # 3.
        letters = current.letters if beside else []
        slot.call(lambda: slot.sink.commit(current.positions, letters))  # 4. and 5.
        if slot.sink.keeps_positions:
            slot.positions.update(current.positions)
        slot.limit.committed(landed.counted() for landed in current.landed)

    def _commit_at_the_end(self, slot: SinkSlot) -> list[Landed]:
        """Commit a round of many groups. It cannot be written again, but whether it landed can be found out."""
        current = slot.round
        unsure: RetryableError | None = None

        def attempt() -> None:
            nonlocal unsure
            if unsure is None:
                try:
                    self._commit(slot)
                except RetryableError as error:
                    unsure = error
                    raise
                return
            here = slot.positions
            if not all(p in here and here[p].detail.get("run") == self._run for p in current.positions):
                if all(landed.chunk.document is None for landed in current.landed):
                    raise FencedError(sorted({stream for landed in current.landed for stream in streams(landed.chunk)})) from unsure
                raise self._gone(unsure) from unsure

        try:
            self._until_done(slot, partial(slot.in_round, attempt))
        except FencedError as error:
            slot.give_up(error.partitions)
            raise
        finally:
            slot.round = Round()
        return current.landed

    def _only_once(self, action: Callable[[], T]) -> T:
        """Do something in an open round, whose earlier groups are not kept: an error of the environment is the end of it."""
        try:
            return action()
        except RetryableError as error:
            if self._can_be_read_again():
                lost = sorted(self._in_rounds())
                log.warning("%s; what was gathered since the last commit is read again", error.message)
                self.abandon()
                raise FencedError(lost) from error
            raise self._gone(error) from error

    def _in_rounds(self) -> set[str]:
        return {stream for slot in self._slots for landed in slot.round.landed for stream in streams(landed.chunk)}

    def _can_be_read_again(self) -> bool:
        """Whether the open rounds hold messages only, which their source hands out again after a claim."""
        return all(landed.chunk.document is None for slot in self._slots for landed in slot.round.landed)

    def _gone(self, error: RetryableError) -> FatalError:
        hint = f"{error.hint}\n" if error.hint else ""
        return FatalError(f"{error.message}; {self._lost()}", hint=f"{hint}Run the same command again.")

    def _lost(self) -> str:
        return "what was written since the last commit has not landed" if self._has_committed else "nothing has landed"

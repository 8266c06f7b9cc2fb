"""What intake does for a source of messages: it gathers them, hands them over, never waits for a sink, and lets partitions go.

**Gathering.** While the sinks are busy, messages gather undecoded; they are parsed and handed over when load waits for something to do, or
when there are enough of them. A quiet pipeline commits at once, a busy one in large pieces, and no rule says "every N rows or T ms".

**Back-pressure.** When the budget of bytes in flight is used up, intake waits for room for half a second; only if a sink has taken nothing
by then are the partitions paused, and the source is read on, so that it stays a member of its group. A short wait without a pause
costs nothing, while a client throws away what it has fetched when a partition is paused.

**Partitions that go.** Before a source lets go of some, it calls `drain`: what was handed out of them is committed, within a budget of time,
and the source is told. What is not committed by then is dropped, and so is all that comes of them later: they are `gone` until they are
claimed again. Whoever reads them next begins where the sinks stand, so nothing depends on this being in time.

**Partitions taken at a sink.** Another instance that claims a partition which is still this one's is an instance that the group has given it
to, or one outside the group. The group's word comes within a session's time; if the partition is still here by then it is claimed again.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count

from ddpm_core.engine.answers import Answer, Claimed, Drained, Finished
from ddpm_core.engine.blame import blame
from ddpm_core.engine.chunk import Chunk
from ddpm_core.engine.fifo import Closed, Drain, Fifo
from ddpm_core.engine.gather import Gathered
from ddpm_core.plugin.events import ChunkRead, Event, PartitionsChanged
from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import Plugin, SourceSpec
from ddpm_core.records import Messages

log = logging.getLogger("ddpm.engine.stream")

ROOM_WITHIN = 0.5
"""Seconds that intake waits for room before it pauses the source."""

POLL = 0.1
"""Seconds of a read while nothing can be handed over."""

GLANCE = 0.002
"""Seconds of a read while messages have gathered and load is busy: it may be free any moment."""

DRAIN_SECONDS = 20.0
"""How long a source waits with letting go of partitions."""

CLAIM_AGAIN_AFTER = 10.0
"""Seconds after which a partition is claimed again that another instance has claimed and that is still this one's."""


class Stream:
    """The messages of one source on their way to load. Used from intake's thread.

    Args:
        source: Called for `pause`, `resume` and `reassign`; with whose it is.
        fifo: Where chunks go.
        answers: Where load's answers come from, while a drain is waited for.
        gone: Partitions whose chunks load drops; shared with it.
        linger: Seconds that messages may gather though load is free.
        make: A chunk of messages: parsed and processed.
        poll: Reads once for so many seconds and deals with what comes; for while nothing can be handed over.
        heed: Deals with an answer.
        hopeless: Whether a sink is down: then nothing is waited for.
        emit: Told what happens.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        source: tuple[Source, Plugin[SourceSpec]],
        fifo: Fifo,
        answers: queue.SimpleQueue[Answer],
        gone: set[str],
        linger: float,
        make: Callable[[Messages], Chunk],
        poll: Callable[[float], None],
        heed: Callable[[Answer], None],
        hopeless: Callable[[], bool],
        emit: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._plugin = source
        self._fifo = fifo
        self._answers = answers
        self._gone = gone
        self._linger = linger
        self._make = make
        self._poll = poll
        self._heed = heed
        self._hopeless = hopeless
        self._emit = emit
        self._clock = clock
        self._gathered = Gathered(clock)
        self._pending: Chunk | None = None
        """A chunk that there has been no room for yet."""
        self._left: set[str] = set()
        """Partitions that went, or were assigned anew, since the messages at hand were taken: what they hold of these is out of date."""
        self._mine: set[str] = set()
        self._claimed: set[str] = set()
        self._paused: set[str] = set()
        self._taken: dict[str, float] = {}
        self._numbers = count(1)
        self._over = False
        self.deferred: list[Claimed] = []
        """Claims answered while a drain was waited for, in the middle of a call of the source: to be dealt with after it."""

    # Messages.

    def add(self, messages: Messages) -> None:
        """Messages were read."""
        self._gathered.add(messages)

    @property
    def ready(self) -> bool:
        """Whether what has gathered should be handed over now."""
        gathered = self._gathered
        return not gathered.empty and (gathered.full or (self._fifo.hungry and gathered.age >= self._linger))

    @property
    def patience(self) -> float | None:
        """How many seconds the next read may take, where something has gathered."""
        if self._gathered.empty:
            return None
        return max(min(self._linger - self._gathered.age, POLL), GLANCE)

    def hand_over(self) -> None:
        """Parse what has gathered and give it to load; reads on while there is no room. Raises `Closed`."""
        if self._gathered.empty:
            return
        self._left.clear()
        chunk = self._make(self._gathered.take())  # It may wait for a registry, and partitions may go meanwhile.
        self._pending = chunk.without(self._left)
        while self._pending is not None:  # A drain in the middle of a poll hands it over; what goes is cut out of it.
            if self._fifo.offer(self._pending, ROOM_WITHIN):
                self._pending = None
            else:
                self.pause()
                self._poll(POLL)
        self._emit(ChunkRead(chunk.records, chunk.nbytes))

    def pause(self) -> None:
        """Have the source keep silent, if it does not yet."""
        more = self._mine - self._paused
        if more:
            log.debug("paused %s partitions: a sink takes nothing", len(more))
            self._paused |= more
            blame(self._plugin, partial(self._source.pause, sorted(more)))

    def look_after(self) -> None:
        """Between two reads: go on after a pause; claim again what was taken."""
        if self._paused and self._fifo.half_empty and self._pending is None:
            again = sorted(self._paused - self._taken.keys())
            self._paused.clear()
            blame(self._plugin, partial(self._source.resume, again))
        taken = self._gone & self._claimed
        if taken or self._taken:
            self._claim_again(taken)

    def _claim_again(self, taken: set[str]) -> None:
        now = self._clock()
        fresh = sorted(taken - self._taken.keys())
        if fresh:
            log.warning(
                "another instance has claimed %s; claimed again in %s s unless it goes there", ", ".join(fresh), CLAIM_AGAIN_AFTER
            )
            blame(self._plugin, partial(self._source.pause, fresh))
            self._taken.update(dict.fromkeys(fresh, now))
            self._emit(PartitionsChanged("taken", fresh))
        due = sorted(name for name, since in self._taken.items() if now - since >= CLAIM_AGAIN_AFTER)
        if due:
            self._forget_taken(due)
            self._gathered.drop(due)
            blame(self._plugin, partial(self._source.reassign, due))

    def _forget_taken(self, partitions: Sequence[str]) -> None:
        self._claimed.difference_update(partitions)
        for name in partitions:
            self._taken.pop(name, None)

    # Partitions.

    def assigned(self, partitions: Sequence[str]) -> None:
        """These came; load is asked to claim them. What was read of them before is read again, from where the sinks stand."""
        self._drop(partitions)
        self._mine.update(partitions)
        self._paused.difference_update(partitions)
        if self._plugin.spec.endless:  # A file's own partition is no news.
            self._emit(PartitionsChanged("assigned", list(partitions)))

    def claimed(self, partitions: Sequence[str]) -> None:
        """Load has claimed these. Those that went meanwhile are somebody else's: they are not to be claimed again when a sink comes back."""
        self._claimed.update(name for name in partitions if name in self._mine)
        self._gone.update(name for name in partitions if name not in self._mine)

    def drain(self, partitions: Sequence[str]) -> None:
        """See `Source.drain`: returns when all that was handed out of these is committed, or when it is not worth the wait."""
        self._gathered.drop(partitions)
        try:
            if not self._over:
                if self._pending is not None:
                    self._fifo.force(self._pending)
                    self._pending = None
                number = next(self._numbers)
                self._fifo.put(Drain(tuple(partitions), number))
                self._await(number)
        except Closed:
            log.debug("not drained: the run is over")
        finally:
            self._let_go(partitions, "revoked")

    def lost(self, partitions: Sequence[str]) -> None:
        """See `Source.lost`."""
        self._let_go(partitions, "lost")

    def end(self) -> None:
        """Load has finished, or never will: nothing is waited for any more."""
        self._over = True

    def _await(self, number: int) -> None:
        deadline = self._clock() + DRAIN_SECONDS
        while self._clock() < deadline and not self._hopeless():
            try:
                answer = self._answers.get(timeout=POLL)
            except queue.Empty:
                continue
            match answer:
                case Drained(done) if done >= number:
                    return
                case Claimed():
                    self.deferred.append(answer)
                case Finished():
                    self._over = True
                    self._heed(answer)
                    return
                case _:
                    self._heed(answer)
        log.warning("partitions were given up with messages in flight; who has them next goes on where the sinks stand")

    def _drop(self, partitions: Sequence[str]) -> None:
        """Forget what was read of these and is not handed over: it must not follow a claim of theirs, which begins where the sinks stand."""
        self._gathered.drop(partitions)
        self._left.update(partitions)
        if self._pending is not None:
            self._pending = self._pending.without(set(partitions))

    def _let_go(self, partitions: Sequence[str], change: str) -> None:
        self._drop(partitions)
        self._gone.update(partitions)
        self._mine.difference_update(partitions)
        self._paused.difference_update(partitions)
        self._forget_taken(partitions)
        self._emit(PartitionsChanged(change, list(partitions)))

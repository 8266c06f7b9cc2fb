"""`ddpm dlq replay`: dead letters go through parser, processors and sinks again, and are marked when they got through.

What a killed replay leaves, and why nothing is lost or doubled:

- A letter stays in its store, open, until it is known to have landed. So none is lost.
- Its id goes into the positions of a sink in the transaction of its rows (`letter_partition`), and nothing else makes that position
  (`replay_watch`). A later replay claims it, finds it there, and only marks the letter. So none lands twice. Two replays of the
  same letters at once fence each other like two runs of anything.
- A letter that fails again keeps its id, counts one more attempt, and is open as before: its new reason is written when its run is over.
  A kill before that costs the note, not the letter.
- Where several sinks refuse a letter that goes to all of them, each refusal becomes a letter of its own for that sink (`of_sink`), and the
  first one is marked: it has landed where it could. They are written before the mark; both share one position at that sink.

The selection is made once, at the beginning, and put aside on disk: what a replay writes is not what it reads. Letters that were tried
`max_attempts` times are left out, so that replaying again and again, by a timer say, comes to an end for each of them. The limits on
rejects do not hold: what is replayed was bad before.

Oldest first, in pieces of a thousand letters. Letters that go the same way follow each other in one run of the engine: what
differs in pipeline, format, table, columns or sink is a run of its own.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import IO, Literal, Protocol

from ddpm_core.engine.build import Pipeline, Settings
from ddpm_core.engine.dead_letter_file import letter_line, read_letter
from ddpm_core.engine.replay_dry import would_fail
from ddpm_core.engine.replay_source import SOURCE, ReplaySource
from ddpm_core.engine.replay_watch import Early, WatchedParser, WatchedProcessor, WatchedSink, of_sink
from ddpm_core.engine.runner import Runner
from ddpm_core.errors import DdpmError, FatalError
from ddpm_core.plugin.database import DeadLetterFilter
from ddpm_core.plugin.dead_letters import DeadLetterStore
from ddpm_core.plugin.events import Event
from ddpm_core.plugin.letter_rows import in_pieces
from ddpm_core.records import DeadLetter
from ddpm_core.values import dataclass

PIECE_LETTERS = 1_000
PIECE_BYTES = 8 << 20
"""So many letters, or bytes of payload, are in memory at a time, and in one run of the engine."""


class ReplayTarget(Protocol):
    """Where letters go: what knows the pipeline that they belong to."""

    def refuses(self, letter: DeadLetter) -> str:
        """Why this letter is not sent again here, for people; an empty string if it is."""

    def way(self, letter: DeadLetter) -> Hashable:
        """Letters that can go in one run of the engine have equal ways."""

    def pipeline(self, letter: DeadLetter) -> Pipeline:
        """A pipeline for letters that go the way of this one, built and not opened. Its source is not used.

        Raises:
            ConfigError: It cannot be built: no format is known for them, say.
        """


@dataclass(slots=True)
class ReplayReport:
    """What a replay came to.

    Attributes:
        status: `landed`: all that was sent; `failed_again`: some did not get through; `stopped`; `failed`: `error` says why.
        selected: Letters that were to be sent.
        landed: Letters that got through at every sink that they were for, now or in a replay that could not mark them any more.
        failed: Reason code -> letters that failed again.
        left_out: Why -> letters that matched the filters and were not sent.
        would_land: With `--dry-run`: letters that nothing before the target refuses.
        error: What ended it early.
    """

    status: Literal["landed", "failed_again", "stopped", "failed"] = "landed"
    selected: int = 0
    landed: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    would_land: int = 0
    error: DdpmError | None = None

    @property
    def failed_again(self) -> int:
        """How many failed again."""
        return self.failed.total()


class Replay:
    """One replay. Nothing is opened before `run`.

    Args:
        store: Where the letters are.
        wanted: Which ones.
        target: Where they go.
        max_attempts: Letters that were tried so often are left out.
        retry_for: Seconds that an environment which fails is waited for.
        observers: Called with every event of the engine's runs.
    """

    def __init__(
        self,
        store: DeadLetterStore,
        wanted: DeadLetterFilter,
        target: ReplayTarget,
        *,
        max_attempts: int = 5,
        retry_for: float | None = 60.0,
        observers: Sequence[Callable[[Event], None]] = (),
    ) -> None:
        self._store = store
        self._wanted = wanted
        self._target = target
        self._max_attempts = max_attempts
        self._retry_for = retry_for
        self._observers = observers
        self._stopping = threading.Event()
        self._runner: Runner | None = None
        self._report = ReplayReport()

    def run(self) -> ReplayReport:
        """Send them. Called once.

        Raises:
            ConfigError: There is no such store, or letters cannot be sent as asked; what landed before is marked.
            RetryableError, FatalError: The store cannot be read or written.
        """
        report = self._report
        for letters in self._pieces():
            if self._stopping.is_set() or report.error is not None:
                break
            self._send(letters)
        rest = report.selected - report.landed - report.failed_again
        if report.error is None and rest and not self._stopping.is_set():
            report.error = FatalError(
                f"another ddpm process has taken {rest:,} of the dead letters",
                hint="Wait until it has ended; then run the same command again.",
            )
        if report.error is not None:
            report.status = "failed"
        elif rest:
            report.status = "stopped"
        else:
            report.status = "failed_again" if report.failed else "landed"
        return report

    def dry_run(self) -> ReplayReport:
        """Parse and process them, and change nothing: what the target itself would refuse is not known. Called once.

        Raises:
            As `run`.
        """
        for letters in self._pieces():
            pipeline = self._target.pipeline(letters[0])
            reasons = would_fail(pipeline, letters)
            self._report.failed.update(reasons)
            self._report.would_land += len(letters) - reasons.total()
        self._report.status = "failed_again" if self._report.failed else "landed"
        return self._report

    def stop(self) -> None:
        """Ask it to end soon; see `Runner.stop`. Safe from any thread and from signal handlers."""
        self._stopping.set()
        if self._runner is not None:
            self._runner.stop()

    # What is sent.

    def _pieces(self) -> Iterator[list[DeadLetter]]:
        """The letters of one way after the other, in pieces."""
        with tempfile.TemporaryFile(prefix="ddpm-replay-") as spool:
            begins = self._select(spool)
            self._report.selected = len(begins)
            letters = (_at(spool, begin) for begin in reversed(begins))
            for piece in in_pieces(letters, PIECE_LETTERS, PIECE_BYTES):
                # In the order in which the ways come up; the sort is stable.
                ways: dict[Hashable, int] = {}
                places = [ways.setdefault(self._target.way(letter), len(ways)) for letter in piece]
                ordered = sorted(zip(places, range(len(piece)), strict=True))
                for _, same in groupby(ordered, key=lambda pair: pair[0]):
                    yield [piece[number] for _, number in same]

    def _select(self, spool: IO[bytes]) -> list[int]:
        """Put the selection aside; where each letter begins, the newest first."""
        begins: list[int] = []
        with _opened(self._store):
            for letter in self._store.find(self._wanted):
                why = self._target.refuses(letter)
                if not why and letter.attempts >= self._max_attempts:
                    why = f"tried {self._max_attempts} times or more"
                if why:
                    self._report.left_out[why] += 1
                else:
                    begins.append(spool.tell())
                    spool.write(letter_line(letter))
        return begins

    # How.

    def _send(self, letters: list[DeadLetter]) -> None:
        """One run of the engine, and what became of each letter."""
        pipeline, early = self._target.pipeline(letters[0]), Early()
        sinks = [WatchedSink(use.sink, early) for use in pipeline.sinks]
        watched = replace(
            pipeline,
            source=(ReplaySource(letters), SOURCE),
            parser=None if pipeline.parser is None else (WatchedParser(pipeline.parser[0], early), pipeline.parser[1]),
            processors=[(WatchedProcessor(processor, early), plugin) for processor, plugin in pipeline.processors],
            sinks=[replace(use, sink=sink) for use, sink in zip(pipeline.sinks, sinks, strict=True)],
            settings=Settings(retry_for=self._retry_for, reject_share=1.0, reject_run=sys.maxsize),
            dead_letters=None,
        )
        self._runner = Runner(watched, observers=self._observers)
        if self._stopping.is_set():
            self._runner.stop()
        try:
            self._report.error = self._runner.run().error
        finally:
            self._note(letters, early, dict(zip((use.name for use in pipeline.sinks), sinks, strict=True)))

    def _note(self, letters: Sequence[DeadLetter], early: Early, sinks: dict[str, WatchedSink]) -> None:
        """Write down what became of them: first what is still open, then what is done."""
        now, several = datetime.now(UTC), len(sinks) > 1
        news: dict[str, DeadLetter] = {}
        done: list[DeadLetter] = []
        for letter in letters:
            landed = [name for name, sink in sinks.items() if sink.landed_here(letter)]
            refused = {name: sink.refused[letter.id] for name, sink in sinks.items() if letter.id in sink.refused}
            if early.has(letter) or (refused and not several):
                self._report.failed[early.reasons.get(letter.id) or next(iter(refused.values())).reason] += 1
                news.update({known.id: known for known in refused.values()})
            elif len(landed) + len(refused) == len(sinks):
                done.append(replace(letter, replayed_at=now))
                parts = [of_sink(known, name) for name, known in refused.items()]
                news.update({part.id: part for part in parts})
                self._report.landed += not parts
                self._report.failed.update({part.reason: 1 for part in parts[:1]})
        if not news and not done:
            return
        with _opened(self._store):
            if news:
                self._store.append(list(news.values()))
            if done:
                self._store.mark_replayed(done)


@contextmanager
def _opened(store: DeadLetterStore) -> Iterator[None]:
    """The store is closed while the engine runs: it may be the same file as the target."""
    try:
        store.open()
        yield
    finally:
        store.close()


def _at(spool: IO[bytes], begin: int) -> DeadLetter:
    spool.seek(begin)
    return read_letter(spool.readline())

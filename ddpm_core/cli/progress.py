"""What `ddpm ingest` shows while it runs: a bar on a terminal, plain lines elsewhere, nothing with `--quiet`.

Observers are called from the engine's threads, so each one guards its counts with a lock.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING

from ddpm_core.cli.output import count, printable, redact, size
from ddpm_core.cli.settings import Settings
from ddpm_core.plugin.events import (
    ChunkCommitted,
    ChunkRead,
    DocumentEnded,
    DocumentStarted,
    Event,
    PartitionsChanged,
    Recovered,
    Waiting,
)
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_EVERY = 10.0
"""Seconds between two lines of progress."""

Observer = Callable[[Event], None]


@dataclass(slots=True)
class Counts:
    """What has happened so far. `total`: bytes of the documents begun, or None when one of them has no known size."""

    documents: int = 0
    read: int = 0
    rows: int = 0
    nbytes: int = 0
    rejects: int = 0
    total: int | None = 0
    current: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, event: Event) -> None:
        """Count this event."""
        with self.lock:
            if isinstance(event, DocumentStarted):
                self.documents += 1
                self.current = event.name
                self.nbytes += event.start_byte
                self.total = None if event.size is None or self.total is None else self.total + event.size
            elif isinstance(event, ChunkRead):
                self.read += event.records
            elif isinstance(event, ChunkCommitted):
                self.rows += event.rows
                self.nbytes += event.nbytes
                self.rejects += sum(event.rejects.values())

    def so_far(self, seconds: float) -> str:
        """One line: where the run stands."""
        parts = [f"{count(self.rows, 'row')} written"]
        if self.read > self.rows + self.rejects:
            parts.append(f"{count(self.read, 'record')} read")
        parts.append(size(self.nbytes) + (f" of {size(self.total)}" if self.total else ""))
        parts.append(f"{round(self.rows / seconds) if seconds > 0 else 0:,} rows/s")
        if self.rejects:
            parts.append(f"{self.rejects:,} rejected")
        return ", ".join(parts) + (f", in {self.current}" if self.current else "")


def noteworthy(event: Event) -> str | None:
    """The line for an event that people want to see whatever the form, or None."""
    match event:
        case DocumentStarted(note=note, name=name) if note != "new":
            return f"{name}: {note}"
        case DocumentEnded(status="skipped", name=name, note=note):
            return f"{name}: skipped: {note}"
        case DocumentEnded(status="failed", name=name):
            return f"{name}: failed"  # Why comes at the end, with what to do about it.
        case Waiting(who=who, why=why, seconds=seconds):
            return f"waiting for {who}: {why}; trying again {_wait(seconds)}"
        case Recovered(who=who, seconds=seconds):
            return f"{who} is back after {seconds:.0f} s"
        case PartitionsChanged(change=change, partitions=partitions):
            return f"{change}: {_some(partitions)}"
    return None


def left_to_the_summary(event: Event, seconds: float) -> bool:
    """Whether the summary says it soon enough: how a document ended, unless it failed in a run that goes on for long."""
    return isinstance(event, DocumentEnded) and (event.status != "failed" or seconds < LINE_EVERY)


class LineProgress:
    """Plain lines: one for each noteworthy event, and one every ten seconds in which something was read or committed.

    Args:
        is_log: Leave nothing to the summary, which a log does not hold.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic, *, is_log: bool = False) -> None:
        self._say = say
        self._clock = clock
        self._is_log = is_log
        self._waits: dict[str, float] = {}
        self._counts = Counts()
        self._began = self._last = clock()

    def __call__(self, event: Event) -> None:
        self._counts.take(event)
        line = noteworthy(event) if self._is_news(event) else ""
        if line:
            if self._is_log or not left_to_the_summary(event, self._clock() - self._began):
                self._say(line)
        elif isinstance(event, ChunkRead | ChunkCommitted) and self._due():
            self._say(self._counts.so_far(self._last - self._began))

    def _is_news(self, event: Event) -> bool:
        """Whether a wait was not told of in the last ten seconds."""
        if isinstance(event, Recovered):
            self._waits.pop(event.who, None)
        if not isinstance(event, Waiting):
            return True
        now, last = self._clock(), self._waits.get(event.who)
        if last is not None and now - last < LINE_EVERY:
            return False
        self._waits[event.who] = now
        return True

    def _due(self) -> bool:
        with self._counts.lock:
            now = self._clock()
            if now - self._last < LINE_EVERY:
                return False
            self._last = now
            return True


class BarProgress:
    """A bar on the terminal, with noteworthy lines above it."""

    def __init__(self, progress: Progress, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = progress
        self._clock = clock
        self._counts = Counts()
        self._began = clock()
        self._id = progress.add_task("", total=None, facts="")
        [self._task] = progress.tasks

    def __call__(self, event: Event) -> None:
        from rich.text import Text

        self._counts.take(event)
        line = noteworthy(event)
        if line and not left_to_the_summary(event, self._clock() - self._began):
            self._progress.console.print(Text(printable(redact(line))), soft_wrap=True)
        counts = self._counts
        self._task.total = counts.total or None  # `update` takes None for "as it was".
        self._progress.update(
            self._id,
            description=_short(printable(counts.current)),
            completed=min(counts.nbytes, counts.total) if counts.total else counts.nbytes,
            facts=self._facts(counts),
        )

    def _facts(self, counts: Counts) -> str:
        seconds = self._clock() - self._began
        facts = f"{counts.rows:,} rows  {size(counts.nbytes)}  {round(counts.rows / seconds) if seconds > 0 else 0:,} rows/s"
        return f"{facts}  {counts.rejects:,} rejected" if counts.rejects else facts


@contextmanager
def progress(settings: Settings) -> Iterator[list[Observer]]:
    """The observers that show progress while the block runs, as these settings and standard error ask for."""
    if settings.quiet:
        yield []
    elif settings.logs_json or not sys.stderr.isatty():
        yield [LineProgress(settings.say, is_log=settings.logs_json)]
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}", markup=False),
        )
        # Four drawings a second: each one takes the interpreter's lock from the engine.
        with Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=4) as bar:
            yield [BarProgress(bar)]


def _some(partitions: Sequence[str], shown: int = 8) -> str:
    more = f" and {len(partitions) - shown:,} more" if len(partitions) > shown else ""
    return ", ".join(partitions[:shown]) + more


def _wait(seconds: float) -> str:
    if seconds < 0.05:
        return "at once"
    return f"in {seconds:.1f} s" if seconds < 1 else f"in {seconds:.0f} s"


def _short(name: str, length: int = 32) -> str:
    return name if len(name) <= length else f"…{name[1 - length :]}"

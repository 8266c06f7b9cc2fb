"""Runs a pipeline: two threads and one queue. Nothing but the runner knows threads."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ddpm_core.collector import few_passes
from ddpm_core.engine.answers import Answer, Committed
from ddpm_core.engine.build import Pipeline, SinkUse
from ddpm_core.engine.dead_letter_file import DeadLetterFile
from ddpm_core.engine.delivery import Delivery
from ddpm_core.engine.fifo import Fifo
from ddpm_core.engine.intake import Intake
from ddpm_core.engine.letter_box import LetterBox
from ddpm_core.engine.limit import RejectLimit, TooManyRejectsError
from ddpm_core.engine.load import Load
from ddpm_core.engine.recovery import Recovery, Stopped
from ddpm_core.engine.report import Report
from ddpm_core.engine.sink_slot import SinkSlot
from ddpm_core.errors import ConfigError, DdpmError
from ddpm_core.memory import compact_pool
from ddpm_core.plugin.events import Event, RunEnded, RunStarted

if TYPE_CHECKING:
    import pyarrow as pa

    from ddpm_core.engine.routing import Route

log = logging.getLogger("ddpm.engine")

IN_FLIGHT_BYTES = 4 << 20
"""Bytes that may be read or decoded and not committed yet, where sinks want no larger rounds. What bounds the memory of a run."""

AHEAD_BYTES = 8 << 20
"""Bytes that may be read beyond a large round while it is committed: enough for the next one to begin at once."""

STREAM_IN_FLIGHT_BYTES = 32 << 20
"""The same for sources that never end, whose messages come in bursts and whose sinks pause: with what is in it twice (as messages and as
rows) and what the client has fetched, a run stays well below half a gigabyte."""

CANCEL_AFTER = 5.0
"""Seconds that a transaction in progress gets to end when the user stops the run."""

DRAIN_SECONDS = 8.0
"""Seconds that everything in flight gets to land when a run of an endless source is stopped."""


class Runner:
    """One run of a pipeline, from `run` to its report.

    Args:
        pipeline: Built and checked; used up by the run.
        observers: Called with every event, from the engine's threads. What they raise is logged and otherwise ignored.
    """

    def __init__(self, pipeline: Pipeline, *, observers: Sequence[Callable[[Event], None]] = ()) -> None:
        self._pipeline = pipeline
        self._observers = observers
        self._stopping = threading.Event()
        self._over = threading.Event()
        transaction_seconds = min(use.sink.transaction_seconds for use in pipeline.sinks)
        settings = pipeline.settings
        self._streams = pipeline.source[1].spec.endless
        self._in_flight = settings.in_flight_bytes or (STREAM_IN_FLIGHT_BYTES if self._streams else IN_FLIGHT_BYTES)
        self._gathers = transaction_seconds > 0 or any(use.sink.write_rows for use in pipeline.sinks)
        """Whether a transaction waits for more, or batches do that are to be joined."""
        self._fifo = Fifo(self._in_flight)
        self._round_bytes()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._report = Report(pipeline.name, target=pipeline.target)
        recovery = Recovery(retry_for=settings.retry_for, stopping=self._stopping, emit=self._emit)
        gone: set[str] = set()
        if pipeline.dead_letters is None:
            self._letter_box = LetterBox(DeadLetterFile(settings.dead_letter_file))
        else:
            self._letter_box = LetterBox(*pipeline.dead_letters, takes_all=True)
        self._delivery = Delivery(
            [
                SinkSlot(
                    use.name,
                    use.sink,
                    use.plugin,
                    RejectLimit(share=settings.reject_share, in_a_row=settings.reject_run),
                    self._emit,
                    _route(use, pipeline.columns),
                )
                for use in pipeline.sinks
            ],
            pipeline=pipeline.name,
            table=pipeline.table,
            encoding=pipeline.parser[1].spec.name if pipeline.parser is not None else "",
            recovery=recovery,
            letter_box=self._letter_box,
            gone=gone,
            fail_on_reject=settings.on_error == "fail",
            acknowledge=lambda positions: self._answers.put(Committed(positions)),
        )
        self._intake = Intake(
            source=pipeline.source,
            parser=pipeline.parser,
            processors=pipeline.processors,
            fifo=self._fifo,
            answers=self._answers,
            gone=gone,
            retry_for=settings.retry_for,
            stopping=self._stopping,
            documents=self._report.documents,
            emit=self._emit,
            table=pipeline.table,
            linger=settings.linger,
            hopeless=lambda: self._delivery.hopeless or self._load.held,
        )
        self._load = Load(
            self._delivery,
            fifo=self._fifo,
            answers=self._answers,
            gone=gone,
            report=self._report,
            stopping=self._stopping,
            emit=self._emit,
            transaction_bytes=self._round_bytes,
            transaction_seconds=transaction_seconds,
            drains=self._streams,
            holds=settings.endless,
        )

    def run(self) -> Report:
        """Run to the end. Called once; the calling thread becomes the one that loads.

        Returns:
            The report, also of a run that failed or was stopped: what was committed is in it.

        Raises:
            ConfigError: Source or target cannot do what is configured; nothing has landed.
        """
        began = time.monotonic()
        self._emit(RunStarted(self._pipeline.name))
        errors: list[BaseException] = []
        reader = threading.Thread(target=self._read, args=(errors,), name="ddpm-intake", daemon=True)
        with few_passes(), compact_pool():
            reader.start()
            try:
                self._load.run()
            except Stopped:
                log.debug("stopped while waiting")
            except BaseException as error:  # noqa: BLE001 - it is looked at below, together with the other thread's
                errors.append(error)
            finally:
                self._fifo.close()
                # A source that is blocked in a read (standard input) cannot be woken; its thread ends with the process.
                reader.join(timeout=2.0 if self._stopping.is_set() or errors else None)
                self._delivery.close()
        if self._letter_box.used and self._pipeline.dead_letters is None:
            self._report.dead_letter_file = str(self._pipeline.settings.dead_letter_file)
        self._report.seconds = time.monotonic() - began
        self._conclude(errors)
        self._emit(RunEnded(self._pipeline.name, self._report.status))
        return self._report

    def _round_bytes(self) -> int:
        """How much a transaction may hold, as the sinks want it at this moment."""
        wanted = min(use.sink.transaction_bytes for use in self._pipeline.sinks)
        if self._gathers:  # There must be room for it, and for what is read while it is committed.
            self._fifo.allow(max(wanted + AHEAD_BYTES, self._in_flight))
        return wanted

    def stop(self) -> None:
        """Ask the run to end. Safe from any thread and from signals.

        The transaction in progress is finished and no other is begun; of an endless source, what is in flight is delivered first.
        """
        if self._stopping.is_set():
            return
        self._stopping.set()
        threading.Thread(target=self._wind_down, name="ddpm-stop", daemon=True).start()

    def _wind_down(self) -> None:
        """Wake both threads; if a sink is blocked for longer than it may, break its call off."""
        if self._streams and self._over.wait(DRAIN_SECONDS):
            return
        self._fifo.close()
        if not self._over.wait(1.0 if self._streams else CANCEL_AFTER):
            seconds = DRAIN_SECONDS + 1.0 if self._streams else CANCEL_AFTER
            log.warning("the transaction in progress did not end within %s s and is rolled back", seconds)
            self._delivery.cancel()

    def _read(self, errors: list[BaseException]) -> None:
        try:
            self._intake.run()
        except BaseException as error:  # noqa: BLE001 - handed to the other thread
            errors.append(error)
            self._fifo.close()

    def _conclude(self, errors: list[BaseException]) -> None:
        """Turn what happened into the report's status, or into the error that the caller must see."""
        self._over.set()
        report = self._report
        for error in errors:
            if isinstance(error, ConfigError) and not report.records:
                raise error
            if self._stopping.is_set():  # Breaking a call off may end it with any error.
                log.debug("while stopping: %s", error, exc_info=error)
        unexpected = next((e for e in errors if not isinstance(e, DdpmError)), None)
        if unexpected is not None and not self._stopping.is_set():
            raise unexpected
        known = next((e for e in errors if isinstance(e, DdpmError)), None)
        held = isinstance(known, TooManyRejectsError)
        if self._stopping.is_set():
            whole = self._load.ended and (self._pipeline.settings.endless or self._intake.ended or not self._streams)
            report.status = "landed" if whole else "stopped"
        if known is not None and (held or not self._stopping.is_set()):
            report.error = known
            report.status = "failed"
            self._mark_unfinished(known)
        elif report.status == "landed" and any(document.status == "failed" for document in report.documents):
            report.status = "failed"
        elif report.status == "landed" and report.rejected:
            report.status = "dead_letters"

    def _mark_unfinished(self, error: DdpmError) -> None:
        for document in self._report.documents:
            if document.status == "stopped":
                document.status, document.error = "failed", error

    def _emit(self, event: Event) -> None:
        tell(self._observers, event)


def tell(observers: Sequence[Callable[[Event], None]], event: Event) -> None:
    """Pass an event on. An observer can never affect the run: what it raises is logged."""
    for observer in observers:
        try:
            observer(event)
        except Exception:
            log.exception("an observer failed; the run goes on")


def _route(use: SinkUse, columns: pa.Schema | None) -> Route | None:
    if not use.when:
        return None
    from ddpm_core.engine.routing import Route  # DuckDB comes with it, which a run without conditions may not need.

    return Route(use.when, where=f"sink {use.name}, when", columns=columns)

"""Running a long piece of work so that Ctrl+C and SIGTERM stop it in good order."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Generic, TypeVar

from ddpm_core.cli.errors import ExitCode

T = TypeVar("T")

_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}
_LOOK_EVERY = 0.1
"""Seconds. A signal's handler runs at once; this is how soon the work hears of it."""


class Stoppable(Generic[T]):
    """Work in a thread of its own, while the main thread waits for signals.

    The main thread is kept free because Python runs handlers there only, and a library may block it for long (psycopg2 inside
    libpq does). The first SIGINT or SIGTERM calls `stop` and goes on waiting; a second one ends the process at once.

    Args:
        work: Runs to its end, or returns soon after `stop`.
        stop: Asks it to. Called in the main thread, once.
    """

    def __init__(self, work: Callable[[], T], stop: Callable[[], None]) -> None:
        self._work = work
        self._stop = stop
        self._done = threading.Event()
        self._result: T | None = None
        self._error: BaseException | None = None
        self._signal: signal.Signals | None = None

    @property
    def exit_code(self) -> ExitCode | None:
        """The exit code of the signal that came, or None when none did."""
        return _CODES[self._signal] if self._signal is not None else None

    def run(self) -> T:
        """The work's result. Raises what the work raised."""
        thread = threading.Thread(target=self._run, name="ddpm-run", daemon=True)
        told = False
        with self._handlers():
            thread.start()
            while not self._done.wait(_LOOK_EVERY):
                if self._signal is not None and not told:
                    told = True
                    self._stop()
            thread.join()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001 - handed over to the main thread, which raises it
            self._error = error
        finally:
            self._done.set()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._signal is not None:
            show_cursor()
            os._exit(_CODES[signal.Signals(number)])
        self._signal = signal.Signals(number)

    @contextlib.contextmanager
    def _handlers(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in _CODES}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def die_on_ctrl_c() -> Iterator[None]:
    """Ctrl+C ends the process at once: for questions to a database, which a library may answer for long without looking up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def show_cursor() -> None:
    """The progress bar hides the cursor; a process that ends at once must bring it back itself."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            os.write(sys.stderr.fileno(), b"\x1b[?25h\n")

"""Several processes for one command: each pipeline file in processes of its own, `--workers` of each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from ddpm_core.cli.errors import ExitCode
from ddpm_core.cli.settings import Settings

LOOK_EVERY = 0.1
"""Seconds between two looks at the processes."""


def end_with_parent(stop: Callable[[], None]) -> None:
    """Stop this worker in good order when the process that supervises it has gone, however it went."""
    parent = os.getppid()

    def watch() -> None:
        gone = threading.Event()
        while os.getppid() == parent:
            gone.wait(1.0)
        stop()

    threading.Thread(target=watch, name="ddpm-parent", daemon=True).start()


def supervise(paths: Sequence[Path], workers: int, settings: Settings) -> ExitCode:
    """Run this command once more for each file and worker, and wait for all.

    Signals are passed on. A process that fails ends the others in good order, so that who supervises this one starts all anew: a part
    of a pipeline that is silently missing would be worse.

    Returns:
        0 when all ended with 0, else the code of the first that did not.
    """
    stopping = threading.Event()
    children: list[tuple[str, subprocess.Popen[bytes]]] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        stopping.set()
        for _name, child in children:
            if child.poll() is None:
                child.send_signal(signal.Signals(number))

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for path in paths:
            for worker in range(workers):
                if stopping.is_set():
                    break
                name = f"{path} worker {worker + 1} of {workers}"
                command = [sys.executable, "-m", "ddpm_core.cli.start", *_arguments(path, paths), "--worker", f"{worker}/{workers}"]
                # A session of its own: Ctrl+C reaches this process only, which passes it on once.
                children.append((name, subprocess.Popen(command, start_new_session=True)))  # noqa: S603 - our own command line
        return _wait(children, settings, stopping)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for _name, child in children:
            if child.poll() is None:
                child.kill()
                child.wait()


def _arguments(path: Path, paths: Sequence[Path]) -> list[str]:
    """This command's arguments with one file."""
    others = {str(other) for other in paths}
    kept: list[str] = []
    given = iter(sys.argv[1:])
    for argument in given:
        if argument == "--workers":
            next(given, None)
        elif not argument.startswith("--workers=") and argument not in others:
            kept.append(argument)
    return [*kept, str(path)]


def _wait(children: list[tuple[str, subprocess.Popen[bytes]]], settings: Settings, stopping: threading.Event) -> ExitCode:
    code = ExitCode.OK
    running = list(children)
    tick = threading.Event()
    while running:
        tick.wait(LOOK_EVERY)
        for entry in list(running):
            name, child = entry
            ended = child.poll()
            if ended is None:
                continue
            running.remove(entry)
            if ended != 0 and code is ExitCode.OK:
                code = _as_exit_code(ended)
                if ended not in (ExitCode.DEAD_LETTERS, ExitCode.INTERRUPTED, ExitCode.TERMINATED) and not stopping.is_set():
                    settings.warn(f"{name} (process {child.pid}) ended with {ended}; the others are stopped")
                    stopping.set()
                    for _name, other in running:
                        other.send_signal(signal.SIGTERM)
    return code


def _as_exit_code(ended: int) -> ExitCode:
    try:
        return ExitCode(ended)
    except ValueError:  # Killed by a signal, say.
        return ExitCode.FAILED

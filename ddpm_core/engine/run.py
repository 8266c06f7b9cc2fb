"""`ddpm run`: a pipeline's file, composed and run until it is stopped or has reached its end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ddpm_core.config.app_file import integration_test_timeout
from ddpm_core.config.pipeline_file import load_pipeline
from ddpm_core.engine.build import Pipeline
from ddpm_core.engine.compose import RunRequest, compose
from ddpm_core.engine.ingest import plugins_as_observers
from ddpm_core.engine.report import Report
from ddpm_core.engine.runner import Runner
from ddpm_core.plugin.events import Event
from ddpm_core.registry import Registry


class Run:
    """One run of one pipeline file. Everything is checked when it is made; nothing is opened before `run`.

    Args:
        path: The pipeline's file.
        registry: What is installed.
        request: What was asked for beside the file.
        timeout: Seconds after which the run is stopped as by a signal; None is never, but for an `app:` file in integration test mode.
        observers: Called with every event, from the engine's threads.

    Raises:
        ConfigError: Every mistake in the file and in the request.
    """

    def __init__(
        self,
        path: Path,
        registry: Registry,
        request: RunRequest,
        *,
        timeout: float | None = None,
        observers: Sequence[Callable[[Event], None]] = (),
    ) -> None:
        document = load_pipeline(path)
        self.pipeline: Pipeline = compose(document, registry, request=request)
        if document.app is not None:
            document.app.write()
        self.level = "" if document.app is None else document.app.level.lower()
        """The level of the log that an `app:` file asks for, or an empty string."""
        self.timeout = timeout
        if timeout is None and document.app is not None:
            self.timeout = integration_test_timeout(os.environ)
        self.timed_out = False
        """Whether it was stopped because its time was up."""
        self._runner = Runner(self.pipeline, observers=[*observers, *plugins_as_observers(registry)])

    @property
    def endless(self) -> bool:
        """Whether being stopped is how it ends well."""
        return self.pipeline.settings.endless

    @property
    def prints_rows(self) -> bool:
        """Whether a sink writes to standard output."""
        return any("-" in use.plugin.spec.addresses for use in self.pipeline.sinks)

    def run(self) -> Report:
        """Run it. Called once.

        Raises:
            ConfigError: Source or target cannot do what is configured; nothing has landed.
        """
        timer = None if self.timeout is None else threading.Timer(self.timeout, self._time_is_up)
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            report = self._runner.run()
            report.queryable = False  # Where its rows are is the file's matter, not an address that a command takes.
            return report
        finally:
            if timer is not None:
                timer.cancel()

    def _time_is_up(self) -> None:
        self.timed_out = True
        self.stop()

    def stop(self) -> None:
        """Ask it to end; see `Runner.stop`. Safe from any thread and from signal handlers."""
        self._runner.stop()

"""A pipeline of doubles, for every test of the engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest

from ddpm_core.engine.build import Pipeline, Settings, SinkUse
from ddpm_core.engine.report import Report
from ddpm_core.engine.runner import Runner
from ddpm_core.errors import DataError
from ddpm_core.plugin.events import Event
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.processor import Processor
from ddpm_core.plugin.sink import Sink
from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import FormatSpec, Plugin, ProcessorSpec, SinkSpec, SourceSpec
from ddpm_core.records import Messages, Parsed, Reject
from ddpm_core.testing.doubles import LineParser, MemorySink, MemoryStore


class Lines(LineParser):
    """Lines as rows `{"line": …}`; `bad` is a reject, `boom` a bug in the plugin, `torn` ends the document."""

    def parse_messages(self, messages: Messages) -> Parsed:
        values = [value or b"" for value in messages.values]
        if b"boom" in values:
            raise ZeroDivisionError("a bug in the parser")
        if b"torn" in values:
            raise DataError("the document is torn", reason="torn")
        good = [n for n, value in enumerate(values) if value != b"bad"]
        return Parsed(
            pa.record_batch({"line": [values[n].decode() for n in good]}) if good else None,
            len(values),
            [Reject(n, "bad_line", "the line is bad") for n, value in enumerate(values) if value == b"bad"],
            origin=pa.array(good, pa.int32()),
            raw=messages.values.__getitem__,
        )


@dataclass
class Engine:
    """Builds and runs pipelines of doubles against one store, as one process after the other would."""

    folder: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    events: list[Event] = field(default_factory=list)
    runner: Runner | None = None

    def pipeline(
        self,
        source: Source,
        *,
        parser: Parser | None = None,
        processors: Sequence[Processor] = (),
        sinks: Sequence[Sink] | None = None,
        **settings: object,
    ) -> Pipeline:
        """A pipeline as `ddpm ingest` builds it, waiting at most a minute for anything."""
        of = {"distribution": "ddpm-test", "version": "1.0"}
        sinks = [MemorySink(self.store)] if sinks is None else sinks
        known = {"retry_for": 60.0, "dead_letter_file": self.folder / "dead.ndjson", **settings}
        return Pipeline(
            name="test",
            source=(source, Plugin(SourceSpec(name="list", summary="A list", build="x:y"), **of)),
            parser=(parser or Lines(), Plugin(FormatSpec(name="lines", summary="Lines", parser="x:y"), **of)),
            processors=[(p, Plugin(ProcessorSpec(name="double", summary="A double", build="x:y"), **of)) for p in processors],
            sinks=[
                SinkUse(f"memory{n}", sink, Plugin(SinkSpec(name="memory", summary="Memory", build="x:y"), **of))
                for n, sink in enumerate(sinks, 1)
            ],
            settings=Settings(**known),  # type: ignore[arg-type]
        )

    def run(self, source: Source, **more: object) -> Report:
        """Run to the end."""
        self.runner = Runner(self.pipeline(source, **more), observers=[self.events.append])  # type: ignore[arg-type]
        return self.runner.run()

    def in_background(self, source: Source, **more: object) -> Callable[[], Report]:
        """Start a run; the answer waits for its report."""
        self.runner = Runner(self.pipeline(source, **more), observers=[self.events.append])  # type: ignore[arg-type]
        reports: list[Report] = []
        runner = self.runner
        thread = threading.Thread(target=lambda: reports.append(runner.run()), daemon=True)
        thread.start()

        def wait() -> Report:
            thread.join(120)
            assert not thread.is_alive()
            return reports[0]

        return wait

    @property
    def lines(self) -> list[str]:
        """What landed."""
        return [row["line"] for row in self.store.rows]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine with an empty store."""
    return Engine(tmp_path)

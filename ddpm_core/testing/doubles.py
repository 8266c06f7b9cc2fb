"""Small stand-ins for the parts around the one under test. The large ones are `MemorySink` and `ListSource`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ddpm_core.errors import DataError
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.processor import Processed, Processor
from ddpm_core.records import Batch
from ddpm_core.testing.list_source import Call as Call
from ddpm_core.testing.list_source import Crash as Crash
from ddpm_core.testing.list_source import ListDocument as ListDocument
from ddpm_core.testing.list_source import ListRows as ListRows
from ddpm_core.testing.list_source import ListSource as ListSource
from ddpm_core.testing.list_source import Pause as Pause
from ddpm_core.testing.memory_sink import Blockade as Blockade
from ddpm_core.testing.memory_sink import ForgetfulMemorySink as ForgetfulMemorySink
from ddpm_core.testing.memory_sink import MemorySink as MemorySink
from ddpm_core.testing.memory_sink import MemoryStore as MemoryStore


class RecordingProcessor(Processor):
    """Passes everything on, and keeps what it saw: `batches`, and `calls` in their order."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.calls: list[str] = []

    def open(self) -> None:
        self.calls.append("open")

    def process(self, batch: Batch) -> Processed:
        self.calls.append("process")
        self.batches.append(batch)
        return Processed(batch)

    def close(self) -> None:
        self.calls.append("close")


class FailingProcessor(Processor):
    """Raises `error` at batch number `at`, from 0; passes the others on."""

    def __init__(self, error: BaseException, *, at: int = 0) -> None:
        self.error = error
        self.at = at
        self.seen = 0

    def process(self, batch: Batch) -> Processed:
        self.seen += 1
        if self.seen > self.at:
            raise self.error
        return Processed(batch)


class LineParser(Parser):
    """The smallest parser: each line is a row `{"line": text}`; the line `bad` is no record, `boom` is a bug in the plugin."""

    def parse_payload(self, payload: bytes) -> Mapping[str, Any]:
        if payload == b"bad":
            raise DataError("the line is bad", reason="bad_line")
        if payload == b"boom":
            raise ZeroDivisionError("a bug in the parser")
        return {"line": payload.decode("utf-8", "replace")}

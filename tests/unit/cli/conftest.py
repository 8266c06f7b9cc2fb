"""Doubles of what the command line drives: the engine, a database, a registry filled by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import click.testing
import pytest
from pydantic import Field, SecretStr

from ddpm_core import DeadLetterFilter, FormatSpec, PluginOptions, SinkSpec, SourceSpec, hookimpl
from ddpm_core.cli.main import cli
from ddpm_core.engine.report import Report
from ddpm_core.observe import log
from ddpm_core.registry import Broken, Origin, Registry


class JsonOptions(PluginOptions):
    max_depth: int = Field(default=128, ge=1, description="Deeper nesting is set aside")
    token: SecretStr = Field(default=SecretStr("hunter2"), description="Opens the\n    lock")
    columns: tuple[str, ...] = Field(default=(), description="Only these")
    path: Path | None = Field(default=None, description="A file")


class FilesOptions(PluginOptions):
    paths: tuple[str, ...] = Field(description="Which files")
    again: bool = Field(default=False, description="Again")


class BundledPlugins:
    @hookimpl
    def ddpm_sources(self) -> Any:
        yield SourceSpec(name="files", summary="Files", build="x:y", options=FilesOptions)

    @hookimpl
    def ddpm_formats(self) -> Any:
        yield FormatSpec(
            name="json", summary="JSON", parser="x:y", options=JsonOptions, suffixes=(".json",), example="ddpm ingest a.json"
        )
        yield FormatSpec(name="avro", summary="Avro", parser="x:y", suffixes=(".avro",))

    @hookimpl
    def ddpm_sinks(self) -> Any:
        yield SinkSpec(name="duckdb", summary="DuckDB", build="x:y", suffixes=(".duckdb",), modes=("append",))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()
    made.add(BundledPlugins(), entry_point="bundled", distribution="ddpm-core", version="0.1.0")
    made.broken.append(Broken(Origin("logline", "ddpm-logline", "2.0"), "broken", "ModuleNotFoundError: No module named 'x'"))
    monkeypatch.setattr(Registry, "discover", classmethod(lambda cls, **_: made))
    return made


@dataclass
class Engine:
    """Says what the engine shall do, and keeps what it was asked."""

    report: Report = field(default_factory=lambda: Report("ingest"))
    events: list[Any] = field(default_factory=list)
    refuse: Exception | None = None
    fail: BaseException | None = None
    request: Any = None
    stopped: int = 0


@pytest.fixture
def engine(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Engine:
    told = Engine()

    class Ingest:
        def __init__(self, request: Any, registry: Registry, *, observers: Any = ()) -> None:
            told.request, self._observers = request, observers
            if told.refuse:
                raise told.refuse

        def run(self) -> Report:
            for event in told.events:
                for observer in self._observers:
                    observer(event)
            if told.fail:
                raise told.fail
            return told.report

        def stop(self) -> None:
            told.stopped += 1

    fake = ModuleType("ddpm_core.engine.ingest")
    fake.Ingest = Ingest  # type: ignore[attr-defined]
    fake.IngestRequest = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ddpm_core.engine.ingest", fake)
    return told


@dataclass
class FakeDatabase:
    result: Any = None
    letters: list[Any] = field(default_factory=list)
    error: Exception | None = None
    address: str | None = "never opened"
    asked: list[Any] = field(default_factory=list)
    closed: int = 0

    def query(self, sql: str, *, write: bool = False) -> Any:
        self.asked.append((sql, write))
        if self.error:
            raise self.error
        return self.result.to_reader() if hasattr(self.result, "to_reader") else self.result

    def dead_letters(self, wanted: DeadLetterFilter) -> list[Any]:
        self.asked.append(wanted)
        return [letter for letter in self.letters if letter.id.startswith(wanted.id)][: wanted.limit]

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def database(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> FakeDatabase:
    fake = FakeDatabase()

    def open_database(address: str | None, registry: Registry) -> FakeDatabase:
        fake.address = address
        return fake

    build = ModuleType("ddpm_core.engine.build")
    build.open_database = open_database  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ddpm_core.engine.build", build)
    return fake


Run = Callable[..., click.testing.Result]


@pytest.fixture
def run(registry: Registry) -> Iterator[Run]:
    """Calls `ddpm` in this process. The log is taken off again."""
    import logging

    root = logging.getLogger()
    before = (root.level, logging.getLogger("ddpm").level)
    yield lambda *args, **kwargs: click.testing.CliRunner().invoke(cli, [str(a) for a in args], prog_name="ddpm", **kwargs)
    for handler in [h for h in root.handlers if isinstance(h, log.InterceptHandler)]:
        root.removeHandler(handler)
    root.setLevel(before[0])
    logging.getLogger("ddpm").setLevel(before[1])

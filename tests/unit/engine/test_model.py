"""Random histories of runs against one oracle: every record once, as a row or as a dead letter, in order, whatever happens."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ddpm_core.engine.runner as runner_module
from ddpm_core.engine.build import Pipeline, Settings, SinkUse
from ddpm_core.engine.recovery import Recovery
from ddpm_core.engine.report import Report
from ddpm_core.engine.runner import Runner
from ddpm_core.errors import RetryableError
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.specs import BuildContext, FormatSpec, Plugin, SinkSpec, SourceSpec
from ddpm_core.records import Document, Parsed, Reject
from ddpm_core.testing.doubles import MemorySink, MemoryStore
from ddpm_core.testing.streams import SimulatedCrash
from ddpm_files.options import FilesOptions
from ddpm_files.source import FilesSource
from tests.examples import examples

OF = {"distribution": "ddpm-test", "version": "1.0"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recovery, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(Recovery, "LONGEST_WAIT", 0.0)
    monkeypatch.setattr(runner_module, "IN_FLIGHT_BYTES", 1)  # Each chunk is a group of its own: the most places to fail at.


class Lines(Parser):
    """Some lines to a step. `bad` ones are rejects; it crashes once before line number `crash_at` of what it reads."""

    def __init__(self, lines_per_step: int, crash_at: int | None, *, resumable: bool) -> None:
        self.lines_per_step = lines_per_step
        self.crash_at = crash_at
        self.resumable = resumable  # type: ignore[misc]

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        at = int(document.start.detail.get("resume", {}).get("byte", 0))
        document.stream.seek(at)
        while lines := [line for _ in range(self.lines_per_step) if (line := document.stream.readline())]:
            if self.crash_at is not None:
                self.crash_at -= len(lines)
                if self.crash_at < 0:
                    self.crash_at = None
                    raise SimulatedCrash("the parser crashed here")
            yield self._step(lines, at)
            at += sum(map(len, lines))

    def _step(self, lines: list[bytes], at: int) -> Parsed:
        good = [n for n, line in enumerate(lines) if b"bad" not in line]
        return Parsed(
            pa.record_batch({"line": [lines[n].decode() for n in good]}) if good else None,
            len(lines),
            [Reject(n, "bad_line", "it is bad") for n in range(len(lines)) if n not in good],
            origin=pa.array(good, pa.int32()),
            resume={"byte": at + sum(map(len, lines)), "grows": True} if self.resumable else None,
            raw=lines.__getitem__,
            nbytes=sum(map(len, lines)),
        )


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a run: `kind` at the call number `after` of `method`. Its parser makes steps of so many lines."""

    kind: str = "none"
    method: str = "write"
    after: int = 0
    lines_per_step: int = 2


FAULTS = st.builds(
    Fault,
    kind=st.sampled_from(["none", "crash", "retry", "gives up", "reply lost", "never committed", "stop", "parser", "overtaken"]),
    method=st.sampled_from(["open", "claim", "write", "commit"]),
    after=st.integers(0, 4),
    lines_per_step=st.integers(1, 4),
)
GROWTH = st.tuples(st.integers(0, 1), st.lists(st.sampled_from(["row", "row", "bad", "refused"]), min_size=1, max_size=9))


class Gathering(MemorySink):
    """Its rounds grow while they are written, to some chunks or to the end of what can be read."""

    transaction_bytes = 60
    transaction_seconds = 30.0
    write_rows = 5


class World:
    """Files, a store that outlives the runs, and what should be in it."""

    def __init__(self, folder: Path, *, resumable: bool, gathers: bool) -> None:
        self.folder = folder
        self.sink = Gathering if gathers else MemorySink
        self.store = MemoryStore(refuse=lambda row: "refused" if "refused" in row["line"] else "")
        self.resumable = resumable
        self.lines: list[list[str]] = [[], []]

    def path(self, number: int) -> Path:
        return self.folder / f"{number}.txt"

    def grow(self, number: int, kinds: list[str]) -> None:
        """Append records."""
        new = [f"{number}:{len(self.lines[number]) + n} {kind}\n" for n, kind in enumerate(kinds)]
        self.lines[number] += new
        with self.path(number).open("a") as file:
            file.writelines(new)

    def run(self, fault: Fault = Fault(), *, again: bool = False) -> Report:
        """One process: it ends in the way of the fault, if it meets it."""
        store = self.store
        retry_for = 0.0 if fault.kind == "gives up" else None
        paths = tuple(str(self.path(number)) for number in (0, 1) if self.lines[number])
        crash_at = fault.after * 3 if fault.kind == "parser" else None
        runner = Runner(
            Pipeline(
                name="model",
                source=(
                    FilesSource(FilesOptions(paths=paths, again=again), BuildContext()),
                    Plugin(SourceSpec(name="files", summary="Files", build="x:y"), **OF),
                ),
                parser=(
                    Lines(fault.lines_per_step, crash_at, resumable=self.resumable),
                    Plugin(FormatSpec(name="lines", summary="Lines", parser="x:y"), **OF),
                ),
                sinks=[SinkUse("memory", self.sink(store), Plugin(SinkSpec(name="memory", summary="Memory", build="x:y"), **OF))],
                settings=Settings(retry_for=retry_for, reject_share=1.0),
            )
        )
        actions: dict[str, Callable[[], None]] = {
            "crash": lambda: store.fail(fault.method, SimulatedCrash("the power is gone"), after=fault.after),
            "retry": lambda: store.fail(fault.method, RetryableError("not now"), after=fault.after, times=2),
            "gives up": lambda: store.fail(fault.method, RetryableError("not now"), after=fault.after),
            "reply lost": lambda: store.lose_commit_reply(landed=True, after=fault.after),
            "never committed": lambda: store.lose_commit_reply(landed=False, after=fault.after),
            "stop": lambda: store.fail(fault.method, runner.stop, after=fault.after),
            "overtaken": lambda: store.fail("commit", self.overtake, after=fault.after),
        }
        actions.get(fault.kind, lambda: None)()
        report = runner.run()
        store.forget_faults()
        return report

    def overtake(self) -> None:
        """Another process takes both files and lands them."""
        assert self.run().status in ("landed", "dead_letters")

    def takings(self, number: int) -> int:
        """How often the file as it is now has been taken, to its end."""
        ours = {name: at for name, at in self.store.positions.items() if name.startswith(f"file:{self.path(number).resolve()}#")}
        reached = [at for at in ours.values() if at.offset == len(self.lines[number]) and at.finished]
        assert all(at in reached or "~" not in name for name, at in ours.items())
        return len(reached)

    def check(self, *, most: int) -> None:
        """Every record once for each taking, as a row or as a dead letter, the rows of each file in their order."""
        for number, lines in enumerate(self.lines):
            takings = self.takings(number)
            assert bool(lines) <= takings <= most
            rows = [row["line"] for row in self.store.rows if row["line"].startswith(f"{number}:")]
            assert rows == [line for line in lines if "row" in line] * takings
            letters = sorted(at.payload.decode() for at in self.store.dead_letters if at.payload.startswith(b"%d:" % number))
            assert letters == sorted([line for line in lines if "row" not in line] * takings)


@settings(max_examples=examples(100), deadline=None)
@given(
    st.booleans(),
    st.booleans(),
    st.lists(st.one_of(GROWTH, FAULTS), min_size=1, max_size=7),
    FAULTS,
)
def test_every_record_is_there_once_whatever_happened(
    resumable: bool, gathers: bool, history: list[Fault | tuple[int, list[str]]], last: Fault
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), resumable=resumable, gathers=gathers)
        world.grow(0, ["row", "bad"])
        for event in history:
            if isinstance(event, Fault):
                world.run(event)
            elif resumable or not world.lines[event[0]]:  # What cannot be continued is a new document when it grew.
                world.grow(*event)
        assert world.run().status in ("landed", "dead_letters")
        world.check(most=1)
        world.run(last, again=True)
        assert world.run().status in ("landed", "dead_letters")
        world.check(most=2)

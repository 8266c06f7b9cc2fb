"""A source that decodes by itself hands out rows, and they are delivered as those of a document are."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from ddpm_core.errors import PluginError, RetryableError
from ddpm_core.plugin.source import Source
from ddpm_core.records import Assigned, EndOfSource, Item, Parsed, Position, Positions, Reject, Rows


class Query(Source):
    """Numbers from 0 to `last`, two a step; each run goes on where the last one ended."""

    def __init__(self, last: int, *, atomic: bool = False, lasting: bool = True) -> None:
        self.last, self.atomic, self.lasting = last, atomic, lasting
        self.items: list[str] = ["assigned", "rows", "end"]
        self.start = Position(0)
        self.fail_at: int | None = None
        self.awaiting = False

    def open(self) -> None:
        pass

    def seek(self, positions: Positions) -> None:
        self.start = positions.get("query:n", Position(0))
        self.awaiting = False

    def read(self, timeout: float) -> Item | None:
        if self.awaiting:
            return None
        match self.items.pop(0):
            case "assigned":
                self.awaiting = True
                return Assigned(["query:n"])
            case "rows":
                return Rows("numbers", "query:n", self.steps, self.start, {"query": "n"}, self.atomic, "new", lasting=self.lasting)
        return EndOfSource()

    def steps(self) -> Iterator[Parsed]:
        at = 0 if self.atomic else self.start.detail.get("resume", {}).get("at", 0)
        while at < self.last:
            if at == self.fail_at:
                raise RetryableError("the server is gone")
            end = min(at + 2, self.last)
            bad = [Reject(end - at, "odd", "no number")] if end == self.last else []
            yield Parsed(pa.record_batch({"line": [str(n) for n in range(at, end)]}), end - at + len(bad), bad, resume={"at": end})
            at = end


def run(engine, source: Query):
    pipeline = engine.pipeline(source)
    pipeline.parser = None
    from ddpm_core.engine.runner import Runner

    return Runner(pipeline).run()


def test_rows_land_and_the_next_run_goes_on_behind_them(engine) -> None:
    report = run(engine, Query(5))
    assert engine.lines == ["0", "1", "2", "3", "4"]
    assert (report.records, report.rows, report.rejects) == (6, 5, {"odd": 1})
    position = engine.store.positions["query:n"]
    assert (position.offset, position.detail["resume"], position.finished) == (6, {"at": 5}, False)
    again = run(engine, Query(7))
    assert engine.lines == [str(n) for n in range(7)]
    assert again.rows == 2


def test_rows_without_anything_new_have_landed(engine) -> None:
    run(engine, Query(4))
    quiet = Query(4)
    quiet.steps = lambda: iter(())  # type: ignore[method-assign]
    report = run(engine, quiet)
    assert [(d.status, d.note, d.rows) for d in report.documents] == [("landed", "new", 0)]
    assert report.status == "landed"


def test_rows_with_an_end_are_finished(engine) -> None:
    run(engine, Query(3, lasting=False))
    assert engine.store.positions["query:n"].finished


def test_the_judge_of_a_row_that_the_source_refused_is_the_source(engine) -> None:
    run(engine, Query(1))
    [letter] = engine.store.dead_letters
    assert (letter.plugin, letter.source, letter.partition, letter.offset, letter.stage) == (
        "list",
        "numbers",
        "query:n",
        1,
        "parse",
    )


def test_rows_that_land_as_a_whole_leave_nothing_when_they_break_off(engine) -> None:
    source = Query(6, atomic=True, lasting=False)
    source.fail_at = 4
    report = run(engine, source)
    assert engine.lines == []
    assert [(d.status, str(d.error)) for d in report.documents] == [("failed", "the server is gone")]


def test_rows_that_break_off_keep_what_had_landed(engine) -> None:
    source = Query(6)
    source.fail_at = 4
    assert run(engine, source).status == "failed"
    assert engine.lines == ["0", "1", "2", "3"]
    run(engine, Query(6))
    assert engine.lines == [str(n) for n in range(6)]


def test_undecoded_data_of_a_source_that_decodes_is_the_sources_fault(engine) -> None:
    from ddpm_core.testing.doubles import ListSource

    pipeline = engine.pipeline(ListSource.of_documents({"a": b"1\n"}))
    pipeline.parser = None
    from ddpm_core.engine.runner import Runner

    report = Runner(pipeline).run()
    assert isinstance(report.error, PluginError)
    assert str(report.error) == (
        "source list (ddpm-test 1.0) broke its contract: it says that it decodes itself, and handed out undecoded data\n"
        "What was committed before stays. Report it to the plugin's author."
    )

"""Progress: plain lines, and the bar on a terminal."""

from __future__ import annotations

import io

from rich.console import Console
from rich.progress import Progress, TextColumn

from ddpm_core.cli.progress import BarProgress, LineProgress
from ddpm_core.plugin.events import ChunkCommitted, ChunkRead, DocumentEnded, DocumentStarted, Recovered, RunStarted, Waiting


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_every_ten_seconds_says_where_the_run_stands():
    said, clock = [], Clock()
    observe = LineProgress(said.append, clock)

    observe(DocumentStarted("a.json", "new", 4_000_000))
    observe(ChunkRead(1000, 1_000_000))
    observe(ChunkCommitted(1000, 998, 1_000_000, {"json_invalid": 2}))
    clock.now = 9.9
    observe(ChunkRead(500, 500_000))
    assert said == []
    clock.now = 10
    observe(ChunkRead(500, 500_000))
    assert said == ["998 rows written, 2,000 records read, 1.0 MB of 4.0 MB, 100 rows/s, 2 rejected, in a.json"]
    clock.now = 15
    observe(ChunkCommitted(1000, 1000, 1_000_000))
    assert len(said) == 1
    clock.now = 20
    observe(ChunkCommitted(0, 0, 0))
    assert said[1:] == ["1,998 rows written, 2.0 MB of 4.0 MB, 100 rows/s, 2 rejected, in a.json"]


def test_a_document_of_unknown_size_and_a_resumed_one():
    said, clock = [], Clock()
    observe = LineProgress(said.append, clock)

    observe(DocumentStarted("b.json", "resumed at record 12,000", 4_000_000, start_byte=3_000_000))
    clock.now = 10
    observe(ChunkCommitted(1, 1, 500_000))
    observe(DocumentStarted("-", "new", None))
    clock.now = 20
    observe(ChunkCommitted(1, 1, 0))

    assert said == [
        "b.json: resumed at record 12,000",
        "1 row written, 3.5 MB of 4.0 MB, 0 rows/s, in b.json",
        "2 rows written, 3.5 MB, 0 rows/s, in -",
    ]


def test_waiting_and_recovering_are_said_at_once():
    said = []
    observe = LineProgress(said.append)

    observe(RunStarted("ingest"))
    observe(Waiting("sink postgres", "connection refused", 2.0))
    observe(Recovered("sink postgres", 12.4))
    observe(DocumentEnded("a", "landed", "new"))

    observe(Waiting("sink postgres", "connection refused", 0.24))
    assert said.pop() == "waiting for sink postgres: connection refused; trying again in 0.2 s"
    assert said == ["waiting for sink postgres: connection refused; trying again in 2 s", "sink postgres is back after 12 s"]


def test_how_documents_ended_is_left_to_the_summary_but_for_failures_in_a_long_run():
    said, logged, clock = [], [], Clock()
    observers = LineProgress(said.append, clock), LineProgress(logged.append, clock, is_log=True)
    events = [DocumentEnded("old", "skipped", "already landed"), DocumentEnded("bad", "failed", "block 3 ends in the middle")]

    for clock.now in (9.9, 10.0):
        for event in events:
            for observe in observers:
                observe(event)

    assert said == ["bad: failed"]
    assert logged == ["old: skipped: already landed", "bad: failed"] * 2


def test_the_bar_counts_and_noteworthy_lines_stay_above_it():
    screen, clock = io.StringIO(), Clock()
    columns = (TextColumn("{task.description}|{task.completed}|{task.total}|{task.fields[facts]}", markup=False),)
    bar = Progress(*columns, console=Console(file=screen, width=200), auto_refresh=False)
    observe = BarProgress(bar, clock)

    observe(DocumentStarted("/a/very/long/path/to/some/folder/[red]events.json", "new", 1_000_000))
    clock.now = 2.0
    observe(ChunkCommitted(1000, 990, 400_000, {"json_invalid": 10}))
    observe(DocumentStarted("[red]old.json", "taken again", 0))
    observe(DocumentEnded("one.json", "skipped", "already landed"))

    task = bar.tasks[0]
    assert task.description == "[red]old.json"
    assert (task.completed, task.total) == (400_000, 1_000_000)
    assert task.fields["facts"] == "990 rows  400.0 kB  495 rows/s  10 rejected"
    assert screen.getvalue() == "[red]old.json: taken again\n"
    clock.now = 10.0
    observe(DocumentEnded("two.json", "failed", "block 3 ends in the middle"))
    assert screen.getvalue() == "[red]old.json: taken again\ntwo.json: failed\n"
    observe(DocumentStarted("/a/very/long/path/to/some/folder/[red]events.json", "new", 0))
    assert task.description == "…to/some/folder/[red]events.json"

    observe(DocumentStarted("-", "new", None))
    assert bar.tasks[0].total is None

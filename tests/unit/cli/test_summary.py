"""What the summary proposes to type next works."""

from __future__ import annotations

from ddpm_core.cli.summary import summary_lines
from ddpm_core.engine.report import DocumentReport, Report


def report(**more: object) -> Report:
    line = DocumentReport("a.json", "landed", "new", "a", records=2, rows=1, rejects=1)
    return Report("ingest", "x.sqlite", records=2, rows=1, rejects={"bad": 1}, documents=[line], **more)  # type: ignore[arg-type]


def test_a_target_that_cannot_be_queried_gets_no_query() -> None:
    assert "ddpm query 'select * from a limit 10' --db x.sqlite" in "\n".join(summary_lines(report(), "x.sqlite"))
    text = "\n".join(summary_lines(report(queryable=False), "x.sqlite"))
    assert "ddpm query" not in text
    assert "ddpm dlq" not in text


def test_dead_letters_in_a_file_are_shown_whatever_the_target() -> None:
    kept = report(queryable=False, dead_letter_file="dead.ndjson")
    assert summary_lines(kept, "out.folder")[-1] == "Look at the rejects:  ddpm dlq list --db dead.ndjson"

"""The summary at the end of `ddpm ingest`, for people: what became of each document, the counts, and the commands to go on with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ddpm_core.cli.output import count, duration, printable, redact, shell, size, sql_name
from ddpm_core.errors import ConfigError
from ddpm_core.plugin.names import split_table

if TYPE_CHECKING:
    from ddpm_core.engine.report import DocumentReport, DocumentStatus, Report

ALL_SHOWN = 12
"""Up to so many documents each gets its line."""
FIRST_SHOWN = 3
"""Of more documents, so many of those that landed or were skipped get theirs. Failed, stopped, and those with rejects always do."""


def summary_lines(report: Report, to: str | None) -> list[str]:
    """The summary. `to`: the address as the user gave it, or None for the default database."""
    if report.status == "failed" and not report.documents:
        return []  # It did not come to reading anything: the error says it all.
    lines = [*_document_lines(report.documents), _counts(report)]
    if report.target:
        target = "standard output" if report.target == "-" else redact(report.target)
        lines.append(f"Target: {target}{_tables(report)}")
    if report.status == "stopped":
        unfinished = sum(document.status == "stopped" for document in report.documents)
        where = f" {count(unfinished, 'document')} not finished." if unfinished else ""
        lines.append(f"Stopped.{where} Run the same command again to go on.")
    commands = _next_commands(report, to)
    return [*lines, "", *commands] if commands else lines


def _document_lines(documents: list[DocumentReport]) -> list[str]:
    lines = []
    shown: Counter[DocumentStatus] = Counter()
    left_out: Counter[DocumentStatus] = Counter()
    for document in documents:
        dull = document.status in ("landed", "skipped") and not document.rejects
        if dull and len(documents) > ALL_SHOWN and shown[document.status] >= FIRST_SHOWN:
            left_out[document.status] += 1
            continue
        shown[document.status] += dull
        lines.append(printable(redact(_document_line(document))))
    return lines + [f"… and {number:,} more {status}" for status, number in left_out.items()]


def _document_line(document: DocumentReport) -> str:
    wrote = f"{count(document.rows, 'row')}" + (f" into {document.table}" if document.table else "")
    if document.rejects:
        wrote += f", {document.rejects:,} rejected"
    note = f" ({document.note})" if document.note else ""
    match document.status:
        case "landed":
            return f"{document.name}: landed, {wrote}{note}"
        case "skipped":
            return f"{document.name}: skipped: {document.note}"
        case "stopped":
            return f"{document.name}: stopped after {wrote}"
        case "failed":
            return f"{document.name}: failed after {wrote}" if document.rows or document.rejects else f"{document.name}: failed"


def _counts(report: Report) -> str:
    speed = f" ({round(report.rows / report.seconds):,} rows/s)" if report.seconds > 0 and report.rows else ""
    line = f"Read {count(report.records, 'record')} ({size(report.nbytes)}) in {duration(report.seconds)}{speed}: "
    line += f"{count(report.rows, 'row')} written, {report.rejected:,} rejected"
    if report.rejects:
        line += f" ({', '.join(f'{number:,} {reason}' for reason, number in sorted(report.rejects.items()))})"
    return line


def _tables(report: Report) -> str:
    tables = list(dict.fromkeys(d.table for d in report.documents if d.table))
    if not tables:
        return ""
    shown = ", ".join(tables[:FIRST_SHOWN])
    more = f" and {len(tables) - FIRST_SHOWN:,} more" if len(tables) > FIRST_SHOWN else ""
    return printable(f", {'table' if len(tables) == 1 else 'tables'} {shown}{more}")


def _next_commands(report: Report, to: str | None) -> list[str]:
    """What to type next: a query of the table with most of the rows, and the list of dead letters."""
    db = ["--db", redact(to)] if to else []
    commands = []
    full = [document for document in report.documents if document.table and document.rows]
    if full and report.queryable:
        table = sql_table(max(full, key=lambda document: document.rows).table)
        commands.append(("Look at the rows:", shell("ddpm", "query", f"select * from {table} limit 10", *db)))
    if report.rejected and (report.dead_letter_file or report.queryable):
        where = ["--db", report.dead_letter_file] if report.dead_letter_file else db
        commands.append(("Look at the rejects:", shell("ddpm", "dlq", "list", *where)))
    longest = max((len(label) for label, _ in commands), default=0)
    return [printable(f"{label:<{longest}}  {command}") for label, command in commands]


def sql_table(text: str) -> str:
    """A user's `[schema.]table` as SQL names it."""
    try:
        schema, table = split_table(text)
    except ConfigError:  # Named by a sink of another kind, in its own way.
        return sql_name(text)
    return f"{sql_name(schema)}.{sql_name(table)}" if schema else sql_name(table)

"""The report of a run for machines: what `ddpm ingest --json` prints.

One object on one line. Keys are only ever added:

- `ddpm`: version. `pipeline`: its name, `ingest`.
- `status`: `landed`, `dead_letters`, `stopped` or `failed`. `exit_code`: the process's.
- `target`: where the rows went, passwords masked.
- `records`: records committed. `rows`: rows written. `rejected`: dead letters. `rejects`: reason -> how many. `bytes`: of the source.
- `dead_letter_file`: where the dead letters are, when they are not beside the data; else null.
- `seconds`: wall time. `rows_per_second`.
- `documents`: one object each: `name`, `status` (`landed`, `skipped`, `failed`, `stopped`), `note`, `table`, `records`, `rows`,
  `rejected`, `error`.
- `error`, here and in documents: null, or an object: `type` (such as `ConfigError`), `message`, `hint`, and `problems`: every mistake
  of a request, each with `where`, `what`, `hint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ddpm_core import __version__
from ddpm_core.cli.errors import ExitCode, error_dict
from ddpm_core.cli.output import redact

if TYPE_CHECKING:
    from ddpm_core.engine.report import DocumentReport, Report


def report_dict(report: Report, code: ExitCode) -> dict[str, Any]:
    """The report as described above."""
    return {
        "ddpm": __version__,
        "pipeline": report.pipeline,
        "status": report.status,
        "exit_code": int(code),
        "target": redact(report.target),
        "records": report.records,
        "rows": report.rows,
        "rejected": report.rejected,
        "rejects": dict(report.rejects),
        "dead_letter_file": report.dead_letter_file or None,
        "bytes": report.nbytes,
        "seconds": round(report.seconds, 3),
        "rows_per_second": round(report.rows / report.seconds) if report.seconds > 0 else 0,
        "documents": [_document(document) for document in report.documents],
        "error": error_dict(report.error) if report.error else None,
    }


def failure_dict(error: BaseException, code: ExitCode) -> dict[str, Any]:
    """The same object for a run that never began."""
    from ddpm_core.engine.report import Report

    return report_dict(Report("ingest", status="failed"), code) | {"error": error_dict(error)}


def _document(document: DocumentReport) -> dict[str, Any]:
    return {
        "name": redact(document.name),
        "status": document.status,
        "note": redact(document.note),
        "table": document.table,
        "records": document.records,
        "rows": document.rows,
        "rejected": document.rejects,
        "error": error_dict(document.error) if document.error else None,
    }

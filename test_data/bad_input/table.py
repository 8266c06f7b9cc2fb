"""The committed table: what becomes of every hostile document, one line for each.

    python -m test_data.bad_input.table

makes it anew, with `docs/bad-input.md`, so that a reviewer sees in the diff what changed. The tests only compare.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from test_data.bad_input import shipped
from test_data.bad_input.case import Case

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("table.csv")
PAGE = ROOT / "docs" / "bad-input.md"
SECONDS = 60
"""After this a case counts as one that hangs. The limit that the tests hold is lower."""
KEPT = 32 << 20
"""A process that still has more than this of its last case is replaced."""

_SAID = 160


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        rows: Rows that land.
        dead_letters: Reasons of dead letters and how often, such as `json_depth:1`.
        error: The reason why the document is refused from some place on.
        exit: The exit code of `ddpm ingest`: 1 for a document that failed, 3 for dead letters only, 0.
        says: The error's message, or the first dead letter's; cut off where it is long.
    """

    format: str
    case: str
    made_by: str
    rows: str
    dead_letters: str
    error: str
    exit: str
    says: str

    @property
    def key(self) -> tuple[str, str]:
        return self.format, self.case


@dataclass(frozen=True)
class Measured:
    """What a case took: bytes of memory, and seconds."""

    growth: int
    seconds: float


def generated() -> list[Case]:
    """The cases of every `*_cases.py` beside this file."""
    found: list[Case] = []
    for path in sorted(Path(__file__).parent.glob("*_cases.py")):
        found += importlib.import_module(f"test_data.bad_input.{path.stem}").cases().all
    return found


def parsed(cases: Sequence[Case], folder: Path) -> Iterator[tuple[Case, Line, Measured]]:
    """What the formats' parsers make of these cases, in a process of its own, which is replaced when a case kills it or leaves it large."""
    with _Worker() as worker:
        for case in cases:
            if case.parser:
                path = case.write(folder)
                outcome = worker.ask({"format": case.format, "path": str(path), "name": path.name, "options": dict(case.options)})
                path.unlink()
                yield case, _line(case, outcome), Measured(outcome["growth"], outcome["seconds"])


def read_table() -> list[Line]:
    """The committed lines."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        return [Line(**row) for row in csv.DictReader(file)]


def table_text(lines: Iterable[Line]) -> str:
    """The file's text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in fields(Line)]
    writer.writerow(names)
    writer.writerows([getattr(line, name) for name in names] for line in lines)
    return out.getvalue()


class _Worker:
    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        hung = threading.Timer(SECONDS, process.kill)
        hung.start()
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        late = not hung.is_alive()
        hung.cancel()
        hung.join()
        if answer:
            outcome: dict[str, Any] = json.loads(answer)
            if outcome["kept"] > KEPT:
                self._end()
            return outcome
        self._end()
        error = "HANGS" if late else f"KILLED by signal or exit {process.returncode}"
        return {"rows": 0, "dead_letters": {}, "error": error, "says": "", "growth": 0, "seconds": 0.0}

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "test_data.bad_input.worker"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait(SECONDS)


def _line(case: Case, outcome: dict[str, Any]) -> Line:
    dead, error = outcome["dead_letters"], str(outcome["error"])
    said = re.sub(r"\s+", " ", str(outcome["says"])).encode("utf-8", "backslashreplace").decode()
    return Line(
        format=case.format,
        case=case.name,
        made_by=case.made_by,
        rows=str(outcome["rows"]),
        dead_letters=" ".join(f"{reason}:{count}" for reason, count in dead.items()),
        error=error,
        exit="2" if error == "config" else "1" if error else "3" if dead else "0",
        says=said if len(said) <= _SAID else f"{said[:_SAID]}…",
    )


def page_text(lines: Sequence[Line]) -> str:
    """`docs/bad-input.md`."""
    out = [_HEAD]
    for format_name in sorted({line.format for line in lines}):
        ours = [line for line in lines if line.format == format_name and line.made_by.endswith("_cases.py")]
        others = [line for line in lines if line.format == format_name and line not in ours]
        out += [f"## `{format_name}`", "", "| input | rows | dead letters | the rest of the file | exit |", "|---|---|---|---|---|"]
        out += [
            f"| {_cell(line.case)} | {int(line.rows):,} | {_cell(line.dead_letters)} | "
            f"{f'refused: {line.error}' if line.error else ''} | {line.exit} |"
            for line in ours
        ]
        out += ["", *_summary(others)]
    return "\n".join(out)


def _summary(lines: Sequence[Line]) -> list[str]:
    if not lines:
        return []
    landed = sum(line.exit == "0" for line in lines)
    letters = sum(line.exit == "3" for line in lines)
    refused = len(lines) - landed - letters
    sources = ", ".join(sorted({line.made_by.partition(",")[0] for line in lines}))
    return [f"Of {len(lines)} files of others ({sources}) {landed} land, {letters} leave dead letters, {refused} are refused.", ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


_HEAD = """\
# Bad input

What becomes of hostile files. Every line below is a test: the outcome is compared with `test_data/bad_input/table.csv`, which also
has the messages, and each case is read within 250 MB of memory above what the process had before, and within 10 seconds. For every bomb,
and for what else is heavy, the same holds of a whole `ddpm ingest` into DuckDB (with `-o sink.memory_limit=200MB`), above one of a single
record. Made by `python -m test_data.bad_input.table`; do not edit.

A bad record is set aside as a dead letter with the reason named here, and its neighbours land. Where the rest of a file cannot be
read, the rows before land, the file fails with the reason named here, and the other files go on. Exit codes: 0 all landed, 3 dead
letters, 1 a file failed. More than 1,000 dead letters in a row, or more than 5 % of a large file, also end the run with 1.

The limits are options: `--max-record-bytes`, `--max-depth`; `-o format.max_block_bytes` (Avro), `-o format.max_step_bytes` and
`-o format.max_expansion` (Parquet, Arrow), `-o format.max_batch_bytes` (Arrow), `-o format.max_rows` (custom), `-o source.max_expansion`
(compressed files and members of archives); `ddpm plugins show` describes them. Of a damaged compressed file the last 2 MB before the
damage do not land either.

Not bounded: the total size of what an Avro file of many blocks that are each within the limits becomes; memory stays flat, and the
rows land until the disk is full. Compressed files, Parquet and Arrow cannot do that (`max_expansion`). An Arrow batch is in memory as a
whole, up to `max_batch_bytes`. Each member of an archive takes about 2 ms to read and 20 ms to land in DuckDB, each empty stream of a
compressed file up to 0.03 ms, however many there are. A function of the format `custom` has no limit of time, and the rows that it makes
of a block of lines (2 MB) are in memory together. A Parquet file without page checksums that was damaged within its values may read as
other values.
"""


def main() -> None:
    """Write the table and the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [*generated(), *shipped.cases(folder)]
        lines = []
        for _, line, measured in parsed(cases, folder):
            lines.append(line)
            if measured.growth > 200 << 20 or measured.seconds > 5:
                print(f"{line.key}: {measured.growth >> 20} MB, {measured.seconds:.1f} s")
    TABLE.write_text(table_text(lines), encoding="utf-8")
    PAGE.write_text(page_text(lines), encoding="utf-8")
    print(f"{len(lines)} cases")


if __name__ == "__main__":
    main()

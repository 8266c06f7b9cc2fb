"""A run over many small documents: few claims, few commits, and each of them as if it had been by itself."""

from __future__ import annotations

import time
from pathlib import Path

from ddpm_core.errors import FatalError, FencedError
from ddpm_core.plugin.events import DocumentEnded
from ddpm_core.plugin.specs import BuildContext
from ddpm_files.options import FilesOptions
from ddpm_files.source import AT_ONCE, FilesSource


def files(folder: Path) -> FilesSource:
    return FilesSource(FilesOptions(paths=(str(folder),)), BuildContext())


def write_lines(folder: Path, count: int) -> Path:
    (folder / "in").mkdir()
    for number in range(count):
        (folder / "in" / f"{number:04}").write_bytes(b"%d" % number)
    return folder / "in"


def test_many_small_files_are_few_claims_and_few_commits(engine, tmp_path: Path) -> None:
    folder = write_lines(tmp_path, AT_ONCE)
    busy = engine.store.block("commit")
    ended = engine.in_background(files(folder))
    assert busy.reached.wait(60)
    until = time.monotonic() + 60
    while sum(isinstance(event, DocumentEnded) for event in engine.events) < AT_ONCE:
        assert time.monotonic() < until
        time.sleep(0.01)  # Another thread works; only its events tell how far it is.
    busy.released.set()
    report = ended()
    assert engine.lines == [str(number) for number in range(AT_ONCE)]
    assert {line.status for line in report.documents} == {"landed"}
    assert engine.store.calls.count("claim") == 1
    assert engine.store.commits == 2, "what gathered while the first was written is the second"
    again = engine.run(files(folder))
    assert ({line.status for line in again.documents}, again.rows) == ({"skipped"}, 0)


def test_of_several_small_files_a_broken_one_fails_alone(engine, tmp_path: Path) -> None:
    folder = write_lines(tmp_path, 5)
    (folder / "0002").write_bytes(b"torn")
    report = engine.run(files(folder))
    assert engine.lines == ["0", "1", "3", "4"]
    assert [line.status for line in report.documents] == ["landed", "landed", "failed", "landed", "landed"]
    assert str(report.documents[2].error) == "the document is torn"
    (folder / "0002").write_bytes(b"whole")
    engine.run(files(folder))
    assert engine.lines == ["0", "1", "3", "4", "whole"]


def test_one_that_another_process_takes_over_is_its_alone(engine, tmp_path: Path) -> None:
    folder = write_lines(tmp_path, 4)
    taken = f"file:{folder}/0002"
    engine.store.fail("commit", lambda: engine.store.epochs.update({taken: 7}))
    report = engine.run(files(folder))
    assert engine.lines == ["0", "1", "3"]
    assert [line.status for line in report.documents] == ["landed", "landed", "failed", "landed"]
    assert isinstance(report.documents[2].error, FencedError)


def test_a_crash_in_the_middle_of_them_neither_loses_nor_doubles(engine, tmp_path: Path) -> None:
    folder = write_lines(tmp_path, 3 * AT_ONCE)
    engine.store.fail("commit", FatalError("power cut"), after=2)
    assert str(engine.run(files(folder)).error) == "power cut"
    assert 0 < len(engine.lines) < 3 * AT_ONCE
    report = engine.run(files(folder))
    assert engine.lines == [str(number) for number in range(3 * AT_ONCE)]
    assert {line.status for line in report.documents} == {"landed", "skipped"}

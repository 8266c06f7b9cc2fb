"""A run over files: what is handed out, and what a second run makes of the positions of the first."""

from __future__ import annotations

import io
import os
import random
import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import Assigned, BuildContext, ConfigError, Document, EndOfSource, Failed, Position, Positions, Skipped
from ddpm_files.options import FilesOptions
from ddpm_files.source import AT_ONCE, FilesSource, build
from tests.examples import examples
from tests.open_files import open_files
from tests.source_items import items


def start(*paths: str | Path, again: bool = False) -> FilesSource:
    source = build(FilesOptions(paths=tuple(str(path) for path in paths), again=again), BuildContext())
    source.open()
    return source


def documents_of(source: FilesSource, known: Positions) -> list[Document | Skipped | Failed]:
    return [item for item in items(source, known) if isinstance(item, Document | Skipped | Failed)]


def land(document: Document, known: Positions, *, upto: int | None = None) -> bytes:
    """What a parser of single bytes would do: one record for each byte, from where it was told, up to `upto` more."""
    at = int(document.start.detail.get("resume", {}).get("byte", 0))
    assert document.start.offset == at
    document.stream.seek(at)
    got = document.stream.read() if upto is None else document.stream.read(upto)
    end = at + len(got)
    detail = {**document.detail, "resume": {"byte": end, "grows": True}, "rows": end}
    if end == document.size:
        detail["finished"] = True
    known[document.partition] = Position(end, detail)
    return got


def run(path: Path, known: Positions, *, again: bool = False, upto: int | None = None) -> tuple[str, bytes]:
    """One run over one file: the note, and the bytes that landed."""
    source = start(path, again=again)
    note, got = "", b""
    for item in items(source, known):
        if isinstance(item, Document):
            note, got = item.note, land(item, known, upto=upto)
        elif isinstance(item, Skipped):
            note = item.note
        elif isinstance(item, Failed):
            note = str(item.error)
    source.close()
    return note, got


def test_a_file_goes_through_once(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"x" * 20_000)
    known: Positions = {}
    assert run(path, known) == ("new", b"x" * 20_000)
    assert run(path, known) == ("already landed (20,000 rows); use --again to take it again", b"")
    assert run(path, known, again=True) == ("taken again", b"x" * 20_000)
    assert [name.rpartition("~")[2] for name in list(known)[1:]] == ["2"]


def test_a_killed_run_goes_on_and_a_killed_second_taking_too(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"y" * 30_000)
    known: Positions = {}
    run(path, known, upto=12_000)
    assert run(path, known, upto=1_000) == ("resumed at record 12,000", b"y" * 1_000)
    assert run(path, known) == ("resumed at record 13,000", b"y" * 17_000)
    assert run(path, known, again=True, upto=10) == ("taken again", b"y" * 10)
    assert run(path, known, again=True, upto=10) == ("resumed at record 10", b"y" * 10)
    assert run(path, known) == ("resumed at record 20", b"y" * 29_980)
    assert run(path, known)[0] == "already landed (30,000 rows); use --again to take it again"


def test_a_document_carries_what_the_engine_needs(tmp_path: Path) -> None:
    path = tmp_path / "o#d[d]é.json"
    path.write_bytes(b"0123456789")
    source = start(path)
    assert source.read(0) == Assigned([f"file:{path}"])
    assert source.read(0) is None
    assert source.read(0) is None
    source.seek({})
    document = source.read(0)
    assert isinstance(document, Document)
    assert document.name == str(path)
    base, _, generation = document.partition.rpartition("#")
    assert base == f"file:{path}"
    assert generation.startswith("10-")
    assert document.size == 10
    assert document.start == Position(0)
    assert document.atomic is False
    assert document.stream.seekable()
    assert document.detail["file"].keys() == {"size", "head", "tail"}
    assert document.detail["file"]["size"] == 10
    assert source.read(0) == EndOfSource()
    assert document.stream.closed


def test_positions_of_a_path_that_begins_alike_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    longer = tmp_path / "a#3-x"
    longer.write_bytes(b"abc")
    known: Positions = {}
    run(longer, known)
    source = start(path)
    source.read(0)
    source.seek(known)
    document = source.read(0)
    assert isinstance(document, Document)
    assert document.note == "new"
    source.close()
    assert run(longer, known)[0] == "already landed (3 rows); use --again to take it again"


def test_the_path_is_resolved_and_the_name_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real").write_bytes(b"abc")
    Path("link").symlink_to("real")
    source = start("link")
    assert source.read(0) == Assigned([f"file:{tmp_path}/real"])
    source.seek({})
    document = source.read(0)
    assert isinstance(document, Document)
    assert document.name == "link"
    source.close()


def test_a_file_that_grew_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"a" * 1_000)
    known: Positions = {}
    run(path, known)
    path.write_bytes(b"a" * 1_000 + b"b" * 500)
    assert run(path, known) == ("continued at record 1,000: the file grew from 1,000 to 1,500 bytes", b"b" * 500)
    assert run(path, known)[0] == "already landed (1,500 rows); use --again to take it again"


def test_a_file_that_grew_while_it_was_continued_is_continued_from_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"a" * 1_000)
    known: Positions = {}
    run(path, known, upto=400)
    path.write_bytes(b"a" * 1_000 + b"b" * 500)
    assert run(path, known, upto=700) == (
        "continued at record 400: the file grew from 1,000 to 1,500 bytes",
        b"a" * 600 + b"b" * 100,
    )
    path.write_bytes(b"a" * 1_000 + b"b" * 500 + b"c")
    assert run(path, known) == ("continued at record 1,100: the file grew from 1,500 to 1,501 bytes", b"b" * 400 + b"c")


def test_other_content_at_the_same_path_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"a" * 1_000)
    known: Positions = {}
    run(path, known)
    for other in (b"b" * 2_000, b"a" * 999, b"a" * 500 + b"b" * 600):
        path.write_bytes(other)
        assert run(path, known) == ("new: the content at this path changed", other)
    path.write_bytes(b"a" * 1_000)
    assert run(path, known)[0] == "already landed (1,000 rows); use --again to take it again"


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 400_000), st.data())
def test_however_a_file_grows_and_runs_are_killed_every_byte_lands_once(seed: int, size: int, data: st.DataObject) -> None:
    # Bytes, and zeros only, where edges that repeat could be taken for others.
    whole = random.Random(seed).randbytes(size) if seed % 2 else bytes(size)
    known: Positions = {}
    landed = b""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "growing"
        for end in [*sorted(data.draw(st.lists(st.integers(1, size), max_size=5))), size]:
            path.write_bytes(whole[:end])
            kill_after = data.draw(st.one_of(st.none(), st.integers(1, size)))
            landed += run(path, known, upto=kill_after)[1]
        landed += run(path, known)[1]
        assert landed == whole
        assert run(path, known)[1] == b""


def test_an_append_during_the_read_is_left_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"a" * 10)
    known: Positions = {}
    source = start(path)
    for item in items(source, known):
        assert not isinstance(item, Failed)
        if isinstance(item, Document):
            with path.open("ab") as more:
                more.write(b"b" * 5)
            assert land(item, known) == b"a" * 10
    assert run(path, known) == ("continued at record 10: the file grew from 10 to 15 bytes", b"b" * 5)


CHANGED = (
    " was changed while it was read: what landed of it may be a mixture of its old and new content\n"
    "Run again once nothing writes to it; files that are only appended to are safe to read at any time."
)


def test_a_file_that_is_rewritten_or_cut_while_it_is_read_is_reported(tmp_path: Path) -> None:
    for change in (b"b" * 10, b"a" * 9, b"a" * 9 + b"b" * 9):
        path = tmp_path / "a.json"
        path.write_bytes(b"a" * 10)
        notes = []
        for item in items(start(path, tmp_path), {}):
            if isinstance(item, Document):
                item.stream.read()
                with path.open("r+b") as file:
                    file.truncate(0)
                    file.write(change)
            elif isinstance(item, Failed):
                notes.append((item.name, str(item.error)))
        assert notes == [(str(path), f"{path}{CHANGED}")]


def test_a_document_whose_stream_said_so_itself_is_not_reported_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"a" * 100_000)
    for item in items(start(path), {}):
        assert not isinstance(item, Failed)
        if isinstance(item, Document):
            os.truncate(path, 10)
            with pytest.raises(Exception, match="was changed while it was read"):
                item.stream.read()


def test_a_file_replaced_by_a_rename_while_it_is_read_is_read_to_its_own_end(tmp_path: Path) -> None:
    path, other = tmp_path / "a.json", tmp_path / "b.json"
    path.write_bytes(b"a" * 10)
    known: Positions = {}
    for item in items(start(path), known):
        assert not isinstance(item, Failed)
        if isinstance(item, Document):
            other.write_bytes(b"b" * 5)
            other.rename(path)
            assert land(item, known) == b"a" * 10
    assert run(path, known) == ("new: the content at this path changed", b"b" * 5)


def test_a_file_that_vanished_costs_only_itself(tmp_path: Path) -> None:
    gone, folder, there = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    for path in (gone, folder, there):
        path.write_bytes(b"x")
    source = start(gone, folder, there)
    gone.unlink()
    folder.unlink()
    folder.mkdir()
    first, second, third = documents_of(source, {})
    assert isinstance(first, Failed)
    assert isinstance(second, Failed)
    assert (first.name, str(first.error)) == (str(gone), f"{gone} cannot be read: it is not there any more")
    assert (second.name, str(second.error)) == (str(folder), f"{folder} cannot be read: it is a folder now")
    assert isinstance(third, Document)
    assert third.name == str(there)


def test_a_file_that_lost_its_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    source = start(path)

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    failed = source.read(0)
    monkeypatch.undo()
    assert isinstance(failed, Failed)
    assert str(failed.error) == f"{path} cannot be read: permission denied"


def test_what_has_vanished_since_it_was_listed_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x")
    source = start(tmp_path / "there", tmp_path / "gone")
    failed = source.read(0)
    assert isinstance(failed, Failed)
    assert str(failed.error) == f"{tmp_path}/gone: no such file"
    assert isinstance(source.read(0), Assigned)


def test_where_nothing_is_there_at_all_it_stops_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        start(tmp_path / "a", tmp_path / "b")
    assert str(caught.value) == f"{tmp_path}/a: no such file\n{tmp_path}/b: no such file"


def test_an_empty_file_is_a_document_of_no_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    known: Positions = {}
    (document,) = documents_of(start(path), known)
    assert isinstance(document, Document)
    assert document.size == 0
    assert run(path, known) == ("new", b"")
    assert run(path, known)[0] == "already landed (0 rows); use --again to take it again"
    path.write_bytes(b"abc")
    assert run(path, known) == ("continued at record 0: the file grew from 0 to 3 bytes", b"abc")


def test_standard_input_is_read_once_and_committed_at_its_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"peeked and read")
    partitions = []
    for _ in range(2):
        with (tmp_path / "input").open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            stdin.buffer.peek(6)
            for item in items(start("-"), {}):
                if isinstance(item, Assigned):
                    partitions += item.partitions
                if isinstance(item, Document):
                    assert (item.name, item.atomic, item.size) == ("stdin", True, None)
                    assert item.partition == partitions[-1]
                    assert not item.stream.seekable()
                    assert item.stream.read() == b"peeked and read"
            assert not stdin.buffer.closed
    assert all(partition.startswith("stdin:") for partition in partitions)
    assert len(set(partitions)) == 2


def test_closed_standard_input_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    (failed,) = documents_of(start("-"), {})
    assert isinstance(failed, Failed)
    assert (failed.name, str(failed.error)) == ("-", "standard input is closed\nPipe something into ddpm, or name a file.")


def test_a_named_pipe_is_like_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"through the pipe",), daemon=True)
    writer.start()
    for item in items(start(path), {}):
        if isinstance(item, Document):
            assert (item.name, item.atomic, item.size) == (str(path), True, None)
            assert item.partition.startswith("pipe:")
            assert not item.stream.seekable()
            assert item.stream.read() == b"through the pipe"
            beneath = item.stream
    writer.join(60)
    assert beneath.closed


def test_a_name_that_is_no_text_lands_under_one_that_is(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.json")
    with open(path, "wb") as file:
        file.write(b"x")
    (document,) = documents_of(start(tmp_path), {})
    assert isinstance(document, Document)
    assert document.name == f"{tmp_path}/caf\\xe9.json"
    document.partition.encode()


def test_many_files_leave_no_descriptor_open(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:04}").write_bytes(b"%d" % number)
    before = open_files()
    source, known = start(tmp_path), {}
    for item in items(source, known):
        if isinstance(item, Document):
            land(item, known)
            assert (open_files() - before).total() <= AT_ONCE
    assert len(known) == 300
    assert all(isinstance(item, Skipped) for item in documents_of(start(tmp_path), known))
    assert open_files() - before == Counter()


def test_close_is_safe_at_any_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    never_opened = build(FilesOptions(paths=("nowhere",)), BuildContext())
    never_opened.close()
    half = start(tmp_path)
    half.read(0)
    half.seek({})
    document = half.read(0)
    assert isinstance(document, Document)
    half.close()
    half.close()
    assert document.stream.closed
    assert half.read(0) == EndOfSource()


def test_the_stream_of_a_document_is_buffered(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"line\nline\n")
    (document,) = documents_of(start(tmp_path), {})
    assert isinstance(document, Document)
    assert isinstance(document.stream, io.BufferedReader)

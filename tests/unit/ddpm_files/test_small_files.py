"""Small documents are assigned several at once, and are read as if each had been by itself."""

from __future__ import annotations

import gzip
import os
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ddpm_core import Assigned, BuildContext, Document, EndOfSource, Failed, Item, Position, Positions, Skipped
from ddpm_files import opener
from ddpm_files.options import FilesOptions
from ddpm_files.source import AT_ONCE, FilesSource
from tests.open_files import open_files
from tests.source_items import items as items_of


def files(*paths: Path) -> FilesSource:
    return FilesSource(FilesOptions(paths=tuple(map(str, paths))), BuildContext())


def items(
    source: FilesSource,
    known: Positions | None = None,
    contents: list[bytes] | None = None,
    when_listed: Callable[[], None] = lambda: None,
) -> Iterator[Item]:
    """What a run sees; what it has read of a document, which goes into `contents`, counts as landed."""
    known = {} if known is None else known
    source.open()
    when_listed()
    for item in items_of(source, known):
        yield item
        if isinstance(item, Document):
            content = item.stream.read()
            known[item.partition] = Position(len(content), {**item.detail, "finished": True})
            if contents is not None:
                contents.append(content)


def seen(
    source: FilesSource, folder: Path, known: Positions | None = None, *, when_listed: Callable[[], None] = lambda: None
) -> list[str]:
    """A run in short: how many were assigned, and each document by its name in this folder."""
    short = []
    for item in items(source, known, when_listed=when_listed):
        match item:
            case Assigned(partitions):
                short.append(str(len(partitions)))
            case Document(name) | Skipped(name) | Failed(name):
                short.append(f"{type(item).__name__} {name.removeprefix(f'{folder}/')}")
    return short


def write(folder: Path, **contents: bytes) -> list[Path]:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def test_small_files_are_assigned_together_and_a_large_one_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener, "SMALL_BYTES", 3)
    a, b, large, c = write(tmp_path, a=b"1", b=b"22", large=b"4444", c=b"333")
    assert seen(files(a, b, large, c), tmp_path) == ["2", "Document a", "Document b", "1", "Document large", "1", "Document c"]


def test_no_more_than_so_many_are_open_at_once(tmp_path: Path) -> None:
    for number in range(2 * AT_ONCE + 1):
        (tmp_path / f"{number:04}").write_bytes(b"%d" % number)
    before, most = open_files(), 0
    sizes = []
    for item in items(files(tmp_path)):
        most = max(most, (open_files() - before).total())
        if isinstance(item, Assigned):
            sizes.append(len(item.partitions))
    assert (sizes, most) == ([AT_ONCE, AT_ONCE, 1], AT_ONCE)
    assert open_files() - before == Counter()


def test_a_second_run_skips_each_of_them_that_is_finished(tmp_path: Path) -> None:
    known: Positions = {}
    paths = write(tmp_path, a=b"1", b=b"22", c=b"333")
    assert seen(files(*paths), tmp_path, known) == ["3", "Document a", "Document b", "Document c"]
    paths[1].write_bytes(b"44")
    assert seen(files(*paths), tmp_path, known) == ["3", "Skipped a", "Document b", "Skipped c"]
    assert Counter(name.partition("#")[0] for name in known) == {
        str(f"file:{tmp_path}/{name}"): n for name, n in (("a", 1), ("b", 2), ("c", 1))
    }


def test_one_that_cannot_be_opened_fails_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b, c = write(tmp_path, a=b"1", b=b"22", c=b"333")
    source = files(a, b, c)
    real, stat = os.open, os.stat

    def gone(path: str, *more: int) -> int:
        if path == str(b):
            raise FileNotFoundError(2, "No such file or directory")
        return real(path, *more)

    monkeypatch.setattr(os, "open", gone)
    assert stat(b).st_size == 2, "it is there when it is looked at, and gone when it is opened"
    assert seen(source, tmp_path) == ["2", "Document a", "Failed b", "Document c"]


def test_one_that_is_rewritten_while_it_waits_is_read_as_it_is_then(tmp_path: Path) -> None:
    a, b, c = write(tmp_path, a=b"1", b=b"22", c=b"333")
    known: Positions = {}
    source, contents = files(a, b, c), []
    for item in items(source, known, contents):
        if isinstance(item, Document) and item.name == str(a):
            b.write_bytes(b"four")
            c.write_bytes(b"333 and more")
    assert contents == [b"1", b"four", b"333"], "what was appended is for the next run"
    assert seen(files(a, b), tmp_path, known) == ["2", "Skipped a", "Skipped b"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: (b.write_bytes(b"4"), b.chmod(0)), "{b} cannot be read: permission denied"),
        (lambda b: (b.write_bytes(b"4"), b.unlink()), "{b} cannot be read: it is not there any more"),
        (
            lambda b: (b.write_bytes(b"4"), b.unlink(), b.symlink_to(b.with_name("c"))),
            "{b} leads to another file than when it was claimed\nRun the same command again.",
        ),
    ],
)
def test_one_that_goes_while_it_waits_costs_only_itself(
    tmp_path: Path, change: Callable[[Path], object], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, c = write(tmp_path, a=b"1", b=b"22", c=b"333")
    before, found = open_files(), []
    real = os.open

    def strict(path: str, *more: int) -> int:
        if path == str(b) and not b.stat().st_mode & 0o400:  # Which stops nobody who may do everything.
            raise PermissionError(13, "Permission denied")
        return real(path, *more)

    monkeypatch.setattr(os, "open", strict)
    for item in items(files(a, b, c)):
        found.append(item)
        if isinstance(item, Document) and item.name == str(a):
            change(b)
    assert [type(item) for item in found] == [Assigned, Document, Failed, Document, EndOfSource]
    assert isinstance(found[2], Failed)
    assert str(found[2].error) == message.format(b=b)
    assert open_files() - before == Counter()


def test_a_file_that_has_become_another_one_since_it_was_listed_is_not_read_twice(tmp_path: Path) -> None:
    a, b, c = write(tmp_path, a=b"1", b=b"22", c=b"333")

    def relink() -> None:
        b.unlink()
        b.symlink_to(a)

    assert seen(files(a, b, c), tmp_path, when_listed=relink) == ["1", "Document a", "2", "Skipped b", "Document c"]


def test_a_pipe_is_not_waited_for_while_small_files_can_be_read(tmp_path: Path) -> None:
    a, b = write(tmp_path, a=b"1", b=b"22")
    os.mkfifo(tmp_path / "pipe")
    source = files(a, b, tmp_path / "pipe")
    source.open()
    assert source.read(0) == Assigned([f"file:{a}", f"file:{b}"]), "nobody writes into the pipe yet"
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"last",))
    source.seek({})
    for name in (a, b):
        document = source.read(0)
        assert isinstance(document, Document)
        assert document.name == str(name)
    writer.start()
    assert isinstance(source.read(0), Assigned)
    source.seek({})
    document = source.read(0)
    assert isinstance(document, Document)
    assert (document.stream.read(), document.atomic) == (b"last", True)
    writer.join(30)
    assert source.read(0) == EndOfSource()


def test_members_of_an_archive_are_assigned_together_once_it_was_looked_into(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in "abcd":
            archive.writestr(name, name.encode() * 3)
    documents = [f"Document x.zip/{name}" for name in "abcd"]
    assert seen(files(tmp_path / "x.zip"), tmp_path) == ["1", documents[0], "3", *documents[1:]]


def test_no_server_is_asked_whether_its_file_is_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(tmp_path, a=b"1", b=b"22")
    remote = "https://127.0.0.1:1/x.zip/member.json"
    source = files(*paths)
    source.open()
    source._names.append(remote)
    monkeypatch.setattr(source._opener, "web_exists", lambda _: pytest.fail("nobody waits for a server here"))
    assert source.read(0) == Assigned([f"file:{path}" for path in paths])


def test_where_few_files_may_be_open_fewer_are_assigned_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddpm_files.source.most_open_files", lambda: 16)
    assert seen(files(*write(tmp_path, a=b"1", b=b"22", c=b"333")), tmp_path) == [
        "2",
        "Document a",
        "Document b",
        "1",
        "Document c",
    ]


def test_compressed_ones_too(tmp_path: Path) -> None:
    write(tmp_path, **{"a.gz": gzip.compress(b"1"), "b.gz": gzip.compress(b"22")})
    contents = [item.size for item in items(files(tmp_path)) if isinstance(item, Document)]
    assert (contents, seen(files(tmp_path), tmp_path)) == ([None, None], ["2", "Document a.gz", "Document b.gz"])


def test_close_closes_those_that_wait(tmp_path: Path) -> None:
    before = open_files()
    source = files(*write(tmp_path, a=b"1", b=b"22", c=b"333"))
    source.open()
    source.read(0)
    source.seek({})
    assert isinstance(source.read(0), Document)
    assert (open_files() - before).total() == 3
    source.close()
    assert open_files() - before == Counter()
    assert source.read(0) == EndOfSource()

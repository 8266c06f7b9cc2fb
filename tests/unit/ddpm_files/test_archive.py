"""An archive's members are documents; archives that are damaged, or made to do damage, are refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import struct
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from ddpm_core import (
    Assigned,
    BuildContext,
    ConfigError,
    DdpmError,
    Document,
    EndOfSource,
    Failed,
    Item,
    Position,
    Positions,
    Skipped,
)
from ddpm_files import archive as archive_module
from ddpm_files.listing import documents
from ddpm_files.options import FilesOptions
from ddpm_files.source import FilesSource, build
from tests.open_files import open_files

ROWS = b'{"id": 1}\n' * 3_000


def pack(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def listed(*paths: Path | str, compression: str = "auto") -> list[str]:
    return documents(FilesOptions.model_validate({"paths": [str(path) for path in paths], "compression": compression}))


def refusal(*paths: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        listed(*paths)
    return str(caught.value)


def start_reading(*paths: Path | str) -> FilesSource:
    source = build(FilesOptions(paths=tuple(map(str, paths))), BuildContext())
    source.open()
    return source


def read_all(source: FilesSource, known: Positions) -> dict[str, bytes | str]:
    """Document -> what was read of it, or why not."""
    got: dict[str, bytes | str] = {}
    item: Item | None = None
    while not isinstance(item, EndOfSource):
        item = source.read(0)
        if isinstance(item, Assigned):
            source.seek({name: at for name, at in known.items() if name.rpartition("#")[0] in item.partitions})
        elif isinstance(item, Document):
            try:
                got[item.name] = item.stream.read()
                known[item.partition] = Position(1, {**item.detail, "finished": True})
            except DdpmError as error:
                got[item.name] = str(error)
        elif isinstance(item, Failed):
            got[item.name] = str(item.error)
        elif isinstance(item, Skipped):
            got[item.name] = item.note
    return got


def test_members_are_documents_without_folders_and_what_archivers_add(tmp_path: Path) -> None:
    names = ("b.json", "a/c.json", "__MACOSX/._b.json", ".hidden", "a/_tmp/x", "a/", "../up.json", "/abs.json", "é x.json")
    path = pack(tmp_path / "z.ZIP", dict.fromkeys(names, b"x"))
    here = [f"{path}/{name}" for name in ("b.json", "a/c.json", "../up.json", "/abs.json", "é x.json")]
    assert listed(path) == here
    assert listed(tmp_path) == here
    assert listed(tmp_path / "*.ZIP") == here
    for one in here:
        assert listed(one) == [one]
    assert listed(f"{path}/*.json") == [f"{path}/b.json", f"{path}/é x.json"]
    assert listed(f"{path}/a/*") == listed(f"{path}/a*") == [f"{path}/a/c.json"]
    assert listed(path, f"{path}/b.json", f"{tmp_path}/./z.ZIP/b.json") == here
    assert listed(path, compression="none") == [str(path)]
    (tmp_path / "folder.zip").mkdir()
    (tmp_path / "folder.zip" / "in.json").touch()
    assert listed(tmp_path / "folder.zip/in.json") == [f"{tmp_path}/folder.zip/in.json"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    path = pack(tmp_path / "z.zip", {"a.json": b"x"})
    assert refusal(f"{path}/b.json", f"{path}/*.csv", f"{path}x/a.json") == (
        f"{path}/b.json: there is no such member in the archive\n"
        f"{path}/*.csv: the pattern matches no member of the archive\n"
        f"{path}x/a.json: no such file (there is no folder '{path}x')"
    )
    empty = pack(tmp_path / "empty.zip", {".DS_Store": b"x", "a/": b""})
    assert refusal(empty) == f"{empty}: the archive holds no files (names that begin with . or _ are left out)"
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04 something else")
    assert refusal(tmp_path / "broken.zip") == f"{tmp_path}/broken.zip: is not a whole zip archive (file is not a zip file)"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_members_are_read_whatever_their_compression_and_one_of_their_own(tmp_path: Path, method: int) -> None:
    members = {"a.json": ROWS, "b.json.gz": gzip.compress(ROWS), "c.json.bz2": bz2.compress(ROWS), "empty.json": b""}
    path = pack(tmp_path / "z.zip", members, method)
    known: Positions = {}
    assert read_all(start_reading(path), known) == {
        f"{path}/a.json": ROWS, f"{path}/b.json.gz": ROWS, f"{path}/c.json.bz2": ROWS, f"{path}/empty.json": b"",
    }  # fmt: skip
    assert [name.rpartition("#")[0] for name in known] == [f"file:{path}/{name}" for name in members]


def test_an_archive_made_anew_costs_only_the_members_that_changed(tmp_path: Path) -> None:
    path = pack(tmp_path / "z.zip", {"a.json": ROWS, "b.json": b"old"})
    known: Positions = {}
    read_all(start_reading(path), known)
    pack(path, {"b.json": b"new", "c.json": b"more", "a.json": ROWS}, zipfile.ZIP_BZIP2)
    assert read_all(start_reading(path), known) == {
        f"{path}/b.json": b"new", f"{path}/c.json": b"more", f"{path}/a.json": "already landed (1 row); use --again to take it again",
    }  # fmt: skip


def test_a_member_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    path = pack(
        tmp_path / "z.zip", {"good.json": b"x", "locked.json": b"x", "odd.json": b"x", "in.zip": b"PK\x03\x04", "bad.json": ROWS}
    )
    data = bytearray(path.read_bytes())
    directory = data.index(b"PK\x01\x02")
    for name, offset, value in ((b"locked.json", 8, 1), (b"odd.json", 10, 9)):
        at = data.index(name, directory) - 46 + offset
        data[at : at + 2] = struct.pack("<H", value)
    at = data.index(b"bad.json", directory) - 46 + 16
    data[at] ^= 1
    path.write_bytes(data)
    assert read_all(start_reading(path), {}) == {
        f"{path}/good.json": b"x",
        f"{path}/locked.json": f"{path}/locked.json is encrypted\nUnpack the archive with its password first.",
        f"{path}/odd.json": f"{path}/odd.json is compressed by a method that is not read: deflate64\n"
        "Unpack the archive first, or make it anew with deflate.",
        f"{path}/in.zip": f"{path}/in.zip is an archive in an archive\nUnpack the outer one first.",
        f"{path}/bad.json": f"{path}/bad.json is damaged: its checksum is wrong\n"
        "Copy or download it again. If something still writes it, run again once that has closed it: what landed is not taken twice.",
    }


def test_members_that_overlap_are_a_bomb(tmp_path: Path) -> None:
    path = pack(tmp_path / "z.zip", {"a.json": ROWS, "b.json": ROWS})
    data = bytearray(path.read_bytes())
    at = data.index(b"b.json", data.index(b"PK\x01\x02")) - 4
    data[at : at + 4] = bytes(4)  # Both members are the first one's bytes.
    path.write_bytes(data)
    assert refusal(path) == f"{path}: its members overlap, as in archives that are made to fill disks"


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.json", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.json", b"2")
    assert refusal(path) == f"{path}: has two members named 'a.json' (unpack it first)"


def test_a_directory_that_is_too_long_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "z.zip", {f"{number}.json": b"" for number in range(100)})
    monkeypatch.setattr(archive_module, "DIRECTORY_BYTES", 4_000)
    assert refusal(path) == f"{path}: its directory is longer than 0 MB (unpack it first)"


def test_an_archive_cut_anywhere_is_refused_or_fails(tmp_path: Path) -> None:
    whole = pack(tmp_path / "z.zip", {"a.json": b"some text", "b.json": b"more"}).read_bytes()
    path = tmp_path / "cut.zip"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        assert refusal(path).startswith(f"{path}: is not a whole zip archive (")


def test_an_archive_changed_while_a_member_is_read_is_reported(tmp_path: Path) -> None:
    path = pack(tmp_path / "z.zip", {"a.json": ROWS})
    source, said = start_reading(path), []
    item: Item | None = None
    while not isinstance(item, EndOfSource):
        item = source.read(0)
        if isinstance(item, Assigned):
            source.seek({})
        elif isinstance(item, Document):
            item.stream.read()
            with path.open("r+b") as file:
                file.write(b"\0\0")
        elif isinstance(item, Failed):
            said.append(str(item.error).splitlines()[0])
    assert said == [f"{path} was changed while it was read: what landed of it may be a mixture of its old and new content"]


def test_many_members_leave_no_descriptor_open_and_the_directory_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(tmp_path / "z.zip", {f"{number}.json": b"x" for number in range(200)})
    source = start_reading(path)
    readings: list[str] = []
    members = archive_module.members

    def counted(archive: io.RawIOBase, name: str) -> dict[str, archive_module.Member]:
        readings.append(name)
        return members(archive, name)

    monkeypatch.setattr(archive_module, "members", counted)
    before = open_files()
    assert len(read_all(source, {})) == 200
    assert open_files() - before == Counter()
    assert len(readings) == 1


def test_the_slices_of_an_archive_end_where_members_do() -> None:
    part = archive_module.Slice(io.BytesIO(b"0123456789"), 2, 5)
    assert part.read(3) + part.read(100) + part.read(1) == b"23456"
    part.seek(1)
    assert part.read(100) == b"3456"

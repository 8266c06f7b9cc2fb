"""Zip archives: what is in them, and the bytes of one member."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import BinaryIO, NamedTuple, cast

from ddpm_core import ConfigError, DataError, Problem
from ddpm_files.compression import BZIP2, CODECS, DEFLATE, STORED, XZ, ZSTD
from ddpm_files.decompressed import AGAIN, Beneath, Decompressed, Promise
from ddpm_files.names import ARCHIVE, compression_of
from ddpm_files.patterns import hidden

DIRECTORY_BYTES = 32 << 20
"""A directory that is longer is refused: about 300,000 members."""

_METHODS = {0: STORED, 8: DEFLATE, 12: BZIP2, 93: ZSTD, 95: XZ}
_NAMES_OF_METHODS = {1: "shrink", 6: "implode", 9: "deflate64", 14: "lzma", 97: "wavpack", 98: "ppmd", 99: "AES encryption"}
_HEADER = struct.Struct("<4s22xHH")
_LEAST = _HEADER.size


class Member(NamedTuple):
    """A file in an archive, as the archive's directory tells of it.

    Attributes:
        name: As stored; only a name, wherever it seems to lead.
        method: How it is compressed, in the numbers of zip.
        encrypted: Whether a password is needed.
        at: Where in the archive its own header begins.
        packed: Its bytes in the archive.
        size, crc: What must come out.
    """

    name: str
    method: int
    encrypted: bool
    at: int
    packed: int
    size: int
    crc: int


def members(archive: io.RawIOBase, name: str) -> dict[str, Member]:
    """The files in an archive by their names, in its order. Folders are left out, and what is `hidden`.

    Args:
        archive: The archive; it must be able to seek. It stays open.
        name: For messages.

    Raises:
        ConfigError: It is no zip archive, is damaged, or is made in a way that no archiver makes it (members that overlap, as in
            bombs; two of one name; a directory of more than `DIRECTORY_BYTES`).
    """
    try:
        with zipfile.ZipFile(cast(BinaryIO, _Guarded(archive))) as opened:
            entries, directory = opened.infolist(), opened.start_dir
    except _TooLongError:
        raise ConfigError(Problem(name, f"its directory is longer than {DIRECTORY_BYTES >> 20} MB", "unpack it first")) from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(Problem(name, "is not a whole zip archive", f"{str(error)[:1].lower()}{str(error)[1:]}")) from None
    _refuse_overlaps(entries, directory, name)
    found: dict[str, Member] = {}
    for entry in entries:
        if entry.is_dir() or hidden(entry.filename.split("/")):
            continue
        if entry.filename in found:
            raise ConfigError(Problem(name, f"has two members named {entry.filename!r}", "unpack it first"))
        found[entry.filename] = Member(
            entry.filename,
            entry.compress_type,
            bool(entry.flag_bits & 1),
            entry.header_offset,
            entry.compress_size,
            entry.file_size,
            entry.CRC,
        )
    return found


def open_member(archive: Beneath, member: Member, name: str, *, max_expansion: int) -> Decompressed:
    """The decompressed bytes of a member, one compression of its own (`a.csv.gz`) undone too. Owns the archive from here on.

    Its length and checksum are those that the directory says, or reading raises `DataError` (`compression_invalid`) at its end.

    Raises:
        DataError: It cannot be read: it is encrypted (`encrypted`), compressed in a way that is not known or itself an archive
            (`compression_unsupported`), or its header is not where it should be (`compression_invalid`).
    """
    codec = _METHODS.get(member.method)
    if member.encrypted:
        raise DataError(f"{name} is encrypted", reason="encrypted", hint="Unpack the archive with its password first.")
    if codec is None:
        method = _NAMES_OF_METHODS.get(member.method, f"number {member.method}")
        raise DataError(
            f"{name} is compressed by a method that is not read: {method}",
            reason="compression_unsupported",
            hint="Unpack the archive first, or make it anew with deflate.",
        )
    if member.name.lower().endswith(ARCHIVE):
        raise DataError(f"{name} is an archive in an archive", reason="compression_unsupported", hint="Unpack the outer one first.")
    start = _start(archive, member, name)
    promise = Promise(member.size, member.crc)
    beneath: Beneath = Slice(archive, start, member.packed)
    plain = Decompressed(beneath, codec, name, size=member.packed, max_expansion=max_expansion, promise=promise)
    inner = compression_of(member.name)
    if inner is None:
        return plain
    return Decompressed(plain, CODECS[inner], name, size=member.packed, max_expansion=max_expansion)


class Slice:
    """Some bytes of a stream that can seek, as `Decompressed` reads them. Owns the stream."""

    def __init__(self, beneath: Beneath, start: int, size: int) -> None:
        self._beneath = beneath
        self._start = start
        self._size = size
        self.seek(0)

    def read(self, size: int, /) -> bytes:
        data = self._beneath.read(min(size, self._size - self._at)) or b""
        self._at += len(data)
        return data

    def seek(self, offset: int, /) -> int:
        self._beneath.seek(self._start + offset)
        self._at = offset
        return offset

    def close(self) -> None:
        self._beneath.close()


def _start(archive: Beneath, member: Member, name: str) -> int:
    """Where a member's bytes begin: after its own header, whose length differs from what the directory says."""
    archive.seek(member.at)
    header = b""
    while len(header) < _LEAST and (more := archive.read(_LEAST - len(header))):
        header += more
    if len(header) < _LEAST or not header.startswith(b"PK\x03\x04"):
        raise DataError(
            f"{name} is damaged: its header is not at byte {member.at:,} of the archive", reason="compression_invalid", hint=AGAIN
        )
    _, name_bytes, extra_bytes = _HEADER.unpack(header)
    return member.at + _LEAST + int(name_bytes) + int(extra_bytes)


def _refuse_overlaps(entries: list[zipfile.ZipInfo], directory: int, name: str) -> None:
    """Bytes that several members share come out many times: that is how an archive of 10 MB holds 281 TB."""
    following = directory
    for entry in sorted(entries, key=lambda one: one.header_offset, reverse=True):
        if entry.header_offset < 0 or entry.header_offset + _LEAST + entry.compress_size > following:
            raise ConfigError(Problem(name, "its members overlap, as in archives that are made to fill disks"))
        following = entry.header_offset


class _TooLongError(Exception):
    pass


class _Guarded(io.RawIOBase):
    """Lets `zipfile` read what it needs and not more: it takes the directory's length from the archive and reads it at once.
    Without a size it looks for the directory's end, which is within the last 64 KB."""

    def __init__(self, beneath: io.RawIOBase) -> None:
        super().__init__()
        self._beneath = beneath

    def read(self, size: int | None = -1, /) -> bytes:
        missing = DIRECTORY_BYTES if size is None or size < 0 else size
        if missing > DIRECTORY_BYTES:
            raise _TooLongError
        parts: list[bytes] = []
        while missing and (more := self._beneath.read(missing)):
            parts.append(more)
            missing -= len(more)
        return b"".join(parts)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        try:
            return self._beneath.seek(offset, whence)
        except ValueError as error:
            raise OSError(*error.args) from error  # As files do where a beginning is passed.

    def tell(self) -> int:
        return self._beneath.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

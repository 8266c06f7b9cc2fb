"""Opens what a listed name stands for: a file, an object, a member of an archive; compressed or not."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ddpm_core import ConfigError, Problem
from ddpm_files.buckets import Buckets
from ddpm_files.content import Content
from ddpm_files.local_listing import local_path
from ddpm_files.names import STDIN, compression_of, is_remote, is_web, printable, split, suffixed
from ddpm_files.opened import Opened, open_descriptor, open_local, open_stdin
from ddpm_files.options import FilesOptions

if TYPE_CHECKING:
    from ddpm_files.archive import Member


SMALL_BYTES = 1 << 20
"""What has no more than this is read in less time than a sink takes to be asked where it stands."""


class Opener:
    """Opens documents as the options say. Keeps connections, and the directory of the archive that was opened last.

    Args:
        options: The source's options.
        retry_for: How long a server that fails is waited for; see `open_store`.
    """

    def __init__(self, options: FilesOptions, *, retry_for: float | None) -> None:
        self._options = options
        self._retry_for = retry_for
        self._directory: tuple[str, Content, dict[str, Member]] | None = None
        self.buckets = Buckets(options, retry_for=retry_for)
        self.archives = options.compression == "auto"
        """Whether members of archives are documents."""

    def open(self, name: str) -> Opened:
        """The document, decompressed.

        Raises:
            ConfigError, RetryableError, FatalError, DataError: It is gone, may not or cannot be read.
        """
        found = self.member_of(name)
        if found is not None:
            return self._open_member(*found, printable(name))
        opened = self._plain(name)
        if opened.content is None:
            return self._piped(opened)
        chosen = self._options.compression
        compression = compression_of(suffixed(name)) if chosen == "auto" else chosen
        if compression not in (None, "none"):
            self._decompress(opened, compression, size=opened.content.size)
        return opened

    def is_small(self, name: str) -> bool:
        """Whether this is a little file of this machine, or a little member of an archive there: to open it waits for nobody."""
        if name == STDIN or is_remote(name):
            return False
        found = self.member_of(name)
        if found is not None:
            (archive, member), known = found, self._directory
            return known is not None and known[0] == archive and member in known[2] and known[2][member].size <= SMALL_BYTES
        try:
            about = os.stat(local_path(name))
        except (OSError, ValueError, ConfigError):
            return False
        return stat.S_ISREG(about.st_mode) and about.st_size <= SMALL_BYTES

    def member_of(self, name: str) -> tuple[str, str] | None:
        """The archive and the member that a name means, or None where it means neither. Whether the member exists is another matter."""
        if not self.archives or name == STDIN:
            return None
        return next((found for found in split(name) if found[1] and self._is_file(found[0])), None)

    def directory(self, archive: str) -> dict[str, Member]:
        """The members of an archive.

        Raises:
            ConfigError, RetryableError, FatalError: It is no archive, or cannot be read.
        """
        opened = self._plain(archive)
        try:
            return self._members(archive, opened)
        finally:
            opened.raw.close()

    def web_exists(self, url: str) -> None:
        """Ask the server for the file.

        Raises:
            ConfigError, RetryableError, FatalError: It is not there, or cannot be read.
        """
        from ddpm_files import web

        found = web.look_at(url, retry_for=self._retry_for)
        if found.file is not None:
            found.file.close()

    def _open_member(self, archive: str, member: str, name: str) -> Opened:
        from ddpm_files.archive import open_member

        opened = self._plain(archive)
        try:
            entry = self._member(archive, member, name, opened)
            raw = open_member(opened.raw, entry, name, max_expansion=self._options.max_expansion)
        except BaseException:
            opened.raw.close()
            raise
        content = Content(entry.size, f"crc32 {entry.crc:08x}", "")
        partition = f"{opened.partition}/{printable(member)}"
        size = None if compression_of(member) else entry.size
        return Opened(name, partition, raw, content, size, lambda _: False, opened.verify, forward=True)

    def _member(self, archive: str, member: str, name: str, opened: Opened) -> Member:
        entry = self._members(archive, opened).get(member)
        if entry is None:
            raise ConfigError(Problem(name, "there is no such member in the archive"))
        return entry

    def _members(self, archive: str, opened: Opened) -> dict[str, Member]:
        known, content = self._directory, opened.content
        if known is not None and known[:2] == (archive, content):
            return known[2]
        if content is None:
            raise ConfigError(
                Problem(opened.name, "is a pipe, and an archive's directory is at its end", "save it to a file first")
            )
        from ddpm_files.archive import members

        found = members(opened.raw, opened.name)
        self._directory = (archive, content, found)
        return found

    def _plain(self, name: str) -> Opened:
        if name == STDIN:
            return open_stdin()
        if is_web(name):
            return self._web(name)
        if is_remote(name):
            from ddpm_files import remote_object

            place = self.buckets.at(name)
            found = remote_object.look_at(place, place.key)
            return Opened.fixed(printable(name), printable(found.partition), found.file, found.content, found.content.size)
        return open_local(name)

    def _web(self, url: str) -> Opened:
        from ddpm_files import web

        found = web.look_at(url, retry_for=self._retry_for)
        if found.file is not None and found.content is not None:
            return Opened.fixed(found.name, found.name, found.file, found.content, found.content.size)
        with web.copy(url, retry_for=self._retry_for) as spool:
            descriptor = os.dup(spool.fileno())
        return open_descriptor(found.name, found.name, descriptor, os.fstat(descriptor).st_size)

    def _piped(self, opened: Opened) -> Opened:
        """A pipe has no name that says how it is compressed: its first bytes do, unless the options do."""
        chosen = self._options.compression
        if chosen == "auto":
            from ddpm_files.detected import Detected

            opened.raw = Detected(opened.raw, opened.name, max_expansion=self._options.max_expansion)
        elif chosen != "none":
            self._decompress(opened, chosen, size=None)
        opened.forward = True
        return opened

    def _decompress(self, opened: Opened, compression: str, *, size: int | None) -> None:
        """From here on what comes out of `opened` is decompressed. `size`: how many bytes go in, or None where that is not known."""
        from ddpm_files.compression import CODECS
        from ddpm_files.decompressed import Decompressed

        most = self._options.max_expansion
        raw = Decompressed(opened.raw, CODECS[compression], opened.name, size=size, max_expansion=most)
        opened.raw, opened.size, opened.forward = raw, None, True

    def _is_file(self, archive: str) -> bool:
        if self._directory is not None and self._directory[0] == archive:
            return True
        if is_web(archive):
            try:
                self.web_exists(archive)
            except ConfigError:
                return False
            return True
        if is_remote(archive):
            from ddpm_files.remote_listing import exists

            place = self.buckets.at(archive)
            return exists(place, place.key)
        try:
            return stat.S_ISREG(os.stat(local_path(archive)).st_mode)
        except (OSError, ValueError, ConfigError):
            return False

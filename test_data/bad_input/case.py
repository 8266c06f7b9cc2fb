"""What a case of the bad-input table is, before it is known what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """A hostile document.

    Attributes:
        format: The format that has to cope with it.
        name: What it is, unique within its format.
        make: Its bytes, or its bytes in pieces.
        made_by: Where it comes from: the generator, or the package and the path in it.
        process: Whether the real `ddpm ingest` is run with it too, under limits of memory and time; with every bomb it is.
        parser: Whether the parser alone is run with it. Not where the engine has to stop a document of millions of bad records.
        options: Options of the format, where the defaults are not meant.
        file: The document's name, where it matters.
    """

    format: str
    name: str
    make: Callable[[], bytes | Iterator[bytes]]
    made_by: str
    process: bool = False
    parser: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.format, self.name

    def write(self, folder: Path) -> Path:
        """Make the document into a file."""
        made, path = self.make(), folder / (self.file or f"bad.{self.format}")
        with path.open("wb") as file:
            for piece in [made] if isinstance(made, bytes) else made:
                file.write(piece)
        return path


class Cases:
    """Gathers the cases of one generator module."""

    def __init__(self, format_name: str, made_by: str) -> None:
        self.all: list[Case] = []
        self._format = format_name
        self._made_by = made_by

    def add(
        self,
        name: str,
        made: bytes | Callable[[], bytes | Iterator[bytes]],
        *,
        process: bool = False,
        parser: bool = True,
        file: str = "",
        **options: Any,
    ) -> None:
        """One more case: its bytes, or what makes them where they are many."""
        make = (lambda: made) if isinstance(made, bytes) else made
        whole = process or not parser or name.startswith("bomb")
        self.all.append(Case(self._format, name, make, self._made_by, whole, parser, options, file))

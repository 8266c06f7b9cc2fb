"""What the kit needs of a source's author, and how its assertions of sources read: as the engine does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, cast

import pytest

from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import BuildContext
from ddpm_core.records import (
    Assigned,
    Document,
    EndOfSource,
    Failed,
    Item,
    Messages,
    Parsed,
    Position,
    Positions,
    Rows,
    Skipped,
    stream_of,
)
from ddpm_core.testing.compare import plain_rows
from ddpm_core.testing.plugin import PluginConformance
from ddpm_core.values import dataclass

PATIENCE = 1200
"""How often `read` may return nothing before the kit gives up. Each waits at most 0.05 s."""


@dataclass(frozen=True, slots=True)
class Content:
    """What there is to read, and how to reach it.

    Attributes:
        options: Options for the source.
        documents: Name as `Document.name` -> its bytes, in the order of reading.
        messages: For each partition, in any order of partitions, its payloads in their order.
        rows: Name as `Rows.name` -> its rows, in the order of reading.
    """

    options: Mapping[str, Any]
    documents: Mapping[str, bytes] = field(default_factory=dict)
    messages: Sequence[Sequence[bytes | None]] = ()
    rows: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceCapabilities:
    """What your source can do. Tests ask for a capability, never for a name. Whether it decodes is asked of the spec.

    Attributes:
        ends: It comes to an `EndOfSource`. Without, it waits for more.
        resumes: It can go on where a position says. Without (standard input), it begins again or has nothing more.
        missing: Options for something that is not there, which `open` (or listing the documents) refuses.
    """

    ends: bool = True
    resumes: bool = True
    missing: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Seen:
    """What a reader got.

    Attributes:
        documents, messages, rows: Name or partition -> what came of it.
        skipped: The names of documents that were passed over.
        positions: What was committed, had it been committed after each piece: as sinks keep it, through JSON.
        pieces: How many documents, messages, and steps of rows came.
        ended: Whether an `EndOfSource` came.
    """

    documents: dict[str, bytes] = field(default_factory=dict)
    messages: dict[str, list[tuple[int, bytes | None]]] = field(default_factory=dict)
    rows: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    positions: Positions = field(default_factory=dict)
    pieces: int = 0
    ended: bool = False

    def payloads(self) -> list[list[bytes | None]]:
        """The payloads of each partition, in the order of offsets."""
        return sorted(([value for _, value in sorted(got, key=_offset)] for got in self.messages.values()), key=repr)

    def and_then(self, later: Seen) -> Seen:
        """What two runs got together. No document may have come twice."""
        assert not set(self.documents) & set(later.documents), "a finished document was handed out again"
        both = Seen(documents={**self.documents, **later.documents})
        for name in {**self.messages, **later.messages}:
            both.messages[name] = [*self.messages.get(name, []), *later.messages.get(name, [])]
        for name in {**self.rows, **later.rows}:
            both.rows[name] = [*self.rows.get(name, []), *later.rows.get(name, [])]
        return both

    def is_all_of(self, content: Content, *, in_order: bool = False) -> None:
        """Assert that this is what there was to read, once. `in_order`: by one run, which read one thing after the other."""
        if in_order:
            assert list(self.documents) == list(content.documents)
            assert list(self.rows) == list(content.rows)
        assert self.documents == dict(content.documents)
        assert self.payloads() == sorted((list(values) for values in content.messages), key=repr)
        got = {name: plain_rows(rows) for name, rows in self.rows.items()}
        assert got == {name: plain_rows(rows) for name, rows in content.rows.items()}


class SourceBench(PluginConformance):
    """The source under test and what it has. `SourceConformance` adds what is asserted."""

    kind = "source"
    capabilities: ClassVar[SourceCapabilities] = SourceCapabilities()

    @pytest.fixture
    def content(self) -> Content:
        """What there is to read. Override it as a fixture; make at least two documents, three messages, or rows of three steps."""
        raise NotImplementedError("override the fixture content")

    def add_to(self, content: Content) -> Content | None:
        """Make more of it (another document, more messages, more rows in a table) and say what there is now. None: it stays as it is."""
        return None

    @pytest.fixture(autouse=True)
    def _options(self, content: Content) -> None:
        self._content_options = content.options

    def options_for_checks(self) -> Mapping[str, Any]:
        return getattr(self, "_content_options", self.options)

    def build_source(self, content: Content) -> Source:
        """A new source, as another process would build it."""
        return cast(Source, self.made(self.spec().build, content.options, BuildContext(pipeline="kit")))

    def skip_without_resuming(self) -> None:
        """For assertions about positions."""
        if not self.capabilities.resumes:
            pytest.skip("not declared: resumes")

    def read_all(self, content: Content, *, known: Positions | None = None, pieces: int | None = None) -> Seen:
        """What a new source hands out to a run that knows these positions, or so many pieces of it."""
        seen = Seen()
        self.drive(self.build_source(content), seen, known or {}, pieces)
        return seen

    def items(self, content: Content, known: Positions | None = None) -> list[Item]:
        """The items of a run. Documents and rows in them are not read."""
        source = self.build_source(content)
        source.open()
        try:
            return list(items_of(source, known or {}, ends=self.capabilities.ends))
        finally:
            source.close()

    def drive(self, source: Source, seen: Seen, known: Positions, pieces: int | None = None, *, commit: bool = False) -> None:
        """Read as the engine does. `pieces`: stop after so many documents, messages or steps, as a crash would."""
        source.open()
        try:
            for item in items_of(source, known, ends=self.capabilities.ends):
                if isinstance(item, Document):
                    seen.documents[item.name] = b"" + item.stream.read()
                    seen.positions[item.partition] = Position(1, _as_kept({**item.detail, "finished": True}))
                    seen.pieces += 1
                elif isinstance(item, Rows):
                    _read_rows(item, seen, known, pieces)
                elif isinstance(item, Messages):
                    for value, partition, offset in zip(item.values, item.partitions, item.offsets, strict=True):
                        seen.messages.setdefault(partition, []).append((offset, value))
                    seen.positions.update(item.next)
                    seen.pieces += len(item)
                elif isinstance(item, Skipped):
                    seen.skipped.append(item.name)
                elif isinstance(item, EndOfSource):
                    seen.ended = True
                assert not isinstance(item, Failed), f"{item} could not be read"
                if commit:
                    source.commit(dict(seen.positions))
                if pieces is not None and seen.pieces >= pieces:
                    return
        finally:
            source.close()


def _read_rows(item: Rows, seen: Seen, known: Positions, pieces: int | None) -> None:
    """Read steps as the engine does; what was not committed is forgotten."""
    was = known.get(item.partition)
    assert item.atomic or was is None or item.start.offset == was.offset, "rows do not go on at the offset that was reached"
    got: list[Mapping[str, Any]] = []
    reached = Position(item.start.offset, {**item.detail, **{k: v for k, v in item.start.detail.items() if k == "resume"}})
    for step in item.steps():
        got += [] if step.data is None else step.data.to_pylist()
        reached = Position(reached.offset + step.records, _as_kept({**item.detail, "resume": step.resume}))
        seen.pieces += 1
        if pieces is not None and seen.pieces >= pieces:
            break
    else:
        reached = Position(reached.offset, {**reached.detail, **({} if item.lasting else {"finished": True})})
        seen.rows.setdefault(item.name, []).extend(got)
        seen.positions[item.partition] = reached
        return
    if not item.atomic:
        seen.rows.setdefault(item.name, []).extend(got)
        seen.positions[item.partition] = reached


def items_of(source: Source, known: Positions, *, ends: bool) -> Iterator[Item]:
    """What `read` returns, answering each `Assigned` with the positions known of it, until the end or until nothing comes."""
    silent = 0
    while silent < (PATIENCE if ends else 10):
        item = source.read(0.05)
        silent = silent + 1 if item is None else 0
        if item is None:
            continue
        yield item
        if isinstance(item, EndOfSource):
            return
        if isinstance(item, Assigned):
            mine = set(item.partitions)
            source.seek({name: at for name, at in known.items() if name in mine or stream_of(name) in mine})
    assert not ends, "the source neither ended nor handed anything out"


def check_decoded(step: Parsed) -> None:
    """Conservation, as the engine checks it of rows that a source has decoded."""
    rows = 0 if step.data is None else step.data.num_rows
    origins = set(range(rows) if step.origin is None else step.origin.to_pylist())
    accounted = origins | {reject.index for reject in step.rejects}
    assert accounted <= set(range(step.records)), f"rows or rejects point at records beyond the {step.records} of the step"
    assert len(accounted) + step.filtered == step.records, "a record of the step is in no row, no reject and not in `filtered`"


def _as_kept(detail: Mapping[str, Any]) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(json.dumps(detail)))


def _offset(message: tuple[int, bytes | None]) -> int:
    return message[0]

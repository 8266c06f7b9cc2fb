"""What the kit asserts of a source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import pytest

from ddpm_core.errors import ConfigError
from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import BuildContext, resolve
from ddpm_core.records import (
    Assigned,
    Document,
    EndOfSource,
    Failed,
    Item,
    Messages,
    Position,
    Positions,
    Revoked,
    Skipped,
    stream_of,
)
from ddpm_core.testing.plugin import PluginConformance

PATIENCE = 200
"""How often `read` may return nothing before the kit gives up. Each waits at most 0.05 s."""


@dataclass(frozen=True, slots=True)
class Content:
    """What there is to read, and how to reach it.

    Attributes:
        options: Options for the source.
        documents: Name as `Document.name` -> its bytes, in the order of reading.
        messages: For each partition, in any order of partitions, its payloads in their order.
    """

    options: Mapping[str, Any]
    documents: Mapping[str, bytes] = field(default_factory=dict)
    messages: Sequence[Sequence[bytes | None]] = ()


@dataclass(frozen=True, slots=True)
class SourceCapabilities:
    """What your source can do. Tests ask for a capability, never for a name.

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
    """What a reader got."""

    documents: dict[str, bytes] = field(default_factory=dict)
    messages: dict[str, list[tuple[int, bytes | None]]] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    positions: Positions = field(default_factory=dict)
    ended: bool = False

    def payloads(self) -> list[list[bytes | None]]:
        """The payloads of each partition, in the order of offsets."""
        return sorted(([value for _, value in sorted(got, key=_offset)] for got in self.messages.values()), key=repr)


class SourceConformance(PluginConformance):
    """Inherit it, name your plugin, and override the fixture `content`. Every test method is one promise of `Source`'s contract."""

    kind = "source"
    capabilities: ClassVar[SourceCapabilities] = SourceCapabilities()

    @pytest.fixture
    def content(self) -> Content:
        """What there is to read. Override it as a fixture; make at least two documents, or three messages."""
        raise NotImplementedError("override the fixture content")

    @pytest.fixture(autouse=True)
    def _options(self, content: Content) -> None:
        self._content_options = content.options

    def options_for_checks(self) -> Mapping[str, Any]:
        return getattr(self, "_content_options", self.options)

    def build_source(self, content: Content) -> Source:
        """A new source, as another process would build it."""
        return cast(Source, self.made(self.spec().build, content.options, BuildContext(pipeline="kit")))

    # What is asserted.

    def test_everything_is_handed_out_in_order(self, content: Content) -> None:
        seen = self._read_all(content)
        assert list(seen.documents.items()) == list(content.documents.items())
        assert seen.payloads() == sorted((list(values) for values in content.messages), key=repr)
        for got in seen.messages.values():
            offsets = [offset for offset, _ in got]
            assert offsets == sorted(set(offsets)), "offsets of a partition must grow"
        assert seen.ended == self.capabilities.ends

    def test_nothing_is_handed_out_before_seek(self, content: Content) -> None:
        source = self.build_source(content)
        source.open()
        try:
            assigned = False
            for _ in range(PATIENCE):
                item = source.read(0.05)
                if isinstance(item, Assigned):
                    assigned = True
                elif assigned:
                    assert not isinstance(item, Messages | Document), "something was handed out before seek"
                    return
                else:
                    assert item is None or isinstance(item, Skipped | Failed), f"{type(item).__name__} came before Assigned"
            raise AssertionError("no partition was assigned")
        finally:
            source.close()

    def test_messages_are_columns_of_one_length(self, content: Content) -> None:
        for item in self._items(content):
            if isinstance(item, Messages):
                columns = (item.values, item.partitions, item.offsets, item.keys, item.headers, item.timestamps)
                assert {len(column) for column in columns if column is not None} == {len(item)}
                assert set(item.first) == set(item.next) == set(item.partitions)
                for partition in item.first:
                    offsets = [o for o, p in zip(item.offsets, item.partitions, strict=True) if p == partition]
                    assert item.first[partition].offset <= min(offsets)
                    assert item.next[partition].offset > max(offsets)
                assert item.nbytes >= sum(len(value) for value in item.values if value is not None)

    def test_documents_say_what_they_are(self, content: Content) -> None:
        assigned: list[str] = []
        for item in self._items(content):
            if isinstance(item, Assigned):
                assigned.extend(item.partitions)
            elif isinstance(item, Document):
                assert item.partition in assigned or stream_of(item.partition) in assigned, "a document of no assigned partition"
                assert item.size is None or item.size == len(content.documents[item.name])
                assert json.loads(json.dumps(item.detail)) == dict(item.detail), "detail must be JSON-compatible"
                assert item.start.offset == 0, "a document nobody has seen starts at 0"

    def test_a_run_stopped_anywhere_loses_nothing(self, content: Content) -> None:
        """Crash after each piece in turn, then go on from what had been committed: together it is everything, once."""
        if not self.capabilities.resumes:
            pytest.skip("not declared: resumes")
        pieces = len(content.documents) + sum(len(values) for values in content.messages)
        for stop in range(1, pieces + 1):
            before = self._read_all(content, pieces=stop)
            after = self._read_all(content, known=before.positions)
            assert {**before.documents, **after.documents} == dict(content.documents)
            assert not set(before.documents) & set(after.documents), "a finished document was handed out again"
            together = {
                name: [*before.messages.get(name, []), *after.messages.get(name, [])]
                for name in {**before.messages, **after.messages}
            }
            assert Seen(messages=together).payloads() == sorted((list(values) for values in content.messages), key=repr)

    def test_a_document_goes_on_where_its_position_says(self, content: Content) -> None:
        if not self.capabilities.resumes or not content.documents:
            pytest.skip("not declared: resumes, or no documents")
        first = next(item for item in self._items(content) if isinstance(item, Document))
        if first.atomic:
            pytest.skip("the document is read in one piece")
        position = Position(1, {**first.detail, "resume": {"byte": 1}})
        again = next(item for item in self._items(content, {first.partition: position}) if isinstance(item, Document))
        assert again.partition == first.partition, "unchanged content is the same generation"
        assert again.start.offset == 1
        assert again.start.detail["resume"] == {"byte": 1}

    def test_a_paused_partition_is_silent(self, content: Content) -> None:
        if not content.messages:
            pytest.skip("documents are not paused")
        source = self.build_source(content)
        source.open()
        try:
            partitions: list[str] = []
            while not partitions:
                item = source.read(0.05)
                partitions = list(item.partitions) if isinstance(item, Assigned) else []
            source.seek({})
            source.pause(partitions)
            for _ in range(5):
                assert not isinstance(source.read(0.01), Messages | EndOfSource), "a paused partition handed something out"
            source.resume(partitions)
            assert any(isinstance(source.read(0.05), Messages) for _ in range(PATIENCE))
        finally:
            source.close()

    def test_a_closed_source_can_be_opened_again(self, content: Content) -> None:
        source = self.build_source(content)
        source.open()
        source.read(0.05)
        source.close()
        if self.capabilities.resumes:
            seen = Seen()
            self._drive(source, seen, {}, None)
            assert list(seen.documents.items()) == list(content.documents.items())
            assert seen.payloads() == sorted((list(values) for values in content.messages), key=repr)

    def test_documents_are_listed_by_the_names_they_have(self, content: Content) -> None:
        spec = self.spec()
        if spec.documents is None:
            pytest.skip("the spec lists no documents")
        options = spec.options_model().model_validate(dict(content.options))
        assert list(resolve(spec.documents)(options)) == list(content.documents)

    def test_what_is_not_there_is_a_config_error(self, content: Content) -> None:
        if self.capabilities.missing is None:
            pytest.skip("not declared: missing")
        with pytest.raises(ConfigError):
            self._drive(self.build_source(Content(self.capabilities.missing)), Seen(), {}, 0)

    def test_close_is_safe_at_any_time(self, content: Content) -> None:
        source = self.build_source(content)
        source.close()
        source.close()
        source.open()
        source.close()
        source.close()

    def test_commit_is_only_a_gauge(self, content: Content) -> None:
        """What a source notes of a commit must not move it: the sinks' positions alone decide."""
        if not self.capabilities.resumes:
            pytest.skip("not declared: resumes")
        source = self.build_source(content)
        seen = Seen()
        self._drive(source, seen, {}, None, commit=True)
        again = self._read_all(content)
        assert again.documents == dict(content.documents)
        assert again.payloads() == sorted((list(values) for values in content.messages), key=repr)

    # How.

    def _read_all(self, content: Content, *, known: Positions | None = None, pieces: int | None = None) -> Seen:
        seen = Seen()
        self._drive(self.build_source(content), seen, known or {}, pieces)
        return seen

    def _items(self, content: Content, known: Positions | None = None) -> list[Item]:
        source = self.build_source(content)
        source.open()
        try:
            return list(_items_of(source, known or {}, ends=self.capabilities.ends))
        finally:
            source.close()

    def _drive(self, source: Source, seen: Seen, known: Positions, pieces: int | None, *, commit: bool = False) -> None:
        """Read as the engine does. `pieces`: stop after so many documents or messages, as a crash would."""
        source.open()
        left = pieces
        try:
            for item in _items_of(source, known, ends=self.capabilities.ends):
                if isinstance(item, Document):
                    seen.documents[item.name] = b"" + item.stream.read()
                    seen.positions[item.partition] = Position(1, {**item.detail, "finished": True})
                    left = None if left is None else left - 1
                elif isinstance(item, Messages):
                    for value, partition, offset in zip(item.values, item.partitions, item.offsets, strict=True):
                        seen.messages.setdefault(partition, []).append((offset, value))
                    seen.positions.update(item.next)
                    left = None if left is None else left - len(item)
                elif isinstance(item, Skipped):
                    seen.skipped.append(item.name)
                elif isinstance(item, EndOfSource):
                    seen.ended = True
                assert not isinstance(item, Failed), f"{item} could not be read"
                if commit:
                    source.commit(dict(seen.positions))
                if left is not None and left <= 0:
                    return
        finally:
            source.close()


def _items_of(source: Source, known: Positions, *, ends: bool) -> Iterator[Item]:
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
        assert not isinstance(item, Revoked), "partitions were revoked while nobody else asked for them"
    assert not ends, "the source neither ended nor handed anything out"


def _offset(message: tuple[int, bytes | None]) -> int:
    return message[0]

"""Sources that break one promise each. Each class names the one test that must fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from ddpm_core import Document, EndOfSource, Item, Messages, Parsed, Position, Positions, Rows, Source
from ddpm_core.testing import Content, ListRows, ListSource, SourceCapabilities, SourceConformance


class Base(SourceConformance):
    plugin = "kit_reference.plugin"
    name = "kit_list"
    broken: ClassVar[type[ListSource]] = ListSource

    def build_source(self, content: Content) -> Source:
        documents = ListSource.of_documents(content.documents).items
        messages: Any = content.options.get("messages", {})
        return self.broken(documents, messages=messages, per_read=2)


class Documents(Base):
    @pytest.fixture
    def content(self) -> Content:
        documents = {"a": b"first", "b": b"second"}
        return Content({"documents": documents}, documents=documents)


class OfMessages(Base):
    @pytest.fixture
    def content(self) -> Content:
        messages = {"t/0": [b"a", b"b", b"c", b"d", b"e"]}
        return Content({"messages": messages}, messages=list(messages.values()))


class Swaps(ListSource):
    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        return replace(item, values=item.values[::-1]) if isinstance(item, Messages) else item


class WrongOrder(OfMessages):
    fails = "test_everything_is_handed_out_in_order"
    broken = Swaps


class NeverEnds(ListSource):
    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        return None if isinstance(item, EndOfSource) else item


class WithoutEnd(Documents):
    fails = "test_everything_is_handed_out_in_order"
    broken = NeverEnds


class Hasty(ListSource):
    def read(self, timeout: float) -> Item | None:
        if self._awaiting_seek:
            self._awaiting_seek = False
        return super().read(timeout)


class BeforeSeek(Documents):
    fails = "test_nothing_is_handed_out_before_seek"
    broken = Hasty


class Ragged(ListSource):
    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        return replace(item, keys=[b"one"]) if isinstance(item, Messages) else item


class RaggedColumns(OfMessages):
    fails = "test_messages_are_columns_of_one_length"
    broken = Ragged


class NextIsLast(ListSource):
    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        if isinstance(item, Messages):
            return replace(item, next={name: Position(at.offset - 1) for name, at in item.next.items()})
        return item


class NextOffByOne(OfMessages):
    fails = "test_a_run_stopped_anywhere_loses_nothing"
    broken = NextIsLast


class Misstates(ListSource):
    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        return replace(item, size=1) if isinstance(item, Document) else item


class WrongSize(Documents):
    fails = "test_documents_and_rows_say_what_they_are"
    broken = Misstates


class Deaf(ListSource):
    def seek(self, positions: Positions) -> None:
        super().seek({})


class IgnoresPositions(Documents):
    fails = "test_a_run_stopped_anywhere_loses_nothing"
    broken = Deaf


class SeeksTooFar(ListSource):
    def seek(self, positions: Positions) -> None:
        super().seek({name: replace(at, offset=at.offset + 1) for name, at in positions.items()})


class SkipsOne(OfMessages):
    fails = "test_a_run_stopped_anywhere_loses_nothing"
    broken = SeeksTooFar


class StartsAgain(Documents):
    fails = "test_a_document_goes_on_where_its_position_says"
    broken = Deaf


class NeverPauses(ListSource):
    def pause(self, partitions: Sequence[str]) -> None:
        pass


class IgnoresPause(OfMessages):
    fails = "test_a_paused_partition_is_silent"
    broken = NeverPauses


class OpensOnce(ListSource):
    def open(self) -> None:
        if "open" in self.calls:
            raise RuntimeError("opened twice")
        super().open()


class CannotReopen(Documents):
    fails = "test_a_closed_source_can_be_opened_again"
    broken = OpensOnce


class OtherNames(Documents):
    fails = "test_documents_are_listed_by_the_names_they_have"

    @pytest.fixture
    def content(self) -> Content:
        return Content({"documents": {"a": b"first"}}, documents={"./a": b"first"})


class NothingIsMissing(Documents):
    fails = "test_what_is_not_there_is_a_config_error"
    capabilities = SourceCapabilities(missing={"there": False})


class ClosesOnce(ListSource):
    def close(self) -> None:
        if not self._open:
            raise RuntimeError("not open")
        super().close()


class CloseTwice(Documents):
    fails = "test_close_is_safe_at_any_time"
    broken = ClosesOnce


DONE: set[str] = set()


class TrustsItself(ListSource):
    def commit(self, positions: Positions) -> None:
        DONE.update(positions)

    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        return self.read(timeout) if isinstance(item, Document) and item.partition in DONE else item


class CommitMovesIt(Documents):
    fails = "test_commit_is_only_a_gauge"
    broken = TrustsItself


class SomeRows(Base):
    name = "kit_rows"

    @pytest.fixture
    def content(self) -> Content:
        tables = {"a": [{"n": n} for n in range(5)], "b": [{"n": 7}]}
        return Content({"tables": tables}, rows=tables)

    def build_source(self, content: Content) -> Source:
        return self.broken([ListRows(name, rows) for name, rows in content.rows.items()])


class SaysNothing(SomeRows):
    fails = "test_the_spec_says_whether_it_decodes"
    name = "kit_list"

    def options_for_checks(self) -> Any:
        return {}


class Loses(ListSource):
    """Takes the first row of each step away, without a word."""

    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        return replace(item, steps=lambda: map(self.less, item.steps())) if isinstance(item, Rows) else item

    def less(self, step: Parsed) -> Parsed:
        assert step.data is not None
        return replace(step, data=step.data.slice(1))


class LosesRows(SomeRows):
    fails = "test_everything_is_handed_out_in_order"
    broken = Loses


class UncountedRows(SomeRows):
    fails = "test_steps_of_rows_account_for_their_records"
    broken = Loses


class Forgets(ListSource):
    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        return replace(item, steps=lambda: map(self.forget, item.steps())) if isinstance(item, Rows) else item

    def forget(self, step: Parsed) -> Parsed:
        return replace(step, resume={})


class StepsThatLeadNowhere(SomeRows):
    fails = "test_steps_of_rows_account_for_their_records"
    broken = Forgets


class RowsResumeNowhere(SomeRows):
    fails = "test_a_run_stopped_anywhere_loses_nothing"
    broken = Forgets


class CountsAnew(ListSource):
    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        return replace(item, start=Position(0, item.start.detail)) if isinstance(item, Rows) else item


class OffsetsBeginAgain(SomeRows):
    fails = "test_a_run_stopped_anywhere_loses_nothing"
    broken = CountsAnew


class NeverDone(ListSource):
    def seek(self, positions: Positions) -> None:
        super().seek({name: Position(at.offset) if at.finished else at for name, at in positions.items()})


class ReadAgain(Documents):
    fails = "test_what_was_read_to_its_end_is_not_read_again"
    broken = NeverDone


class RowsReadAgain(SomeRows):
    fails = "test_what_was_read_to_its_end_is_not_read_again"
    broken = NeverDone


class DoneForGood(OfMessages):
    fails = "test_what_was_added_is_read_behind_what_was_there"

    class Remembers(ListSource):
        def seek(self, positions: Positions) -> None:
            super().seek({name: Position(10**9) for name in positions})

    broken = Remembers

    def add_to(self, content: Content) -> Content:
        messages = {"t/0": [*content.messages[0], b"f"]}
        return Content({"messages": messages}, messages=list(messages.values()))


class OneCursor(ListSource):
    """The steps go on where the last ones were abandoned."""

    kept: Iterator[Parsed] | None = None

    def read(self, timeout: float) -> Item | None:
        item = super().read(timeout)
        if not isinstance(item, Rows) or item.name != "a":
            return item
        self.kept = self.kept or item.steps()
        kept = self.kept
        return replace(item, steps=lambda: (step for step in kept))


class GoesOnWithAnOldCursor(SomeRows):
    fails = "test_rows_may_be_abandoned"
    broken = OneCursor

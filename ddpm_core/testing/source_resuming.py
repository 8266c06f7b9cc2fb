"""What the kit asserts of how a source goes on: from any position that a sink can have, and from that alone."""

from __future__ import annotations

import pytest

from ddpm_core.records import Document, Position
from ddpm_core.testing.source_bench import Content, Seen, SourceBench


class SourceResuming(SourceBench):
    """Of going on."""

    def test_a_run_stopped_anywhere_loses_nothing(self, content: Content) -> None:
        """Crash after each piece in turn, then go on from what had been committed: together it is everything, once."""
        self.skip_without_resuming()
        for stop in range(1, self.read_all(content).pieces + 1):
            before = self.read_all(content, pieces=stop)
            before.and_then(self.read_all(content, known=before.positions)).is_all_of(content)

    def test_what_was_read_to_its_end_is_not_read_again(self, content: Content) -> None:
        self.skip_without_resuming()
        again = self.read_all(content, known=self.read_all(content).positions)
        assert (again.documents, again.messages) == ({}, {}), "what had been committed was handed out again"
        assert not any(again.rows.values()), "rows that had been committed were handed out again"

    def test_what_was_added_is_read_behind_what_was_there(self, content: Content) -> None:
        self.skip_without_resuming()
        before = self.read_all(content)
        more = self.add_to(content)
        if more is None:
            pytest.skip("nothing is added: override add_to")
        before.and_then(self.read_all(more, known=before.positions)).is_all_of(more)

    def test_a_document_goes_on_where_its_position_says(self, content: Content) -> None:
        if not self.capabilities.resumes or not content.documents:
            pytest.skip("not declared: resumes, or no documents")
        first = next(item for item in self.items(content) if isinstance(item, Document))
        if first.atomic:
            pytest.skip("the document is read in one piece")
        position = Position(1, {**first.detail, "resume": {"byte": 1}})
        again = next(item for item in self.items(content, {first.partition: position}) if isinstance(item, Document))
        assert again.partition == first.partition, "unchanged content is the same generation"
        assert again.start.offset == 1
        assert again.start.detail["resume"] == {"byte": 1}

    def test_a_closed_source_can_be_opened_again(self, content: Content) -> None:
        source = self.build_source(content)
        source.open()
        source.read(0.05)
        source.close()
        if self.capabilities.resumes:
            seen = Seen()
            self.drive(source, seen, {})
            seen.is_all_of(content, in_order=True)

    def test_commit_is_only_a_gauge(self, content: Content) -> None:
        """What a source notes of a commit must not move it: the sinks' positions alone decide."""
        self.skip_without_resuming()
        source = self.build_source(content)
        self.drive(source, Seen(), {}, commit=True)
        self.read_all(content).is_all_of(content, in_order=True)

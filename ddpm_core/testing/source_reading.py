"""What the kit asserts of what a source hands out: everything, in its order, saying what it is."""

from __future__ import annotations

import json

import pytest

from ddpm_core.errors import ConfigError
from ddpm_core.plugin.specs import resolve
from ddpm_core.records import Assigned, Document, EndOfSource, Failed, Messages, Rows, Skipped, stream_of
from ddpm_core.testing.source_bench import PATIENCE, Content, Seen, SourceBench, check_decoded, items_of


class SourceReading(SourceBench):
    """Of reading from the beginning. The other mix-in of `SourceConformance` is about going on."""

    def test_everything_is_handed_out_in_order(self, content: Content) -> None:
        seen = self.read_all(content)
        seen.is_all_of(content, in_order=True)
        for got in seen.messages.values():
            offsets = [offset for offset, _ in got]
            assert offsets == sorted(set(offsets)), "offsets of a partition must grow"
        assert seen.ended == self.capabilities.ends

    def test_the_spec_says_whether_it_decodes(self, content: Content) -> None:
        for item in self.items(content):
            wrong = Document | Messages if self.spec().decodes else Rows
            assert not isinstance(item, wrong), f"decodes={self.spec().decodes}, and it handed out {type(item).__name__}"

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
                    assert not isinstance(item, Messages | Document | Rows), "something was handed out before seek"
                    return
                else:
                    assert item is None or isinstance(item, Skipped | Failed), f"{type(item).__name__} came before Assigned"
            raise AssertionError("no partition was assigned")
        finally:
            source.close()

    def test_messages_are_columns_of_one_length(self, content: Content) -> None:
        for item in self.items(content):
            if isinstance(item, Messages):
                columns = (item.values, item.partitions, item.offsets, item.keys, item.headers, item.timestamps)
                assert {len(column) for column in columns if column is not None} == {len(item)}
                assert set(item.first) == set(item.next) == set(item.partitions)
                for partition in item.first:
                    offsets = [o for o, p in zip(item.offsets, item.partitions, strict=True) if p == partition]
                    assert item.first[partition].offset <= min(offsets)
                    assert item.next[partition].offset > max(offsets)
                assert item.nbytes >= sum(len(value) for value in item.values if value is not None)

    def test_documents_and_rows_say_what_they_are(self, content: Content) -> None:
        assigned: list[str] = []
        for item in self.items(content):
            if isinstance(item, Assigned):
                assigned.extend(item.partitions)
            elif isinstance(item, Document | Rows):
                assert item.partition in assigned or stream_of(item.partition) in assigned, "something of no assigned partition"
                assert json.loads(json.dumps(item.detail)) == dict(item.detail), "detail must be JSON-compatible"
                assert item.start.offset == 0, "what nobody has seen starts at 0"
            if isinstance(item, Document):
                assert item.size is None or item.size == len(content.documents[item.name])

    def test_steps_of_rows_account_for_their_records(self, content: Content) -> None:
        """And say, as JSON, where the next one starts, unless the rows are committed at once."""
        if not content.rows:
            pytest.skip("this source hands out undecoded data")
        source = self.build_source(content)
        source.open()
        try:
            for item in items_of(source, {}, ends=self.capabilities.ends):
                for step in item.steps() if isinstance(item, Rows) else ():
                    check_decoded(step)
                    resume = json.loads(json.dumps(step.resume))
                    assert isinstance(item, Rows)
                    assert item.atomic or resume or not step.records, "a step must say where the next one starts"
        finally:
            source.close()

    def test_rows_may_be_abandoned(self, content: Content) -> None:
        """A run that is stopped does not read the steps to their end; closing the source afterwards is safe."""
        if not content.rows:
            pytest.skip("this source hands out undecoded data")
        source = self.build_source(content)
        self.drive(source, Seen(), {}, 1)
        seen = Seen()
        self.drive(source, seen, {})
        seen.is_all_of(content, in_order=True)

    def test_a_paused_partition_is_silent(self, content: Content) -> None:
        if not content.messages:
            pytest.skip("only messages are paused")
        source = self.build_source(content)
        source.open()
        try:
            partitions: list[str] = []
            for _ in range(PATIENCE):
                item = source.read(0.05)
                partitions = list(item.partitions) if isinstance(item, Assigned) else []
                if partitions:
                    break
            assert partitions, "no partition was assigned"
            source.seek({})
            source.pause(partitions)
            for _ in range(5):
                assert not isinstance(source.read(0.01), Messages | EndOfSource), "a paused partition handed something out"
            source.resume(partitions)
            assert any(isinstance(source.read(0.05), Messages) for _ in range(PATIENCE))
        finally:
            source.close()

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
            self.drive(self.build_source(Content(self.capabilities.missing)), Seen(), {}, 0)

    def test_close_is_safe_at_any_time(self, content: Content) -> None:
        source = self.build_source(content)
        source.close()
        source.close()
        source.open()
        source.close()
        source.close()

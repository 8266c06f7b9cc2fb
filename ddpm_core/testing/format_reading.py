"""What the kit asserts of a parser: the same rows however the bytes come, and no crash whatever they are."""

from __future__ import annotations

import random
import re
from typing import BinaryIO, cast

import pytest

from ddpm_core.plugin.format import Parser
from ddpm_core.testing.compare import plain_rows
from ddpm_core.testing.format_bench import FormatBench, Outcome, Sample, as_messages, as_stream, check_sample
from ddpm_core.testing.streams import dribble


class FormatReading(FormatBench):
    """Of reading. The other mix-ins of `FormatConformance` are about steps and about writing."""

    def test_samples_give_their_rows(self) -> None:
        for sample in self.samples:
            check_sample(sample, self.parse(as_stream(sample.document)))

    def test_a_stream_of_five_bytes_at_a_time_gives_the_same_rows(self) -> None:
        for sample in self.samples:
            check_sample(sample, self.parse(cast(BinaryIO, dribble(sample.document))))
            check_sample(sample, self.parse(cast(BinaryIO, dribble(sample.document, seekable=False)), seekable=False))

    def test_one_parser_reads_document_after_document(self) -> None:
        parser = self.parser()
        for sample in [*self.samples, *self.samples]:
            check_sample(sample, self.parse(as_stream(sample.document), parser=parser))

    def test_samples_as_messages_give_the_same_rows(self) -> None:
        parser = self.parser()
        for sample in self.samples:
            payloads = self.payloads(sample, parser)
            if payloads and not sample.error:
                parsed = parser.parse_messages(as_messages(payloads))
                assert parsed.records == len(payloads), "a message is one record"
                self.check_messages(parsed, parser)
                # A document that came as one message lands whole or not at all.
                whole = sample.rejects and sample.payloads is None and type(parser).parse_messages is Parser.parse_messages
                lands = not whole or self.is_cut(parser)
                assert plain_rows(Outcome([parsed]).rows) == plain_rows(sample.rows if lands else [])

    def test_a_message_without_a_value_does_not_cost_its_neighbours(self) -> None:
        parser = self.parser()
        payloads = self.payloads(self.samples[0], parser)
        if not payloads:
            pytest.skip("the first sample has no messages")
        parsed = parser.parse_messages(as_messages([None, *payloads, None]))
        self.check_messages(parsed, parser)
        assert sorted(reject.index for reject in parsed.rejects) == [0, len(payloads) + 1]
        assert plain_rows(Outcome([parsed]).rows) == plain_rows(self.samples[0].rows)

    def test_no_messages_give_no_rows(self) -> None:
        parsed = self.parser().parse_messages(as_messages([]))
        assert (parsed.records, Outcome([parsed]).rows, parsed.rejects) == (0, [], [])

    def test_an_empty_document_gives_no_rows(self) -> None:
        """Unless a sample says what it gives, as it may where every document is a record."""
        outcome = self.parse(as_stream(b""))
        check_sample(self.sample_of(b"") or Sample(b"", [], error=outcome.error.reason if outcome.error else ""), outcome)

    def test_every_record_is_a_row_or_a_reject(self) -> None:
        for sample in self.samples:
            for step in self.parse(as_stream(sample.document)).steps:
                self.check_step(step)

    def test_a_bad_record_does_not_cost_its_neighbours(self) -> None:
        if not self.capabilities.keeps_neighbours:
            pytest.skip("not declared: keeps_neighbours")
        between = [
            sample
            for sample in self.samples
            for record, _ in sample.rejects
            if record > 0 and not sample.error and record < len(sample.rows) + len(sample.rejects) - 1
        ]
        assert between, "keeps_neighbours is declared, and no sample has a bad record between good ones"
        for sample in between:
            check_sample(sample, self.parse(as_stream(sample.document)))

    def test_a_truncated_document_gives_only_its_beginning(self) -> None:
        for sample in self.samples:
            golden = plain_rows(sample.rows)
            for cut in cuts(len(sample.document)):
                rows = plain_rows(self.parse(as_stream(sample.document[:cut])).rows)
                # The last one may have been cut into another valid record: a shorter number, say.
                assert rows[:-1] == golden[: len(rows)][:-1], f"cut after {cut} bytes"
                assert len(rows) <= len(golden) + 1, f"cut after {cut} bytes"

    def test_bytes_of_any_kind_are_no_crash(self) -> None:
        """Only `DataError` and rejects: another exception would stop the run for one bad file."""
        chosen = random.Random(self.seed)  # noqa: S311 - the same in each run
        parser = self.parser()
        for _ in range(20):
            noise = chosen.randbytes(chosen.randrange(1, 400))
            for step in self.parse(as_stream(noise), parser=parser).steps:
                self.check_step(step)
            self.check_messages(parser.parse_messages(as_messages([noise, b"\x00"])), parser)
            # Blank: a record or none, as the format sees it.
            self.check_step(parser.parse_messages(as_messages([b"", b"\n"])), filters=True)
        for sample in (sample for sample in self.samples if sample.document):
            for _ in range(40):
                damaged = bytearray(sample.document)
                for _ in range(chosen.randrange(1, 4)):
                    damaged[chosen.randrange(len(damaged))] = chosen.randrange(256)
                for step in self.parse(as_stream(bytes(damaged)), parser=parser).steps:
                    self.check_step(step)

    def test_the_callers_stream_stays_open(self) -> None:
        for data in (self.samples[0].document, self.samples[0].document[: len(self.samples[0].document) // 2], b""):
            stream = as_stream(data)
            self.parse(stream)
            assert not stream.closed

    def test_original_bytes_can_be_asked_for_every_record(self) -> None:
        for sample in self.samples:
            for step in self.parse(as_stream(sample.document)).steps:
                for record in range(step.records - len(step.rejects)):
                    raw = step.raw(record) if step.raw else None
                    at = step.byte_offset(record) if step.byte_offset else None
                    assert raw is None or isinstance(raw, bytes)
                    assert at is None or 0 <= at <= len(sample.document)

    def test_reasons_are_stable_codes(self) -> None:
        for sample in self.samples:
            outcome = self.parse(as_stream(sample.document))
            found = [(r.reason, r.message) for step in outcome.steps for r in step.rejects]
            found += [(outcome.error.reason, outcome.error.message)] if outcome.error else []
            for reason, message in found:
                assert re.fullmatch(r"[a-z][a-z0-9_]*", reason), f"the reason {reason!r} is not in snake case"
                assert message.strip(), "a reject without a message"

    def test_columns_that_the_target_expects_change_no_rows(self) -> None:
        """`expect` is a hint: a target may have other columns than the data."""
        import pyarrow as pa

        for sample in self.samples:
            parser = self.parser()
            parser.expect(pa.schema({"a column that no data has": pa.int64(), "another": pa.list_(pa.timestamp("us"))}))
            check_sample(sample, self.parse(as_stream(sample.document), parser=parser))


def cuts(size: int) -> list[int]:
    """Where to cut: everywhere in a short document, else at 60 places, both ends among them."""
    return list(range(size)) if size <= 60 else sorted({*range(20), *range(size - 20, size), *range(0, size, size // 20)})

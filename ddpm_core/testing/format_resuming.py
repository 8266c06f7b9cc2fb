"""What the kit asserts of a parser's steps: none is too large, and a run goes on where any of them ended."""

from __future__ import annotations

import json
from typing import Any, BinaryIO, cast

import pytest

from ddpm_core.plugin import framing
from ddpm_core.plugin.specs import BuildContext
from ddpm_core.records import Position
from ddpm_core.testing.compare import plain_rows
from ddpm_core.testing.format_bench import FormatBench, Outcome, as_document, as_stream, check_sample, gather
from ddpm_core.testing.streams import PieceStream


class FormatResuming(FormatBench):
    """Of the steps of a document."""

    def test_an_abandoned_document_leaves_the_parser_usable(self) -> None:
        parser = self.parser(BuildContext(batch_rows=1, batch_bytes=64))
        sample = self.samples[0]
        steps = iter(parser.parse_document(as_document(as_stream(sample.document), len(sample.document))))
        next(steps, None)
        cast(Any, steps).close()
        check_sample(sample, self.parse(as_stream(sample.document), parser=parser))

    def test_a_document_begun_before_the_target_is_known_goes_on_or_begins_again(self) -> None:
        """Where the parser says that it is `self_describing`: the same comes of both, whatever the target turns out to expect."""
        import pyarrow as pa

        context = BuildContext(batch_rows=1, batch_bytes=64)
        if not self.parser(context).self_describing:
            pytest.skip("this format may have to know the target")
        for sample in self.samples:
            once = facts(self.parse(as_stream(sample.document), parser=self.parser(context)))
            expected = pa.schema({name: pa.string() for name in sample.rows[0]} if sample.rows else {"another": pa.string()})
            for goes_on in (True, False):
                parser, stream = self.parser(context), as_stream(sample.document)
                document = as_document(stream, len(sample.document))
                steps = iter(parser.parse_document(document))
                begun = gather(steps, at_most=1)
                parser.expect(expected)
                if goes_on and begun.error is None:
                    rest = gather(steps)
                    assert facts(Outcome([*begun.steps, *rest.steps], rest.error)) == once
                else:
                    stream.seek(0)
                    cast(Any, steps).close()
                    assert facts(gather(iter(parser.parse_document(document)))) == once

    def test_no_step_has_more_rows_than_allowed(self) -> None:
        if not self.capabilities.cuts_at_batch_rows:
            pytest.skip("not declared: cuts_at_batch_rows")
        for sample in self.samples:
            parser = self.parser(BuildContext(batch_rows=2))
            outcome = self.parse(as_stream(sample.document), parser=parser)
            check_sample(sample, outcome)
            sizes = [step.data.num_rows for step in outcome.steps if step.data is not None]
            assert max(sizes, default=0) <= 2

    def test_a_large_document_is_not_read_at_once(self) -> None:
        if not self.capabilities.streams:
            pytest.skip("not declared: streams")
        data = self.large_document()
        assert len(data) > 12_000_000, "large_document should be larger than 12 MB"
        stream = PieceStream([data])
        steps = iter(self.parser().parse_document(as_document(cast(BinaryIO, stream), len(data))))
        step = next(steps)
        assert stream.taken < len(data), "the whole document was read before its first step"
        assert step.data is not None
        context = BuildContext()
        assert step.data.num_rows <= context.batch_rows or step.nbytes <= context.batch_bytes, "the first step is too large"
        cast(Any, steps).close()

    def test_a_killed_run_goes_on_where_any_step_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parser = self.parser(BuildContext(batch_rows=1, batch_bytes=16))
        if not parser.resumable:
            pytest.skip("this format starts again at the beginning")
        monkeypatch.setattr(framing, "BLOCK_BYTES", 4)  # Else a small sample is a single step.
        wholes = [(sample, self.parse(as_stream(sample.document), parser=parser)) for sample in self.samples]
        assert any(len(whole.steps) > 1 for _, whole in wholes), "no sample has more than one step: there is nothing to resume at"
        for sample, whole in wholes:
            records = rows = 0
            for step in whole.steps:
                records += step.records
                rows += step.data.num_rows if step.data is not None else 0
                resume = json.loads(json.dumps(step.resume))
                assert resume is not None, "a resumable parser says with each step where the next one starts"
                start = Position(records, {"resume": resume})
                rest = self.parse(as_stream(sample.document), start=start, parser=self.parser())
                assert plain_rows(rest.rows) == plain_rows(whole.rows[rows:])
                left = [(record - records, reason) for record, reason in whole.rejects if record >= records]
                assert rest.rejects == left
                assert (rest.error and rest.error.reason) == (whole.error and whole.error.reason)

    def test_a_document_that_grew_goes_on_where_it_ended(self) -> None:
        first, parser = self.samples[0], self.parser()
        steps = self.parse(as_stream(first.document), parser=parser).steps
        resume = steps[-1].resume if steps and parser.resumable else None
        grown = self.grown_sample()
        if not (resume and resume.get("grows")) or grown is None:
            pytest.skip("a document of this format that grew is a new document")
        start = Position(sum(step.records for step in steps), {"resume": json.loads(json.dumps(resume))})
        rest = self.parse(as_stream(grown.document), start=start)
        assert plain_rows([*Outcome(steps).rows, *rest.rows]) == plain_rows(grown.rows)


def facts(outcome: Outcome) -> tuple[object, ...]:
    """What must be the same: rows and their types, what was rejected, and how it ended."""
    schemas = [step.data.schema for step in outcome.steps if step.data is not None]
    return plain_rows(outcome.rows), schemas, outcome.rejects, outcome.error and (outcome.error.reason, outcome.error.message)

"""What the kit asserts of a serializer: what it writes, the parser of its format reads back."""

from __future__ import annotations

import io

import pytest

from ddpm_core.testing.compare import plain_rows
from ddpm_core.testing.format_bench import FormatBench, Outcome, as_messages, as_stream


class FormatWriting(FormatBench):
    """Of writing, for formats that have a serializer."""

    def test_documents_written_are_read_back(self) -> None:
        serializer = self.serializer()
        for data in self.tables():
            out = io.BytesIO()
            writer = serializer.document_writer(out, data.schema)
            writer.write(data.slice(0, 1))
            writer.write(data.slice(1))
            writer.write(data.slice(0, 0))
            writer.close()
            writer.close()
            assert not out.closed, "the writer closed a stream that is not its own"
            assert plain_rows(self.parse(as_stream(out.getvalue())).rows) == plain_rows(data.to_pylist())

    def test_a_document_without_rows_is_read_back(self) -> None:
        out = io.BytesIO()
        self.serializer().document_writer(out, self.tables()[0].schema).close()
        empty = self.sample_of(out.getvalue())
        assert plain_rows(self.parse(as_stream(out.getvalue())).rows) == plain_rows(empty.rows if empty else [])
        as_message = self.parser().parse_messages(as_messages([out.getvalue()]))
        self.check_step(as_message, filters=True)

    def test_messages_written_are_read_back(self) -> None:
        serializer = self.serializer()
        if not self.capabilities.serializes_messages:
            pytest.skip("not declared: serializes_messages")
        for data in self.tables():
            payloads = serializer.serialize_rows(data)
            assert len(payloads) == data.num_rows, "one payload for each row"
            parsed = self.parser().parse_messages(as_messages(payloads))
            assert plain_rows(Outcome([parsed]).rows) == plain_rows(data.to_pylist())

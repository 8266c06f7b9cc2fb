"""Messages that are whole files: each lands whole or not at all, and must fit into memory."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core.errors import DataError
from ddpm_core.plugin.format import Parser
from ddpm_core.records import Document, Parsed


class WholeMessages(Parser):
    """Gives each message to a parser of documents, and refuses those that become too much: a small file may hold gigabytes.

    Args:
        files: The parser of documents.
        limit: Bytes that the rows of one message may have in memory.
    """

    def __init__(self, files: Parser, limit: int) -> None:
        self._files = files
        self._limit = limit

    def parse_document(self, document: Document) -> Iterator[Parsed]:
        held = 0
        for step in self._files.parse_document(document):
            held += 0 if step.data is None else step.data.nbytes
            if held > self._limit:
                raise DataError(
                    f"the message has more than {self._limit:,} bytes of rows",
                    reason="decompressed_size",
                    hint="If that is right, raise the option max_message_bytes.",
                )
            yield step

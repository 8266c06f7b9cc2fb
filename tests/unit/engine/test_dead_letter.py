"""What tells dead letters apart: the same record of the same content is the same letter, and no other is."""

from __future__ import annotations

from typing import Any

import pytest

from ddpm_core.engine.chunk import Chunk, Refusal
from ddpm_core.engine.dead_letter import dead_letter
from ddpm_core.records import DeadLetter, Messages, Parsed, Position, Reject

KAFKA = "kafka:events/0"


def letter(
    value: bytes = b"{", offset: int = 7, reason: str = "json_invalid", sink: str = "", pipeline: str = "p", **more: Any
) -> DeadLetter:
    """The letter of one message that was refused."""
    messages = Messages(
        [value], [KAFKA], [offset], {KAFKA: Position(offset)}, {KAFKA: Position(offset + 1)}, keys=[b"k"], headers=[[("h", b"")]]
    )
    reject = Reject(0, reason, "bad", raw=value)
    chunk = Chunk(messages, Parsed(None, 1, [reject]), messages.first, messages.next)
    return dead_letter(
        chunk, Refusal(0, reject, "sink" if sink else "parse", "json", "1", sink), pipeline=pipeline, encoding="json", **more
    )


def test_a_record_that_is_set_aside_twice_is_the_same_letter() -> None:
    first, again = letter(), letter()
    assert first.id == again.id
    assert (first.key, first.headers, first.partition, first.offset, first.source) == (b"k", (("h", b""),), KAFKA, 7, KAFKA)
    assert (first.payload, first.payload_kind, first.format, first.attempts) == (b"{", "bytes", "json", 1)


@pytest.mark.parametrize(
    "other", [{"offset": 8}, {"sink": "pg"}, {"pipeline": "q"}, {"table": "t"}, {"reason": "too_large"}, {"value": b"["}], ids=str
)
def test_another_record_judge_or_table_is_another_letter_and_so_are_other_bytes_in_a_topic_that_was_made_anew(
    other: dict[str, Any],
) -> None:
    assert letter().id != letter(**other).id

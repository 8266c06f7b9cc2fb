"""Dead letters as a source: each is a generation of its own with one record, under the name that `letter_partition` gives it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import pyarrow as pa

from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.source import Source
from ddpm_core.plugin.specs import FormatSpec, Plugin, SourceSpec
from ddpm_core.records import (
    Assigned,
    DeadLetter,
    EndOfSource,
    Item,
    Messages,
    Parsed,
    Position,
    Positions,
    Reject,
    letter_partition,
    stream_of,
)

try:
    _VERSION = version("ddpm-core")
except PackageNotFoundError:  # Run from a folder that is not installed.
    _VERSION = "0"

_HERE = "ddpm_core.engine.replay_source"
SOURCE = Plugin(SourceSpec(name="dead_letters", summary="Dead letters", build=f"{_HERE}:ReplaySource"), "ddpm-core", _VERSION)
ROWS = Plugin(
    FormatSpec(name="dead_letter_rows", summary="Rows of dead letters", parser=f"{_HERE}:RowsOfLetters"), "ddpm-core", _VERSION
)
"""What the engine names when one of these is to blame. Neither can be picked by a user."""

GOT_THROUGH = Position(1, {"finished": True})
"""Where a letter's partition stands when it got through."""


class ReplaySource(Source):
    """Hands out the letters that have not landed at every sink yet, all at once, and ends.

    Args:
        letters: No two of one generation.
    """

    def __init__(self, letters: Sequence[DeadLetter]) -> None:
        self._letters = letters
        self._assigned = self._handed_out = False
        self._landed: set[str] | None = None

    def open(self) -> None:
        """Nothing to open."""

    def seek(self, positions: Positions) -> None:
        self._landed = {partition for partition, at in positions.items() if at.offset >= GOT_THROUGH.offset}

    def read(self, timeout: float) -> Item | None:
        if not self._assigned:
            self._assigned = True
            return Assigned(list(dict.fromkeys(stream_of(letter_partition(letter)) for letter in self._letters)))
        if self._landed is None:
            return None
        left = [letter for letter in self._letters if letter_partition(letter) not in self._landed]
        if self._handed_out or not left:
            return EndOfSource()
        self._handed_out = True
        return as_messages(left)


def as_messages(letters: Sequence[DeadLetter]) -> Messages:
    """These letters as the messages that they were, or as messages that hold their payloads."""
    partitions = [letter_partition(letter) for letter in letters]
    return Messages(
        values=[None if letter.payload_kind == "none" else letter.payload for letter in letters],
        partitions=partitions,
        offsets=[0] * len(letters),
        first=dict.fromkeys(partitions, Position(0)),
        next=dict.fromkeys(partitions, GOT_THROUGH),
        keys=[letter.key for letter in letters],
        headers=[None if letter.headers is None else list(letter.headers) for letter in letters],
        timestamps=[letter.timestamp if letter.timestamp is not None else _milliseconds(letter) for letter in letters],
        nbytes=sum(len(letter.payload) for letter in letters),
        letters=list(letters),
    )


def _milliseconds(letter: DeadLetter) -> int:
    return int(letter.created_at.timestamp() * 1000)


class RowsOfLetters(Parser):
    """Reads payloads of the kind `arrow`: one row each, all of one schema."""

    def parse_messages(self, messages: Messages) -> Parsed:
        batches: list[pa.RecordBatch] = []
        origin: list[int] = []
        rejects: list[Reject] = []
        for index, value in enumerate(messages.values):
            try:
                with pa.ipc.open_stream(value) as reader:
                    batches.append(reader.read_next_batch())
            except (pa.ArrowException, OSError, StopIteration) as error:
                rejects.append(Reject(index, "letter_unreadable", f"the payload is no Arrow stream of one row: {error}"))
                continue
            origin += [index] * batches[-1].num_rows
        data = pa.Table.from_batches(batches).combine_chunks().to_batches()[0] if origin else None
        return Parsed(data, len(messages), rejects, pa.array(origin, pa.int32()), nbytes=messages.nbytes)

    def expect(self, schema: pa.Schema) -> None:
        """The rows have their types."""


def schema_of(letter: DeadLetter) -> bytes:
    """What tells the columns of a letter's row from those of another: empty where the payload is bytes, or no row."""
    if letter.payload_kind != "arrow":
        return b""
    try:
        with pa.ipc.open_stream(letter.payload) as reader:
            return bytes(reader.schema.serialize())
    except (pa.ArrowException, OSError):
        return b""

"""What the commit log says: one record a commit, and the sum of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ddpm_core import FatalError, Position, Positions

VERSION = 1


def stream_of(partition: str) -> str:
    """The partition that a generation belongs to; a name without `#` is its own."""
    return partition.rpartition("#")[0] or partition


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the log. It is all true or it is not there.

    Attributes:
        token: Unique; tells an instance whether a record is its own.
        instance: Who wrote it.
        pipeline: Whose positions and epochs these are.
        epochs: Partition -> its epoch from now on.
        positions: Partition or generation -> where it stands from now on.
        files: The name that a file has been staged under -> its name for readers.
        dead: Instances that must not commit any more: what they have staged is being removed.
    """

    token: str
    instance: str
    pipeline: str
    epochs: Mapping[str, int] = field(default_factory=dict)
    positions: Positions = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    dead: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        """As it is stored."""
        positions = {name: [at.offset, dict(at.detail)] for name, at in self.positions.items()}
        return _dumped(
            {
                "version": VERSION,
                "token": self.token,
                "instance": self.instance,
                "pipeline": self.pipeline,
                "epochs": dict(self.epochs),
                "positions": positions,
                "files": dict(self.files),
                "dead": list(self.dead),
            }
        )

    @classmethod
    def decoded(cls, data: bytes, where: str) -> Record:
        """What `encoded` made. `where` is for the error when it is not that."""
        values = _loaded(data, where)
        try:
            positions = {name: Position(int(offset), detail) for name, (offset, detail) in values["positions"].items()}
            return cls(
                values["token"],
                values["instance"],
                values["pipeline"],
                values["epochs"],
                positions,
                values["files"],
                tuple(values["dead"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _damaged(where) from None


class State:
    """The sum of the records up to a number.

    Attributes:
        number: That number; 0 before the first record.
        dead: Instances that may not commit.
        moves: Name staged under -> final name, of the files whose move nobody has seen to be done.
    """

    def __init__(self) -> None:
        self.number = 0
        self.dead: set[str] = set()
        self.moves: dict[str, str] = {}
        self._epochs: dict[str, dict[str, int]] = {}
        self._positions: dict[str, dict[str, Positions]] = {}

    def apply(self, record: Record) -> None:
        """Add the record with the next number."""
        self.number += 1
        self.dead |= set(record.dead)
        self.moves |= record.files
        self._epochs.setdefault(record.pipeline, {}).update(record.epochs)
        streams = self._positions.setdefault(record.pipeline, {})
        for name, position in record.positions.items():
            streams.setdefault(stream_of(name), {})[name] = position

    def epoch(self, pipeline: str, partition: str) -> int:
        """How often the partition has been taken; 0 for one that nobody has committed."""
        return self._epochs.get(pipeline, {}).get(partition, 0)

    def generations(self, pipeline: str, partition: str) -> Positions:
        """Where the partition and its generations stand."""
        streams = self._positions.get(pipeline, {})
        found = dict(streams.get(partition, {}))
        own = streams.get(stream_of(partition), {}).get(partition)  # A bare partition whose name holds a `#`.
        if own is not None:
            found[partition] = own
        return found

    def offset(self, pipeline: str, name: str) -> int | None:
        """Where a partition or generation stands, or None."""
        position = self._positions.get(pipeline, {}).get(stream_of(name), {}).get(name)
        return None if position is None else position.offset

    def encoded(self) -> bytes:
        """As a checkpoint stores it."""
        positions = {
            pipeline: {name: [at.offset, dict(at.detail)] for names in streams.values() for name, at in names.items()}
            for pipeline, streams in self._positions.items()
        }
        return _dumped(
            {
                "version": VERSION,
                "number": self.number,
                "epochs": self._epochs,
                "positions": positions,
                "dead": sorted(self.dead),
                "moves": self.moves,
            }
        )

    @classmethod
    def decoded(cls, data: bytes, where: str) -> State:
        """What `encoded` made."""
        values = _loaded(data, where)
        state = cls()
        try:
            state.number = int(values["number"])
            state.dead, state.moves, state._epochs = set(values["dead"]), values["moves"], values["epochs"]
            for pipeline, names in values["positions"].items():
                streams = state._positions.setdefault(pipeline, {})
                for name, (offset, detail) in names.items():
                    streams.setdefault(stream_of(name), {})[name] = Position(int(offset), detail)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _damaged(where) from None
        return state


def _dumped(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), sort_keys=True).encode()


def _loaded(data: bytes, where: str) -> dict[str, Any]:
    try:
        values = json.loads(data)
    except ValueError:
        raise _damaged(where) from None
    if not isinstance(values, dict) or not isinstance(values.get("version"), int):
        raise _damaged(where)
    if values["version"] > VERSION:
        raise FatalError(f"{where} was written by a newer ddpm", hint="Update ddpm-core here.")
    return values


def _damaged(where: str) -> FatalError:
    return FatalError(
        f"{where} is not what ddpm wrote there",
        hint="Restore it, or move the whole folder away and start over: without it nobody knows what has landed.",
    )

"""A consumer group in memory: partitions that move between sources, as a broker moves them, without a broker."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from ddpm_core.plugin.source import Source
from ddpm_core.records import Assigned, EndOfSource, Item, Messages, Position, Positions


class MemoryGroup:
    """Partitions with their messages, and who reads them.

    A partition that moves is given to its new reader when the old one has let go of it, or at once when it is taken without warning.

    Args:
        partitions: How many; they are named `mem:0`, `mem:1`, …
    """

    def __init__(self, partitions: int = 2) -> None:
        self.logs: dict[str, list[bytes]] = {f"mem:{n}": [] for n in range(partitions)}
        self.owners: dict[str, GroupSource] = {}
        self.told: Positions = {}
        """What sources were told of commits, the last for each partition."""
        self.ended = False
        self.changed = threading.Condition()

    def produce(self, partition: str, *values: bytes) -> None:
        """Append messages."""
        with self.changed:
            self.logs[partition] += values
            self.changed.notify_all()

    def end(self) -> None:
        """Sources end when they have read what is there."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def move(self, partition: str, to: GroupSource | None, *, lost: bool = False) -> None:
        """Give a partition to another source, or to none."""
        with self.changed:
            before = self.owners.pop(partition, None)
            if before is None:
                self._give(partition, to)
            elif lost:
                before.events.append(("lost", partition, None))
                self._give(partition, to)
            else:
                before.events.append(("revoked", partition, to))
            self.changed.notify_all()

    def _give(self, partition: str, to: GroupSource | None) -> None:
        if to is not None:
            self.owners[partition] = to
            to.events.append(("assigned", partition, None))

    def let_go(self, partition: str, to: GroupSource | None) -> None:
        """A source has let go of a partition."""
        with self.changed:
            self._give(partition, to)
            self.changed.notify_all()


class GroupSource(Source):
    """A member of the group. Messages come in pieces of up to `piece`, from all partitions that are read.

    Attributes:
        paused: What it was told to keep silent.
        reads: How often `read` was called.
    """

    def __init__(self, group: MemoryGroup, *, piece: int = 5) -> None:
        self.group = group
        self.piece = piece
        self.events: deque[tuple[str, str, GroupSource | None]] = deque()
        self.awaiting: deque[list[str]] = deque()
        self.at: dict[str, int] = {}
        self.paused: set[str] = set()
        self.reads = 0
        self.closed = False

    def open(self) -> None:
        """Nothing to connect to."""

    def read(self, timeout: float) -> Item | None:
        self.reads += 1
        with self.group.changed:
            self.group.changed.wait_for(lambda: self.events or self._ready() or self._over(), timeout)
            event = self.events.popleft() if self.events else None
        if event is not None:
            return self._event(*event)
        return EndOfSource() if self._over() and not self._ready() else self._messages()

    def _event(self, kind: str, partition: str, to: GroupSource | None) -> Item | None:
        if kind == "assigned":
            self.awaiting.append([partition])
            return Assigned([partition])
        if kind == "revoked":
            self.drain([partition])
        else:
            self.lost([partition])
        self.at.pop(partition, None)
        self.paused.discard(partition)
        for waiting in self.awaiting:
            if partition in waiting:
                waiting.remove(partition)
        if kind == "revoked":
            self.group.let_go(partition, to)
        return None

    def _ready(self) -> list[str]:
        logs = self.group.logs
        return [name for name, at in self.at.items() if name not in self.paused and at < len(logs[name])]

    def _over(self) -> bool:
        return self.group.ended and not self.events and not self.awaiting and not self.paused

    def _messages(self) -> Messages | None:
        found = Messages([], [], [], {}, {})
        for name in self._ready():
            at = self.at[name]
            values = self.group.logs[name][at : at + self.piece]
            found.values += values
            found.partitions += [name] * len(values)
            found.offsets += range(at, at + len(values))
            found.first[name], found.next[name] = Position(at), Position(at + len(values))
            found.nbytes += sum(map(len, values))
            self.at[name] = at + len(values)
        return found if len(found) else None

    def seek(self, positions: Positions) -> None:
        for name in self.awaiting.popleft():
            self.at[name] = positions[name].offset if name in positions else 0

    def pause(self, partitions: Sequence[str]) -> None:
        self.paused.update(partitions)

    def resume(self, partitions: Sequence[str]) -> None:
        self.paused.difference_update(partitions)

    def reassign(self, partitions: Sequence[str]) -> None:
        with self.group.changed:
            for name in partitions:
                if name in self.at:
                    del self.at[name]
                    self.paused.discard(name)
                    self.events.append(("assigned", name, None))

    def commit(self, positions: Positions) -> None:
        with self.group.changed:
            self.group.told.update(positions)
            self.group.changed.notify_all()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for name in list(self.at):
                self._event("revoked", name, None)

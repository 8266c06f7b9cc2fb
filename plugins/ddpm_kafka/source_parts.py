"""The partitions that a source has, and what is known of each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from ddpm_core import Assigned
from ddpm_kafka.source_start import Place, partition_name
from ddpm_kafka.topics import Topic


@dataclass(slots=True)
class Part:
    """One partition.

    Attributes:
        place: Topic and number.
        serial: Which `Assigned` it was last part of; a `seek` that answers an older one is not for it.
        live: It has been told where to begin; messages before that are not handed out.
        paused: The engine does not want messages of it now.
        topic: Its topic, as it was when it began.
    """

    place: Place
    serial: int
    live: bool = False
    paused: bool = False
    topic: Topic | None = None

    @property
    def name(self) -> str:
        return partition_name(self.place)


class Parts:
    """All partitions of a source: those that were given to it and not taken away. Used from one thread."""

    def __init__(self) -> None:
        self.by_name: dict[str, Part] = {}
        self._ready: deque[tuple[int, tuple[Place, ...]]] = deque()
        """What `read` still has to return."""
        self._unanswered: deque[tuple[int, tuple[Place, ...]]] = deque()
        self._serials = count()

    def assigned(self, places: Iterable[Place]) -> list[Part]:
        """These are ours, or are to be claimed again; they are not live until `seek` was answered."""
        places = tuple(places)
        if not places:
            return []
        serial = next(self._serials)
        parts = []
        for place in places:
            part = self.by_name.setdefault(partition_name(place), Part(place, serial))
            part.serial, part.live, part.paused = serial, False, False
            parts.append(part)
        self._ready.append((serial, places))
        return parts

    def take(self) -> Assigned | None:
        """The next `Assigned` to return, if there is one: those of it that have not been given up meanwhile."""
        while self._ready:
            serial, places = self._ready.popleft()
            places = tuple(part.place for part in self._of(serial, places))
            if places:
                self._unanswered.append((serial, places))
                return Assigned([partition_name(place) for place in places])
        return None

    def answered(self) -> list[Part]:
        """The partitions that the next `seek` is for: those of the oldest `Assigned` that are still ours and not in a later one."""
        if not self._unanswered:
            return []
        return self._of(*self._unanswered.popleft())

    def _of(self, serial: int, places: Iterable[Place]) -> list[Part]:
        return [part for place in places if (part := self.by_name.get(partition_name(place))) is not None and part.serial == serial]

    def gone(self, places: Iterable[Place]) -> None:
        """These are no longer ours."""
        for place in places:
            self.by_name.pop(partition_name(place), None)

    @property
    def live(self) -> dict[Place, str]:
        """Place -> name of those whose messages are handed out."""
        return {part.place: part.name for part in self.by_name.values() if part.live}

    @property
    def topics(self) -> dict[str, Topic]:
        """The topics being read, as they were when their partitions began."""
        return {part.place[0]: part.topic for part in self.by_name.values() if part.live and part.topic is not None}

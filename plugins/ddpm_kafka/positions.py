"""What the topic `_ddpm_positions` holds: where pipelines stand that write into topics from something else than the same cluster.

The topic is compacted; only the latest message of a key counts. Keys and values are JSON:

    ["orders","shop","position","file:/data/a.csv#1f"]   {"offset": 20000, "detail": {...}}
    ["orders","shop","owner","file:/data/a.csv"]         {"owner": "ddpm-orders-shop-5f0c2a9e", "member": false}

The first two parts are the pipeline and its target: the topic, with `/2` and so on behind it for a pipeline's further sinks into the same
one. Positions are written inside the transaction that holds the rows. Owners are written without one, by who claims a partition; the
last one in the log owns it. All that one sink writes is in one partition of the topic, so its order is one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ddpm_core import FatalError, Position, Positions

TOPIC = "_ddpm_positions"
PARTITIONS = 8
"""So many partitions the topic is made with. It may get more; only these are used, or positions would not be found again."""

Kind: TypeAlias = Literal["position", "owner"]


@dataclass(frozen=True, slots=True)
class Owner:
    """Who may write what is read from a partition.

    Attributes:
        id: Its transactional id.
        member: Its positions are a consumer group's offsets, so the group itself refuses them from who is no member any more.
    """

    id: str
    member: bool = False


@dataclass(slots=True)
class Kept:
    """What one sink's part of the log says, as far as it was read.

    Attributes:
        pipeline, target: Whose part.
        positions: Partition or generation -> position.
        owners: Partition -> its owner.
        claims: Owners in the order of the log, since somebody emptied the list: who else wants these partitions.
    """

    pipeline: str
    target: str
    positions: Positions = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    claims: list[tuple[str, Owner]] = field(default_factory=list)

    @property
    def partition(self) -> int:
        """The topic's partition for all messages of this sink."""
        return zlib.crc32(json.dumps([self.pipeline, self.target]).encode()) % PARTITIONS

    def key(self, kind: Kind, name: str) -> bytes:
        """A message's key."""
        return _json([self.pipeline, self.target, kind, name])

    def position_messages(self, positions: Positions) -> list[tuple[bytes, bytes]]:
        """Key and value for each."""
        return [
            (self.key("position", name), _json({"offset": at.offset, "detail": dict(at.detail)})) for name, at in positions.items()
        ]

    def owner_messages(self, partitions: Iterable[str], owner: Owner) -> list[tuple[bytes, bytes]]:
        """Key and value for each."""
        return [(self.key("owner", name), _json({"owner": owner.id, "member": owner.member})) for name in partitions]

    def take(self, key: bytes | None, value: bytes | None) -> None:
        """Learn from a message. Those of other sinks are passed over.

        Raises:
            FatalError: It is none of ours, or of a ddpm that is newer than this one.
        """
        try:
            pipeline, target, kind, name = json.loads(key or b"")
            if (pipeline, target) != (self.pipeline, self.target):
                return
            said = json.loads(value) if value else None
            if kind == "owner":
                self._owner(name, said)
            elif said is None:
                self.positions.pop(name, None)
            else:
                self.positions[name] = Position(int(said["offset"]), said["detail"])
        except (ValueError, TypeError, KeyError) as error:
            raise FatalError(
                f"topic {TOPIC} holds a message that is no position: {key!r}"[:300],
                hint="Something else writes into it, or a newer ddpm does.",
            ) from error

    def generations(self, partition: str) -> Positions:
        """The positions of a partition and of its generations."""
        return {name: at for name, at in self.positions.items() if partition in (name, name.rpartition("#")[0])}

    def _owner(self, name: str, said: dict[str, object] | None) -> None:
        if said is None:
            self.owners.pop(name, None)
            return
        owner = Owner(str(said["owner"]), bool(said["member"]))
        self.owners[name] = owner
        self.claims.append((name, owner))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

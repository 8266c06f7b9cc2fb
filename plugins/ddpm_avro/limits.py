"""How much a block may hold before it is decoded: a few bytes of it can stand for gigabytes of values."""

from __future__ import annotations

from dataclasses import dataclass

from ddpm_avro.schema import Node
from ddpm_core import DataError

MAX_RECORDS = 500_000
"""In one block. Each may become a dead letter of its own; writers make blocks of 16 kB to 1 MB."""

MAX_WEIGHTLESS = 1_000_000
"""Records that take no bytes, in one container."""

MAX_BRANCHES = 32_000_000
"""Values of unions in one block, each counted with all branches of its union: every branch is a column while decoding."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a schema says of the values that a block's bytes may hold.

    Attributes:
        least: The fewest bytes that a record takes.
        branches: Branches of the unions that every record has once, in all.
        item_branches: Branches of the unions that are within arrays and maps, in all.
    """

    least: int
    branches: int = 0
    item_branches: int = 0

    @classmethod
    def of(cls, node: Node) -> Shape:
        """The shape of records of this type."""
        return cls(node.least, _branches(node, within=False), _branches(node, within=True))

    def check(self, count: int, size: int, before: int, *, readable: bool) -> None:
        """Refuse a block of so many records in so many bytes.

        Args:
            count, size: Records and bytes of the block.
            before: Records before it in the container.
            readable: Whether it could be decompressed.

        Raises:
            DataError: With reason `collection_limit`.
            ValueError: So many records cannot be in so few bytes.
        """
        if not self.least and before + count > MAX_WEIGHTLESS:
            raise _refused(f"it announces {count:,} records that take no bytes, of which a file may have {MAX_WEIGHTLESS:,}")
        if count > MAX_RECORDS and (self.least or not readable):
            if readable and count * self.least > size:
                raise ValueError(f"{count:,} records cannot be in {size:,} bytes")
            raise _refused(f"it announces {count:,} records, more than {MAX_RECORDS:,}")
        if readable and count * self.least > size:
            raise ValueError(f"{count:,} records cannot be in {size:,} bytes")
        if count * self.branches + size // 2 * self.item_branches > MAX_BRANCHES:
            raise _refused(f"its {count:,} records have unions of too many branches for {size:,} bytes at once")


def _refused(what: str) -> DataError:
    return DataError(what, reason="collection_limit")


def _branches(node: Node, *, within: bool) -> int:
    """Branches of the unions outside of arrays and maps; `within`: of those inside."""
    if node.kind in ("array", "map"):
        return sum(_all_branches(child) for child in node.children) if within else 0
    own = len(node.children) if node.kind == "union" and not within else 0
    return own + sum(_branches(child, within=within) for child in node.children)


def _all_branches(node: Node) -> int:
    return sum(len(each.children) for each in node.walk() if each.kind == "union")

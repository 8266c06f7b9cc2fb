"""A source read to its end, as the engine does."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_core import Assigned, EndOfSource, Item, Positions, Source


def items(source: Source, known: Positions) -> Iterator[Item]:
    """Every item of a run, the positions answered from `known` as the engine does."""
    while True:
        item = source.read(0)
        assert item is not None
        yield item
        if isinstance(item, EndOfSource):
            return
        if isinstance(item, Assigned):
            assert source.read(0) is None, "nothing comes before the answer"
            of_these = {name: at for name, at in known.items() if name.rpartition("#")[0] in item.partitions}
            source.seek(of_these)

import pytest

from ddpm_core.engine.chunk import Chunk
from ddpm_core.engine.sink_slot import PORTION_RECORDS, Landed, portions
from ddpm_core.records import Messages, Parsed


def _of(*records: int) -> list[list[int]]:
    source = Messages(values=[], partitions=[], offsets=[], first={}, next={}, nbytes=0)
    pieces = [(Landed(Chunk(source, Parsed(None, count), {}, {})), []) for count in records]
    return [[landed.chunk.records for landed, _ in portion] for portion in portions(pieces)]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ((), []),
        ((0,), [[0]]),
        ((PORTION_RECORDS,), [[PORTION_RECORDS]]),
        ((PORTION_RECORDS - 1, 5, 7), [[PORTION_RECORDS - 1, 5], [7]]),
        ((3 * PORTION_RECORDS, 1, PORTION_RECORDS), [[3 * PORTION_RECORDS], [1, PORTION_RECORDS]]),
    ],
)
def test_a_portion_ends_when_it_has_enough_records(records: tuple[int, ...], expected: list[list[int]]) -> None:
    assert _of(*records) == expected

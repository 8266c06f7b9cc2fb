"""Batches of several chunks that a sink gets as one: what it refuses is found again, and what must stand alone does."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from ddpm_core.engine.joining import joined, neighbours, parted
from ddpm_core.records import Batch, Document, Position, Reject
from ddpm_core.testing.doubles import Call, ListDocument, ListSource, MemorySink, MemoryStore


def batch(values: Sequence[int], name: str = "n") -> Batch:
    return Batch(pa.record_batch({name: pa.array(values, pa.int64())}))


def document(*, atomic: bool) -> Document:
    start = Position(0)
    return Document("a", "list:a", io.BytesIO(b""), start=start, atomic=atomic)


def lengths(groups: list[list[Batch]]) -> list[list[int]]:
    return [[len(one) for one in group] for group in groups]


def test_a_sink_that_wants_nothing_joined_gets_each_batch_as_it_came() -> None:
    batches = [batch([1]), batch([2, 3])]
    assert list(neighbours(batches, 0)) == [[batches[0]], [batches[1]]]
    assert joined([batches[1]]) is batches[1]


def test_a_group_is_closed_once_it_has_the_rows_that_are_wanted() -> None:
    batches = [batch(range(n)) for n in (3, 3, 1, 8, 2)]
    assert lengths(list(neighbours(batches, 5))) == [[3, 3], [1, 8], [2]]


def test_batches_with_other_columns_are_not_joined() -> None:
    batches = [batch([1]), batch([2], "m"), batch([3], "m"), batch([4])]
    assert lengths(list(neighbours(batches, 100))) == [[1], [1, 1], [1]]


def test_a_document_that_lands_as_a_whole_stands_alone() -> None:
    batches = [batch([1]), batch([2]), batch([3]), batch([4])]
    batches[1].src = document(atomic=True)
    batches[2].src = document(atomic=False)
    assert lengths(list(neighbours(batches, 100))) == [[1], [1], [1, 1]]


def test_rows_that_were_all_looked_at_need_not_be_again() -> None:
    batches = [batch([1]), batch([2])]
    batches[0].valid = True
    assert not joined(batches).valid
    batches[1].valid = True
    assert joined(batches).valid
    assert batches[0].take(pa.array([0])).valid
    assert not batches[0].replace(batches[1].data).valid


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=8), st.integers(0, 12))
def test_what_is_refused_of_a_joined_batch_is_what_would_be_refused_of_each(values: list[list[int]], rows: int) -> None:
    def refused(one: Batch) -> list[Reject]:
        return [Reject(row, "odd", str(n)) for row, n in enumerate(one.data.column(0).to_pylist()) if n % 2]

    batches = [batch(some) for some in values]
    found = [rejects for group in neighbours(batches, rows) for rejects in parted(refused(joined(group)), group)]
    assert found == [refused(one) for one in batches]


class Wide(MemorySink):
    """Wants ten rows at once."""

    write_rows = 10


def test_dead_letters_of_joined_chunks_name_their_own_records(engine) -> None:
    store = MemoryStore(refuse=lambda row: "no" if "bad" in row["line"] else "")
    blockade = store.block("write")
    first, a, b = ListDocument("first", b"0\n"), ListDocument("a", b"a0\na1 bad\n"), ListDocument("b", b"b0 bad\nb1\n")
    report = engine.run(ListSource([first, a, b, Call(blockade.release)]), sinks=[Wide(store)], reject_share=1.0)
    assert [(letter.source, letter.offset, letter.payload) for letter in store.dead_letters] == [
        ("a", 1, b"a1 bad"),
        ("b", 0, b"b0 bad"),
    ]
    assert [row["line"] for row in store.rows] == ["0", "a0", "b1"]
    assert [(d.name, d.rows, d.rejects) for d in report.documents] == [("first", 1, 0), ("a", 1, 1), ("b", 1, 1)]
    assert store.calls.count("write") < 3, "the last two came as one, if not all three"

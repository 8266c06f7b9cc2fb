"""Finding refused rows: against a pretended database, with every set of bad rows."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import Refusal, isolate


class PretendServer:
    """Takes all rows of an attempt or none.

    Args:
        bad: The rows it refuses.
        named: The bad rows that its error names; the others it refuses without saying which.
    """

    def __init__(self, bad: set[int], named: set[int]) -> None:
        self.bad = bad
        self.named = named
        self.rows: list[int] = []
        self.attempts = 0
        self.sent = 0

    def attempt(self, data: pa.RecordBatch) -> Refusal | None:
        rows = data.column(0).to_pylist()
        self.attempts += 1
        self.sent += len(rows)
        # A row is named while it is parsed; what is refused without a name is refused at the end of the statement.
        for place, row in enumerate(rows):
            if row in self.bad and row in self.named:
                return Refusal("23514", "check_violation", f"row {row}", place)
        if self.bad & set(rows):
            return Refusal("23503", "foreign_key_violation", f"row {min(self.bad & set(rows))}", None)
        self.rows += rows
        return None


def _rows(n: int) -> pa.RecordBatch:
    return pa.record_batch({"n": range(n)})


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_good_row_is_in_once_and_in_order_and_every_bad_one_is_named(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 300))
    bad = data.draw(st.sets(st.integers(0, n - 1)))
    named = data.draw(st.sets(st.sampled_from(sorted(bad)))) if bad else set()
    server = PretendServer(bad, named)
    rejects = isolate(_rows(n), server.attempt)
    assert server.rows == [row for row in range(n) if row not in bad]
    assert [(r.index, r.message) for r in rejects] == [(row, f"row {row}") for row in sorted(bad)]
    assert {r.index for r in rejects if r.reason == "check_violation"} == named


@pytest.mark.parametrize("where", range(0, 10_000, 499))
@pytest.mark.parametrize("named", [True, False])
def test_one_bad_row_in_ten_thousand_costs_few_attempts(where: int, named: bool) -> None:
    server = PretendServer({where}, {where} if named else set())
    isolate(_rows(10_000), server.attempt)
    assert server.attempts <= (3 if named else math.ceil(math.log2(10_000)) + 4)


def test_many_named_rows_do_not_send_the_batch_over_and_over() -> None:
    bad = set(range(0, 10_000, 20))
    server = PretendServer(bad, bad)
    isolate(_rows(10_000), server.attempt)
    assert server.sent < 20 * 10_000


@pytest.mark.parametrize("named", [True, False])
def test_a_server_that_refuses_everything_is_not_asked_for_ever(named: bool) -> None:
    bad = set(range(2_000))
    server = PretendServer(bad, bad if named else set())
    isolate(_rows(2_000), server.attempt)
    assert server.attempts < 1.1 * 2_000


def test_a_row_that_is_taken_when_tried_alone_is_no_reject() -> None:
    """As when another session deletes the key that stood in its way."""
    taken: list[int] = []
    refusals = iter([Refusal("23503", "foreign_key_violation", "gone by now", None)])

    def attempt(data: pa.RecordBatch) -> Refusal | None:
        refused = next(refusals, None)
        if refused is None:
            taken.extend(data.column(0).to_pylist())
        return refused

    assert isolate(_rows(5), attempt) == []
    assert taken == [0, 1, 2, 3, 4]

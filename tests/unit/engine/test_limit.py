"""The share of rejects is limited: an outage of meaning is not bad rows."""

from __future__ import annotations

from ddpm_core.engine.limit import Counted, RejectLimit


def counted(records: int, rejected: set[int] | range = frozenset()) -> Counted:
    return Counted(records, frozenset(rejected))


def test_a_small_file_may_be_all_bad() -> None:
    assert RejectLimit().problem([counted(1000, range(1000))]) == ""


def test_a_thousand_rejects_in_a_row_stop_the_run() -> None:
    limit = RejectLimit()
    assert limit.problem([counted(1001, range(1001))]) == "1,001 records in a row were rejected (limit 1,000)"


def test_a_run_of_rejects_counts_across_chunks() -> None:
    limit = RejectLimit(share=1.0)
    limit.committed([counted(2000, range(1500, 2000))])
    assert limit.problem([counted(600, range(499))]) == ""
    assert limit.problem([counted(600, range(500))]) == "1,000 records in a row were rejected (limit 1,000)"


def test_one_good_record_ends_a_run_of_rejects() -> None:
    limit = RejectLimit(share=1.0)
    limit.committed([counted(2000, range(1001, 2000))])
    limit.committed([counted(1)])
    assert limit.problem([counted(2000, range(999))]) == ""


def test_more_than_the_share_of_the_last_minute_stops_the_run() -> None:
    limit = RejectLimit(share=0.05)
    assert limit.problem([counted(2000, range(0, 200, 2))]) == ""
    assert limit.problem([counted(2000, range(0, 202, 2))]) == "101 of the last 2,000 records were rejected (limit 0.05 of them)"


def test_what_happened_more_than_a_minute_ago_does_not_count() -> None:
    now = [0.0]
    limit = RejectLimit(share=0.05, clock=lambda: now[0])
    limit.committed([counted(10_000, range(0, 1400, 2))])
    assert limit.problem([counted(1000, {0})]) != ""
    now[0] = 61.0
    assert limit.problem([counted(1000, {0})]) == ""


def test_asking_changes_nothing() -> None:
    limit = RejectLimit()
    asked = [limit.problem([counted(900, range(900))]) for _ in range(5)]
    assert asked == [""] * 5


def test_no_rejects_are_never_a_problem() -> None:
    limit = RejectLimit(share=0.0)
    limit.committed([counted(5000, range(0, 5000, 2))])
    assert limit.problem([counted(10)]) == ""

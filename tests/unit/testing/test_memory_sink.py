"""The reference sink: what lands, what does not, and the faults that it plays."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from ddpm_core import Batch, FencedError, Position, RetryableError
from ddpm_core.testing import ForgetfulMemorySink, MemorySink, MemoryStore


def rows(*numbers: int) -> Batch:
    return Batch(pa.RecordBatch.from_pydict({"n": list(numbers)}))


def opened(store: MemoryStore, **options: bool) -> MemorySink:
    sink = MemorySink(store, **options)
    sink.open()
    sink.claim(["p"])
    return sink


def numbers(store: MemoryStore) -> list[int]:
    return [row["n"] for row in store.rows]


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_commit_reply_has_both_outcomes(landed: bool) -> None:
    store = MemoryStore()
    sink = opened(store)
    store.lose_commit_reply(landed=landed)
    sink.write(rows(1, 2))
    with pytest.raises(RetryableError, match="lost during commit"):
        sink.commit({"p": Position(2)}, [])
    sink.rollback()
    sink.close()
    sink.open()
    assert sink.claim(["p"]) == ({"p": Position(2)} if landed else {})
    assert numbers(store) == ([1, 2] if landed else [])


def test_a_lost_reply_can_wait_for_a_later_commit() -> None:
    store = MemoryStore()
    sink = opened(store)
    store.lose_commit_reply(landed=True, after=1)
    sink.commit({"p": Position(1)}, [])
    with pytest.raises(RetryableError):
        sink.commit({"p": Position(2)}, [])
    sink.commit({"p": Position(3)}, [])
    assert store.commits == 3


def test_a_fault_comes_when_it_was_asked_for() -> None:
    store = MemoryStore()
    sink = opened(store)
    store.fail("write", RetryableError("gone"), after=1, times=2)
    sink.write(rows(1))
    for _ in range(2):
        with pytest.raises(RetryableError, match="gone"):
            sink.write(rows(2))
    sink.write(rows(3))
    sink.commit({"p": Position(2)}, [])
    assert numbers(store) == [1, 3]


def test_a_fault_may_be_a_rival_that_claims() -> None:
    store = MemoryStore()
    sink = opened(store)
    store.fail("commit", lambda: opened(store).close())
    sink.write(rows(1))
    with pytest.raises(FencedError):
        sink.commit({"p": Position(1)}, [])
    assert store.rows == []


def test_refused_rows_are_named_and_the_others_land() -> None:
    store = MemoryStore(refuse=lambda row: "too small" if row["n"] < 0 else "")
    sink = opened(store)
    refused = sink.write(rows(1, -2, 3))
    sink.commit({"p": Position(3)}, [])
    assert [(reject.index, reject.reason, reject.message) for reject in refused] == [(1, "refused", "too small")]
    assert numbers(store) == [1, 3]


def test_replace_takes_the_place_of_everything_at_once() -> None:
    store = MemoryStore()
    sink = opened(store)
    sink.write(rows(1))
    sink.commit({"p#old": Position(1)}, [])
    sink.close()
    again = MemorySink(store, replace=True)
    again.open()
    assert again.atomic
    assert again.claim(["p"]) == {"p#old": Position(1)}
    again.write(rows(2))
    assert numbers(store) == [1]
    again.commit({"p#new": Position(1)}, [])
    assert numbers(store) == [2]
    assert store.positions == {"p#new": Position(1)}


def test_a_forgetful_sink_keeps_rows_only() -> None:
    store = MemoryStore()
    sink = ForgetfulMemorySink(store)
    sink.open()
    sink.write(rows(1))
    sink.commit({"p": Position(1)}, [])
    assert sink.claim(["p"]) == {}
    assert numbers(store) == [1]
    assert store.positions == {}


def test_a_blocked_call_returns_when_it_is_cancelled() -> None:
    store = MemoryStore()
    blockade = store.block("write")
    errors: list[Exception] = []
    sink = MemorySink(store)

    def load() -> None:
        sink.open()
        try:
            sink.write(rows(1))
        except RetryableError as error:
            errors.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    assert blockade.reached.wait(60)
    assert thread.is_alive()
    sink.cancel()
    thread.join(60)
    assert [str(error) for error in errors] == ["write was cancelled"]


@pytest.mark.parametrize("method", ["write", "commit", "claim"])
def test_a_call_out_of_order_is_a_bug_of_the_caller(method: str) -> None:
    sink = MemorySink(MemoryStore())
    arguments = {"write": (rows(1),), "commit": ({}, []), "claim": (["p"],)}[method]
    with pytest.raises(RuntimeError, match=f"{method} was called on a sink that is not open"):
        getattr(sink, method)(*arguments)


def test_a_call_from_a_second_thread_is_a_bug_of_the_caller() -> None:
    sink = opened(MemoryStore())
    caught: list[RuntimeError] = []

    def elsewhere() -> None:
        try:
            sink.write(rows(1))
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=elsewhere, daemon=True)
    thread.start()
    thread.join(60)
    assert [str(error) for error in caught] == ["write was called from a second thread"]


def test_a_commit_of_what_was_not_claimed_is_a_bug_of_the_caller() -> None:
    sink = opened(MemoryStore())
    with pytest.raises(RuntimeError, match="commit of q, which was not claimed"):
        sink.commit({"q": Position(1)}, [])

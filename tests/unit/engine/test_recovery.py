"""What the environment breaks is waited for, and nothing else is."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ddpm_core.engine.recovery import Recovery, Stopped
from ddpm_core.errors import DataError, FatalError, RetryableError
from ddpm_core.plugin.events import Event, Recovered, Waiting


class Clockwork(threading.Event):
    """An event whose waits take no time, and move the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waits.append(timeout)
        self.now += max(timeout, 0.001)
        return self.is_set()


def recovery(retry_for: float | None = 60.0) -> tuple[Recovery, Clockwork, list[Event]]:
    clock, events = Clockwork(), []
    return Recovery(retry_for=retry_for, stopping=clock, emit=events.append, clock=lambda: clock.now), clock, events


def failing(times: int, error: Exception) -> Callable[[], str]:
    left = [times]

    def action() -> str:
        if left[0] > 0:
            left[0] -= 1
            raise error
        return "done"

    return action


def nothing() -> None:
    pass


def test_what_works_at_once_is_not_touched() -> None:
    steady, _, events = recovery()
    assert steady.until_done("sink", lambda: 7, restore=pytest.fail) == 7
    assert events == []


def test_it_waits_restores_and_tries_again() -> None:
    steady, clock, events = recovery()
    restored: list[float] = []
    result = steady.until_done("sink", failing(3, RetryableError("no server")), restore=lambda: restored.append(clock.now))
    assert result == "done"
    assert len(restored) == 3
    assert [type(event) for event in events] == [Waiting, Waiting, Waiting, Recovered]
    assert isinstance(events[0], Waiting)
    assert (events[0].who, events[0].why) == ("sink", "no server")


def test_waits_grow_with_full_jitter_up_to_five_seconds() -> None:
    steady, clock, _ = recovery(retry_for=None)
    steady.until_done("sink", failing(200, RetryableError("no server")), restore=nothing)
    bounds = [min(0.1 * 2**n, 5.0) for n in range(200)]
    assert all(0 <= wait <= bound for wait, bound in zip(clock.waits, bounds, strict=True))
    assert max(clock.waits) > 3.0
    assert min(clock.waits[10:]) < 1.0


def test_a_wait_that_the_error_names_is_kept() -> None:
    steady, clock, _ = recovery()
    steady.until_done("sink", failing(1, RetryableError("busy", after=7.5)), restore=nothing)
    assert clock.waits == [7.5]


def test_it_gives_up_after_retry_for_and_says_what_to_do() -> None:
    steady, clock, _ = recovery(retry_for=10.0)
    with pytest.raises(FatalError) as caught:
        steady.until_done("sink", failing(10_000, RetryableError("no server at localhost", hint="Start it.")), restore=nothing)
    assert str(caught.value) == "no server at localhost (tried for 10 s)\nStart it."
    assert 10.0 <= clock.now < 10.1


def test_retry_for_nothing_fails_at_once() -> None:
    steady, clock, _ = recovery(retry_for=0.0)
    with pytest.raises(FatalError, match=r"^no server$"):
        steady.until_done("sink", failing(1, RetryableError("no server")), restore=nothing)
    assert clock.waits == []


def test_a_restore_that_fails_is_tried_again() -> None:
    steady, _, _ = recovery()
    restore = failing(2, RetryableError("still no server"))
    assert steady.until_done("sink", failing(1, RetryableError("no server")), restore=lambda: void(restore)) == "done"


def void(call: Callable[[], str]) -> None:
    call()


def test_bad_data_is_never_retried() -> None:
    steady, _, events = recovery()
    with pytest.raises(DataError):
        steady.until_done("sink", failing(1, DataError("bad")), restore=nothing)
    assert events == []


def test_stopping_ends_the_wait() -> None:
    steady, clock, _ = recovery()
    clock.set()
    with pytest.raises(Stopped):
        steady.until_done("sink", failing(1, RetryableError("no server")), restore=nothing)

"""Numbered events in a topic, and the judge of what became of them: outside the engine, by ids alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Sequence

from confluent_kafka import Producer

from tests.oracle import BAD_EVERY, event_line, judge


class EventProducer:
    """Produces numbered ten-field events to a topic in a thread of its own, event `n` into partition `n % partitions`.

    Use as a context manager. Every so manieth is malformed, as in `tests.oracle`.

    Args:
        rate: Events per second; None is as fast as it goes.
        halts: Numbers of events before which it waits for `go_on`, so that a test can act between two events.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        *,
        partitions: int,
        count: int,
        rate: float | None = None,
        seed: int = 1,
        halts: Sequence[int] = (),
    ) -> None:
        self.ids = [f"ev-{n:08}" for n in range(count)]
        self._topic = topic
        self._partitions = partitions
        self._rate = rate
        self._rng = random.Random(seed)
        self._halts = frozenset(halts)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": 5,
                "enable.idempotence": True,
                "queue.buffering.max.messages": 500_000,
                "delivery.report.only.error": True,
                "on_delivery": self._refused,
            }
        )
        self._stop = threading.Event()
        self._go_on = threading.Semaphore(0)
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, name="producer")

    def __enter__(self) -> EventProducer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.go_on(len(self._halts))
        self._thread.join(120)

    @property
    def over(self) -> bool:
        """Whether it has ended, well or not."""
        return not self._thread.is_alive()

    def go_on(self, times: int = 1) -> None:
        """Let it pass the next of its halts."""
        for _ in range(times):
            self._go_on.release()

    def finish(self) -> None:
        """Wait until all of them are in the topic."""
        self._thread.join(900)
        assert not self._thread.is_alive()
        assert not self._errors, self._errors

    def _refused(self, error: object, _: object) -> None:
        if error is not None:
            self._errors.append(RuntimeError(f"an event was not delivered: {error}"))

    def _run(self) -> None:
        try:
            self._produce()
            left = self._producer.flush(600)
            assert left == 0, f"{left} events were not delivered"
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._errors.append(error)

    def _produce(self) -> None:
        burst = 500
        for n, event_id in enumerate(self.ids):
            if n in self._halts:
                self._producer.flush(600)
                self._go_on.acquire()
            if n % burst == 0:
                self._producer.poll(0)
                if self._rate is not None and self._stop.wait(burst / self._rate):
                    raise RuntimeError("stopped before the end")
            value = event_line(n, event_id, self._rng).rstrip("\n").encode()
            while True:
                try:
                    self._producer.produce(self._topic, value, partition=n % self._partitions)
                    break
                except BufferError:
                    self._producer.poll(0.1)


def judge_stream(ids: Sequence[str], rows: Iterable[str], dead_letters: Iterable[bytes], *, partitions: int) -> None:
    """Every id is a row or a dead letter, once; malformed ones alone are dead letters; rows of a partition are in its order.

    Args:
        rows: The ids of the table in the order in which they were inserted.
    """
    landed = list(rows)
    judge(ids, landed, dead_letters)
    last = [-1] * partitions
    for event_id in landed:
        number = int(event_id.removeprefix("ev-"))
        partition = number % partitions
        assert number > last[partition], f"{event_id} landed after event {last[partition]} of its partition"
        last[partition] = number


__all__ = ["BAD_EVERY", "EventProducer", "judge_stream"]

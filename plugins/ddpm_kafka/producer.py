"""A producer of librdkafka as the sinks of this plugin use it: transactional, or merely idempotent.

What loses and what doubles, and what is done about it:

- `enable.idempotence`: the library's own retries neither reorder nor double. It also asks for the answer of all replicas.
- `delivery.timeout.ms` 30 s: what could not be sent is known while it can still be acted upon. In a transaction the commit fails when
  any message failed, so nothing has to listen to single messages; without transactions only failures are reported
  (`delivery.report.only.error`), so no Python runs for a message that arrived.
- `batch.size` never above what the topic takes: a broker refuses a batch as a whole, so one that is too large would cost its
  neighbours. A message that is too large by itself is refused before it is given to the library.
- After every error whose outcome is not known the producer is dropped, and the next one begins with `init_transactions` under the same
  transactional id. That call waits until the brokers have ended the earlier transaction, one way or the other, and raises the
  id's epoch, so that an earlier commit or abort which is still on its way can hit nothing later.
- `cancel` bounds every call, and one of them only by giving it up: `send_offsets_to_transaction` takes no notice of its timeout while a
  broker that has the request does not answer (measured, 2.16: 60 s with a timeout of 1 s, until `socket.timeout.ms`). It runs in a thread
  of its own, and when it is given up its producer is dropped with it. Nothing can be doubled or lost by that: the offsets may still
  arrive, but in a transaction that nobody will ever commit. It ends like that of a process that died: by the next `init_transactions`
  under the id, or by the brokers after the transaction's timeout.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from itertools import repeat
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from ddpm_core import DdpmError, RetryableError
from ddpm_kafka.client_config import client_config
from ddpm_kafka.connection import SLICE, Watch, cluster_name, make, reach
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.errors import of_kafka, said, unwrap
from ddpm_kafka.producer_errors import FENCED, OF_GROUP, EndedError, NotMemberError

DELIVERY = 30.0
"""Seconds after which a message that could not be sent has failed."""

_LAST_ABORT = 1.0
"""Seconds that taking a transaction back may need after `cancel`. Brokers that are well need milliseconds, and readers of what is
committed need not wait for the transaction's timeout then."""


class _ProducerWatch(Watch):
    """Being fenced is for the call that finds it out: `EndedError`."""

    def __call__(self, error: KafkaError) -> None:
        if error.code() not in FENCED:
            super().__call__(error)


class Outbox:
    """A producer and its transaction in progress. Used from one thread but for `cancel`; opened again after `drop`.

    Args:
        options: How the cluster is reached.
        settings: What the sink decides: compression, partitioner, sizes. What is said here about delivery wins.
        transactional_id: Makes it transactional. None: merely idempotent.
        transaction_timeout: Seconds after which the brokers give a transaction up.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        settings: dict[str, Any],
        *,
        transactional_id: str | None = None,
        transaction_timeout: float = 60.0,
    ) -> None:
        self.where = cluster_name(options)
        self._options = options
        self._settings = settings
        self._id = transactional_id
        self._timeout = transaction_timeout
        self._watch: Watch = _ProducerWatch(self.where)
        self._producer: Producer | None = None
        self._began = False
        self._cancelled = False
        self._failed: KafkaError | None = None

    @property
    def ready(self) -> bool:
        """Whether there is a producer."""
        return self._producer is not None

    def open(self) -> None:
        """Make the producer; end whatever was begun earlier under its transactional id.

        Raises:
            ConfigError, FatalError, RetryableError: As the brokers say.
        """
        self.drop()
        self._cancelled, self._failed, self._watch = False, None, _ProducerWatch(self.where)
        producer = make(Producer, self._config(), self._watch)
        reach(producer, self._watch)
        if self._id is not None:
            self._wait(producer, producer.init_transactions, f"cannot begin to write to {self.where}")
        self._producer = producer

    def send(
        self,
        topic: str,
        values: Iterable[bytes | None],
        keys: Iterable[bytes | None] = repeat(None),
        *,
        timestamps: Iterable[int] = repeat(0),
        headers: Iterable[Sequence[tuple[str, bytes | None]] | None] = repeat(None),
        partition: int = -1,
    ) -> None:
        """Hand over messages, in this order; a transaction is begun where there is none. They may not have been sent yet.

        Raises:
            EndedError: See there.
            RetryableError, FatalError: Nothing of the transaction counts.
        """
        self._begin()
        producer = self._open_producer()
        # 0.7 µs a message; `produce_batch` takes as long with the dictionaries that it wants, and has no headers.
        arguments = zip(values, keys, repeat(partition), repeat(None), repeat(None), timestamps, headers)  # Some are endless.
        pending: tuple[Any, ...] | None = None
        rest = iter(arguments)
        while True:
            try:
                if pending is not None:
                    producer.produce(topic, *pending)
                    pending = None
                for pending in rest:
                    producer.produce(topic, *pending)
                break
            except BufferError:  # The library holds as much as it may: wait until some of it has gone.
                self._check()
                self._poll(producer, SLICE)
            except KafkaException as error:
                raise self._error(error, f"cannot write to {topic} of {self.where}") from None
        self._poll(producer)

    def commit(self, offsets: Sequence[TopicPartition] = (), metadata: object | None = None) -> None:
        """Send all that was handed over, then these offsets of a consumer group, and commit.

        Raises:
            EndedError, NotMemberError: See there. Nothing was committed.
            RetryableError: It may have been committed or not; the next `open` settles it.
        """
        producer = self._open_producer()
        what = f"cannot commit to {self.where}"
        if self._id is None:
            self._flush(producer, what)
            return
        self._begin()
        if offsets:
            self._wait(producer, lambda seconds: self._send_offsets(producer, offsets, metadata, seconds), what)
        self._wait(producer, producer.commit_transaction, what)
        self._began = False

    def flush(self, within: float, what: str) -> None:
        """Send all that was handed over, and wait until the brokers have it.

        Raises:
            RetryableError: They may not have it.
        """
        self._flush(self._open_producer(), what, within)

    def abort(self, within: float = 5.0) -> None:
        """Take the transaction back. Never raises: where it cannot be done, the producer is dropped, and the next `open` does it."""
        producer = self._producer
        if producer is None or not self._began:
            return
        self._began = False
        began = time.monotonic()
        while True:
            try:
                producer.abort_transaction(SLICE)
                return
            except KafkaException as error:
                spent = time.monotonic() - began
                if not unwrap(error).retriable() or spent > (min(within, _LAST_ABORT) if self._cancelled else within):
                    self.drop()
                    return

    def drop(self) -> None:
        """Forget the producer and what was not sent. Takes no notice of brokers that are away."""
        producer, self._producer, self._began = self._producer, None, False
        if producer is not None:
            with contextlib.suppress(KafkaException):  # A fenced one says so again at each call.
                producer.purge(in_queue=True, in_flight=True, blocking=False)
                producer.poll(0)  # And no `close`, which would wait for brokers that are away.

    def cancel(self) -> None:
        """Make a call that waits in another thread return within about a second. What was begun counts as not committed."""
        self._cancelled = True
        self._watch.refusal = self._watch.refusal or self._interrupted()  # For what waits in `open` to reach a broker.

    # How.

    def _config(self) -> dict[str, Any]:
        config = {
            # Where the user's own settings may say otherwise.
            "linger.ms": 5,
            "queue.buffering.max.messages": 500_000,
            "queue.buffering.max.kbytes": 256 << 10,
            "delivery.timeout.ms": int(min(DELIVERY, self._timeout) * 1000),
            **client_config(self._options, "producer"),
            **self._settings,
            "enable.idempotence": True,
            # With connections made on demand the library waits half a second before it asks again for its producer id (measured, 2.16).
            "enable.sparse.connections": False,
        }
        if self._id is not None:
            config |= {"transactional.id": self._id, "transaction.timeout.ms": int(self._timeout * 1000)}
        else:
            config |= {"delivery.report.only.error": True, "on_delivery": self._not_delivered}
        return config

    def _not_delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is not None and self._failed is None:
            self._failed = error

    def _begin(self) -> None:
        if self._id is None or self._began:
            return
        try:
            self._open_producer().begin_transaction()
        except KafkaException as error:
            raise self._error(error, f"cannot begin a transaction at {self.where}") from None
        self._began = True

    def _flush(self, producer: Producer, what: str, within: float = DELIVERY + 5) -> None:
        deadline = time.monotonic() + within
        while left := producer.flush(SLICE):
            self._check()
            if time.monotonic() > deadline:
                raise RetryableError(f"{what}: {left:,} messages were not taken within {within:.0f} s")
        failed, self._failed = self._failed, None
        if failed is not None:
            raise self._error(failed, what)

    def _wait(self, producer: Producer, call: Callable[[float], object], what: str) -> None:
        """A call of transactions, in slices: each may be repeated after its time is up (librdkafka goes on where it was)."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                call(SLICE * 4)
                self._watch.up()
                return
            except KafkaException as error:
                inner = unwrap(error)
                if not inner.retriable() or time.monotonic() > deadline:
                    raise self._error(inner, what) from None
                self._poll(producer)
                self._check()

    def _send_offsets(self, producer: Producer, offsets: Sequence[TopicPartition], metadata: object | None, seconds: float) -> None:
        """`send_offsets_to_transaction`, which cannot be bounded, in a thread that can be given up.

        The thread does not keep the process alive, and it holds the producer: nobody else waits for the end of one that was given up.
        """
        answer: Future[None] = Future()

        def ask() -> None:
            try:
                producer.send_offsets_to_transaction(list(offsets), metadata, seconds)
            except Exception as error:  # noqa: BLE001 - handed to the other thread
                answer.set_exception(error)
            else:
                answer.set_result(None)

        threading.Thread(target=ask, name="ddpm-kafka-offsets", daemon=True).start()
        while not wait([answer], SLICE).done:
            try:
                self._check()
            except DdpmError:
                self.drop()  # Its call is still under way: any other one would be refused, and an answer that comes late is for nobody.
                raise
        answer.result()

    def _poll(self, producer: Producer, seconds: float = 0) -> None:
        try:
            producer.poll(seconds)
        except KafkaException as error:  # What made the producer useless, such as being fenced.
            raise self._error(error, f"cannot write to {self.where}") from None

    def _check(self) -> None:
        if self._cancelled:
            raise self._interrupted()
        self._watch.check()

    def _interrupted(self) -> RetryableError:
        return RetryableError(f"the work on {self.where} was interrupted")

    def _error(self, error: KafkaError | KafkaException, what: str) -> Exception:
        inner = unwrap(error)
        if inner.code() in FENCED:
            return EndedError(said(inner))
        if inner.code() in OF_GROUP:
            return NotMemberError(said(inner))
        if self._watch.refusal is not None and not inner.fatal():
            return self._watch.refusal
        if inner.txn_requires_abort() or inner.code() in (
            KafkaError._MSG_TIMED_OUT,
            KafkaError._INCONSISTENT,
            KafkaError._PURGE_QUEUE,
        ):
            wanted = of_kafka(inner, what)
            return wanted if _stops(wanted) else RetryableError(f"{what}: {said(inner)}")
        return of_kafka(inner, what)

    def _open_producer(self) -> Producer:
        if self._producer is None:
            raise RetryableError(f"{self.where} is not open")
        return self._producer


def _stops(error: DdpmError) -> bool:
    """Whether this is an error that no repetition mends, and that is understood: `of_kafka` calls fatal what it does not know."""
    return not isinstance(error, RetryableError) and bool(error.hint)


def end_transactions_of(
    options: ConnectionOptions, transactional_id: str, using: Callable[[Outbox], object] = lambda _: None
) -> None:
    """Make sure that who writes under this id commits nothing any more. Returns when what it had begun is ended, one way or the other.

    Args:
        options: How the cluster is reached.
        transactional_id: Whose.
        using: Told what does it before it begins, so that it can be cancelled.

    Raises:
        RetryableError, FatalError: The brokers could not be asked.
    """
    outbox = Outbox(options, {}, transactional_id=transactional_id)
    using(outbox)
    outbox.open()
    outbox.drop()

"""Who owns a partition, and where it stands: the topic `_ddpm_positions`, read and claimed.

Kafka has no compare-and-set. What it has is fencing: `init_transactions` under an id ends every transaction begun earlier under that id,
and refuses whatever its former user sends later. So the owner of a partition is named in the log by its transactional id, and who takes
the partition over:

1. reads the log, and so knows the owner;
2. writes itself into the log as the owner. From now on everybody who reads the log to its end knows;
3. ends the transactions of the former owner, and of everybody who claimed the partition in between (they stand before its own claim);
4. reads the log to its end. What the former ones had committed is in it, and nothing more will come.

The former owner, if it is alive, is refused by the brokers at its next commit at the latest. It then reads the log to its end and finds
there which partitions were taken from it: those it gives up. The others it goes on with, under the same id. Since it begins anew with
`init_transactions`, and might in this very moment lose another partition to somebody who has just ended its *earlier* transactions,
the log is read to its end after every `init_transactions` and before anything is written. By 2, whoever ended an earlier one stands there.

Of two that claim at once, the log's order decides: the later one finds the earlier one before itself and ends its transactions, and the
earlier one finds the later one and leaves it the partition.

Claims are written outside transactions, so a claim is never taken back nor hidden behind its own transaction. Readers see only what is
decided (`read_committed`). A transaction of another pipeline that died in the middle of its commit may hide what is behind it until
the brokers give it up (`transaction_timeout`); who has to see it waits that long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from ddpm_core import FatalError, RetryableError
from ddpm_kafka.client_config import client_config
from ddpm_kafka.connection import PATIENCE, Cluster, make
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.errors import of_kafka, unwrap
from ddpm_kafka.positions import TOPIC, Kept, Owner
from ddpm_kafka.producer import Outbox, end_transactions_of
from ddpm_kafka.sink_topic import LEADERLESS

_STEP = 5000
"""Messages taken from the library at once."""


class PositionsLog:
    """One sink's part of the log. Used from one thread; opened again after `close`.

    Args:
        options: How the cluster is reached.
        cluster: The same, for questions; open while this is used.
        kept: Whose part, filled with what is read.
        me: Who claims here.
        end_transactions: Ends what was begun under a transactional id.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        cluster: Cluster,
        kept: Kept,
        me: Owner,
        end_transactions: Callable[[ConnectionOptions, str], None] = end_transactions_of,
    ) -> None:
        self.kept = kept
        self._options = options
        self._cluster = cluster
        self._me = me
        self._end_transactions = end_transactions
        self._claims: Outbox | None = None
        self._reached = 0

    def open(self) -> None:
        """Begin anew. The topic is there."""
        self.close()
        self._claims = Outbox(self._options, {"compression.type": "none", "linger.ms": 0})
        self._reached = 0
        self.kept.positions.clear()
        self.kept.owners.clear()
        self.kept.claims.clear()

    def refresh(self) -> None:
        """Read to the end that the log has now. What is not decided there is waited for.

        Raises:
            RetryableError: It was not decided in time.
        """
        self._read(self._end(), PATIENCE)

    def glance(self) -> bool:
        """Read what is decided of the log. False when something in it is not: a live owner's, or one's that died in the middle of its commit."""
        return self._read(self._end(), 0.0, must=False)

    def own(self, partitions: Sequence[str], *, member: bool, anew: bool = False) -> set[Owner]:
        """Take ownership of these, and make sure that earlier owners commit nothing any more. The log was read since it was opened, as
        far as it is decided.

        A partition that somebody else claims at the same time may be theirs afterwards: `lost` tells.

        Args:
            partitions: Those that are this owner's already cost nothing.
            member: Their positions are offsets of the group, and this process is its member. Then members that owned them are left in
                peace: the group itself refuses their offsets, and they have other partitions to go on with.
            anew: Even those that seem to be this owner's, because the end of the log could not be read.

        Returns those that were left in peace.
        """
        me = Owner(self._me.id, member)
        wanted = [name for name in partitions if anew or self.kept.owners.get(name) != me]
        if not wanted:
            return set()
        before = {owner for name in wanted if (owner := self.kept.owners.get(name))}
        self.kept.claims.clear()
        self._write(wanted, me)
        ended: set[str] = {self._me.id}
        target = self._end()
        deadline = time.monotonic() + PATIENCE
        while True:
            for owner in before:
                if owner.id not in ended and not (member and owner.member):
                    self._end_transactions(self._options, owner.id)
                    ended.add(owner.id)
            done = self._read(target, 0.0, must=False)
            more = {owner for name, owner in self._rivals(wanted, me)} - before
            before |= more
            if done and not more:
                break
            if time.monotonic() > deadline:
                raise self._undecided()
        self.refresh()
        self.kept.claims.clear()
        return {owner for owner in before if owner.id not in ended}

    def end(self, owners: Iterable[Owner]) -> None:
        """Make sure that these commit nothing any more of what they have begun."""
        for owner in owners:
            self._end_transactions(self._options, owner.id)

    def lost(self, partitions: Sequence[str]) -> list[str]:
        """Those of these that the log, as far as it was read, gives to somebody else."""
        return [name for name in partitions if (owner := self.kept.owners.get(name)) is not None and owner.id != self._me.id]

    def close(self) -> None:
        """Give everything back."""
        claims, self._claims = self._claims, None
        if claims is not None:
            claims.drop()

    # How.

    def _rivals(self, wanted: Sequence[str], me: Owner) -> list[tuple[str, Owner]]:
        """Who claimed one of these before this owner did, and after the log had been read."""
        found = []
        for name in wanted:
            for claimed, owner in self.kept.claims:
                if claimed == name and owner == me:
                    break
                if claimed == name:
                    found.append((name, owner))
        return found

    def _write(self, partitions: Sequence[str], me: Owner) -> None:
        claims = self._claims
        if claims is None:
            raise self._closed()
        if not claims.ready:
            claims.open()
        messages = self.kept.owner_messages(partitions, me)
        keys, values = [key for key, _ in messages], [value for _, value in messages]
        claims.send(TOPIC, values, keys, partition=self.kept.partition)
        claims.flush(PATIENCE, f"cannot claim partitions in {TOPIC} of {self._cluster.where}")

    def _end(self) -> int:
        """Behind the last message, decided or not."""
        place = TopicPartition(TOPIC, self.kept.partition)
        deadline = time.monotonic() + PATIENCE
        while True:
            asked = self._cluster.admin.list_offsets(
                {place: OffsetSpec.latest()},  # type: ignore[no-untyped-call]
                isolation_level=IsolationLevel.READ_UNCOMMITTED,
                request_timeout=PATIENCE,
            )
            try:
                return int(asked[place].result(2 * PATIENCE).offset)
            except KafkaException as error:
                if unwrap(error).code() not in LEADERLESS or time.monotonic() > deadline:
                    raise of_kafka(error, f"cannot read {TOPIC} of {self._cluster.where}") from None
                time.sleep(0.05)

    def _read(self, target: int, patience: float, *, must: bool = True) -> bool:
        """Read up to this offset. False when something before it is not decided after so many seconds, and it need not be."""
        if self._reached >= target:
            return True
        consumer = self._new_consumer()
        deadline = time.monotonic() + patience
        silence, ended = time.monotonic() + PATIENCE, False
        consumer.assign([TopicPartition(TOPIC, self.kept.partition, self._reached)])
        try:
            while self._reached < target:
                if messages := consumer.consume(_STEP, 0.02) or ():
                    silence = time.monotonic() + PATIENCE
                for message in messages:
                    ended |= self._take(message)
                if ended and self._reached < target and time.monotonic() >= deadline:
                    if must:
                        raise self._undecided()
                    return False
                self._cluster.watch.check()
                if time.monotonic() > silence:
                    raise RetryableError(f"cannot read {TOPIC}: {self._cluster.where} did not answer within {PATIENCE:.0f} s")
        finally:
            consumer.close()
        return True

    def _new_consumer(self) -> Consumer:
        """For each reading a new one: it is there in 20 ms, and one that was idle waits for up to a second (measured, 2.16)."""
        config = {
            **client_config(self._options, "consumer"),
            "group.id": "ddpm-positions",  # The library wants one; nothing is joined or committed.
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 10,
            "fetch.queue.backoff.ms": 10,
            "check.crcs": True,
        }
        return make(Consumer, config, self._cluster.watch)

    def _take(self, message: object) -> bool:
        """Learn from a message. True for the end of what is decided."""
        error: KafkaError | None = message.error()  # type: ignore[attr-defined]
        if error is None:
            self.kept.take(message.key(), message.value())  # type: ignore[attr-defined]
            self._reached = message.offset() + 1  # type: ignore[attr-defined]
            return False
        if error.code() == KafkaError._PARTITION_EOF:
            self._reached = max(self._reached, message.offset())  # type: ignore[attr-defined]
            return True
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise FatalError(f"{TOPIC} of {self._cluster.where} was emptied while it was read", hint="Run the same command again.")
        if error.retriable() or error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
            return False  # The library goes on by itself; `silence` bounds it.
        raise of_kafka(error, f"cannot read {TOPIC}")

    def _closed(self) -> RetryableError:
        return RetryableError(f"{TOPIC} of {self._cluster.where} is not open")

    def _undecided(self) -> RetryableError:
        return RetryableError(
            f"a transaction of another process in {TOPIC} of {self._cluster.where} is not decided",
            hint="If that process died, the brokers end its transaction by themselves, within a minute by default.",
        )

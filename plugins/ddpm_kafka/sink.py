"""The sink `kafka`: a message for each row, exactly once by transactions.

**Where positions are.** From a source on the same cluster: they are the offsets of the source's consumer group, sent inside the
transaction (`positions_group.py`). From anything else: messages in the compacted topic `_ddpm_positions` of the target's cluster,
in the same transaction (`positions.py`). Of several Kafka sinks in a pipeline only the first one on the source's cluster can have the group's
offsets, since each commits for itself and at its own time; the others keep theirs in the topic. So does every sink for partitions that are
not the source's, such as a dead letter that is sent through again.

**Who may write.** A producer of its own, under a transactional id of its own, in each process (KIP-447), not one for each partition: with
thousands of files that would be thousands of producers, and a round could not be one transaction. An id of one's own does not fence who
had the partitions before, so:

- Between members of one consumer group the group does: offsets are sent with the member's generation (`consumer_group_metadata`), and who is
  no member any more, or one of an earlier generation, is refused. A cooperative rebalance takes some partitions from a member that lives and
  goes on with the others; ending its transactions would cost it the chunk at hand each time, for nothing. What it has sent and not
  decided yet is waited for: offsets are read when it is decided, within two seconds; then it is taken for dead, and ended.
- In every other case (files, bounded runs, further sinks) the owner of a partition is named in the log by its transactional id, and who takes
  it over ends the transactions of that id: `positions_log.py` has the protocol and why it is safe. Members write themselves into the log
  too, so that a bounded run of the same pipeline takes over from them, and they from it.

The id holds a random part, so that two processes never end each other's transactions by accident; with a static member (`instance`) it is
stable, so that a process which was killed and started again ends its own at once. Within an instance it stays the same when the sink is
reopened: beginning anew under the same id is what settles a commit whose outcome is not known.

**After any error of the environment** the producer is dropped and `RetryableError` raised. The engine closes, opens, claims: `init_transactions`
waits until the brokers have decided what was begun, and positions are read after that.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from functools import partial

import pyarrow as pa

from ddpm_core import (
    Batch,
    BuildContext,
    ConfigError,
    DeadLetter,
    FatalError,
    FencedError,
    Positions,
    Reject,
    RetryableError,
    Sink,
    conform,
)
from ddpm_kafka.connection import OFFSETS_KEPT, PATIENCE, Cluster, SharedKafka
from ddpm_kafka.positions import PARTITIONS, TOPIC, Kept, Owner
from ddpm_kafka.positions_group import GroupOffsets, offsets_of, topic_partition
from ddpm_kafka.positions_log import PositionsLog
from ddpm_kafka.producer import Outbox, end_transactions_of
from ddpm_kafka.producer_errors import EndedError, NotMemberError
from ddpm_kafka.sink_connection import connection_of, name_in_pipeline
from ddpm_kafka.sink_messages import MessageMaker
from ddpm_kafka.sink_options import KafkaSinkOptions
from ddpm_kafka.sink_topic import LARGEST, TopicFacts, look_at, prepare_topic
from ddpm_kafka.topics import missing_topics

log = logging.getLogger("ddpm.kafka.sink")

_PATIENT_WITH_MEMBERS = 2.0
"""Seconds in which a member that lives decides a commit that it has begun."""

_NDJSON = ("ndjson", "jsonl")


def build(options: KafkaSinkOptions, context: BuildContext) -> KafkaSink:
    """The sink for these options. Opens nothing.

    Raises:
        ConfigError: No topic is named; or no brokers, and the source is not Kafka's; or the format cannot be written.
    """
    if not options.target:
        raise ConfigError("sink kafka: no topic is named", hint="Set `topic`, or write kafka://host:port/topic.")
    return KafkaSink(options, context)


class KafkaSink(Sink):
    """Rows into a topic, in the way and with the promises that this module describes."""

    def __init__(self, options: KafkaSinkOptions, context: BuildContext) -> None:
        self.keeps_positions = options.guarantee == "exactly_once"
        self._options = options
        self._context = context
        self._connection, shared = connection_of(options, context, "sink kafka", options.target)
        ((name, values),) = options.format.items()
        output = context.output("json" if name in _NDJSON else name, values)
        self._maker = MessageMaker(options, output.serializer, context.output("json", {}).serializer)
        self._topic = options.target
        self._kept = Kept(context.pipeline, name_in_pipeline(context, options.target))
        self._cluster = Cluster(self._connection)
        self._group = self._group_offsets(shared)
        self._member = self._group is not None and context.bounds is None
        self._most = LARGEST
        self._outbox = Outbox(self._connection, {})
        self._ending: Outbox | None = None
        """What ends, or ended last, the transactions of an earlier owner."""
        self._log: PositionsLog | None = None
        self._claimed: dict[str, bool] = {}
        """Partition -> whether it was taken over, not only looked at."""
        self._id = self._transactional_id(shared)

    def open(self) -> None:
        self.close()
        self._cluster.open()
        facts = prepare_topic(self._cluster, self._topic, self._options.min_partitions, replication=self._options.replication)
        self._check_topic(facts)
        self._most = min(facts.largest, self._options.max_message_bytes or facts.largest)
        self._outbox = self._new_outbox(facts.largest)
        if self.keeps_positions:
            self._open_log()
        self._outbox.open()

    def inspect(self) -> None:
        """Reach the brokers and look at the topics. Those that a run would make are told in the log."""
        self.close()
        self._cluster.open()
        wanted = (self._topic, TOPIC) if self.keeps_positions else (self._topic,)
        missing = missing_topics(self._cluster, wanted)
        if self._topic in missing:
            log.warning("topic %s does not exist at %s yet: a run creates it", self._topic, self._cluster.where)
        else:
            self._check_topic(look_at(self._cluster, self._topic))
        if self.keeps_positions and TOPIC not in missing:
            self._check_positions(look_at(self._cluster, TOPIC))

    def claim(self, partitions: Sequence[str]) -> Positions:
        if not self.keeps_positions:
            return {}
        ledger = self._opened_log()
        decided = ledger.glance()  # What is not is waited for when earlier owners have been ended: it may be theirs.
        self._claimed |= dict.fromkeys(partitions, False)
        of_group = [name for name in partitions if self._is_of_group(name)]
        others = [name for name in partitions if not self._is_of_group(name) and not self._is_finished(name)]
        left_in_peace = ledger.own(of_group, member=self._member, anew=not decided)
        ledger.own(others, member=False, anew=not decided)
        ledger.refresh()
        self._claimed |= dict.fromkeys([*of_group, *others], True)
        known: Positions = {}
        for name in partitions:
            if not self._is_of_group(name):
                known |= self._kept.generations(name)
        return known | self._offsets(of_group, left_in_peace)

    def write(self, batch: Batch) -> list[Reject]:
        self._begin()
        data, rejects, row_of = batch.data, [], None
        if self._context.columns is not None and data.num_rows:
            declared = {field.name: field for field in self._context.columns}
            conformed = conform(data, pa.schema([declared.get(field.name, field) for field in data.schema]))
            rejects, row_of = list(conformed.rejects), conformed.row
            if conformed.data is None:
                return rejects
            data = conformed.data
        if not data.num_rows:
            return rejects
        messages, refused = self._maker.messages(data, self._most)
        rejects += refused if row_of is None else [Reject(row_of(r.index), r.reason, r.message) for r in refused]
        try:
            self._outbox.send(
                self._topic,
                messages.values,
                **{name: column for name in ("keys", "timestamps", "headers") if (column := getattr(messages, name)) is not None},
            )
        except EndedError as error:
            raise self._ended(error) from None
        return sorted(rejects, key=lambda reject: reject.index)

    def commit(self, positions: Positions, dead_letters: Sequence[DeadLetter]) -> None:
        if not self.keeps_positions:
            self._outbox.commit()
            return
        self._begin()
        self._own_what_is_new(positions)
        of_source = {name: at for name, at in positions.items() if self._is_of_group(name)}
        kept = {name: at for name, at in positions.items() if name not in of_source}
        try:
            if kept:
                keys, values = zip(*self._kept.position_messages(kept), strict=True)
                self._outbox.send(TOPIC, values, keys, partition=self._kept.partition)
            metadata = self._group.metadata(member=self._member) if of_source and self._group is not None else None
            self._outbox.commit(offsets_of(of_source), metadata)
        except EndedError as error:
            raise self._ended(error) from None
        except NotMemberError as error:
            raise RetryableError(f"the source's group takes no offsets from this member now: {error}") from None
        self._kept.positions |= kept

    def rollback(self) -> None:
        self._outbox.abort()

    def cancel(self) -> None:
        """See there. An outbox that waits ends by itself; what waits for the cluster's answers asks `watch`.

        Not by a `RetryableError`, after which those would ask the cluster again.
        """
        self._outbox.cancel()
        if self._ending is not None:
            self._ending.cancel()
        watch = self._cluster.watch
        watch.refusal = watch.refusal or FatalError(f"the work on {self._cluster.where} was interrupted")

    def close(self) -> None:
        self._outbox.abort(2.0)
        self._outbox.drop()
        if self._group is not None:
            self._group.close()
        if self._log is not None:
            self._log.close()
            self._log = None
        self._cluster.close()

    # How.

    def _group_offsets(self, shared: SharedKafka | None) -> GroupOffsets | None:
        """The group's offsets, if they are this sink's positions."""
        if shared is None or not self.keeps_positions or self._context.shared.get(OFFSETS_KEPT):
            return None
        self._context.shared[OFFSETS_KEPT] = True
        return GroupOffsets(self._cluster, shared)

    def _transactional_id(self, shared: SharedKafka | None) -> str:
        instance = getattr(shared.options, "instance", None) if shared is not None and self._member else None
        mine = f"{instance}-{self._context.worker}" if instance else uuid.uuid4().hex[:12]
        return f"ddpm-{self._context.pipeline}-{self._kept.target}-{mine}"

    def _new_outbox(self, largest: int) -> Outbox:
        settings = {
            "compression.type": self._options.compression,
            "partitioner": self._options.partitioner,
            "batch.size": min(1_000_000, largest),
            "message.max.bytes": max(1_000_000, min(largest, 1_000_000_000)),
        }
        return Outbox(
            self._connection,
            settings,
            transactional_id=self._id if self.keeps_positions else None,
            transaction_timeout=self._options.transaction_timeout,
        )

    def _open_log(self) -> None:
        facts = prepare_topic(
            self._cluster, TOPIC, PARTITIONS, replication=self._options.replication, settings={"cleanup.policy": "compact"}
        )
        self._check_positions(facts)
        end_transactions = partial(end_transactions_of, using=self._use_to_end)
        opened = PositionsLog(self._connection, self._cluster, self._kept, Owner(self._id), end_transactions)
        opened.open()
        self._log = opened

    def _use_to_end(self, outbox: Outbox) -> None:
        self._ending = outbox

    def _check_topic(self, facts: TopicFacts) -> None:
        if facts.compacted and not self._options.key:
            raise ConfigError(
                f"topic {self._topic} is compacted, so its messages need a key", hint="Set `key` to the column that is it."
            )

    def _check_positions(self, facts: TopicFacts) -> None:
        if not facts.compacted:
            raise ConfigError(
                f"topic {TOPIC} of {self._cluster.where} forgets messages after a while, and positions must stay",
                hint="Set its cleanup.policy to compact.",
            )

    def _opened_log(self) -> PositionsLog:
        if self._log is None:
            raise RetryableError(f"{self._cluster.where} is not open")
        return self._log

    def _begin(self) -> None:
        """A producer that may write: after a new one is made, the log says whether all is still owned."""
        if self._outbox.ready:
            return
        ledger = self._opened_log() if self.keeps_positions else None
        self._outbox.open()
        if ledger is not None:
            ledger.refresh()
            self._check_owned(ledger, self._claimed)

    def _own_what_is_new(self, positions: Positions) -> None:
        """Partitions that were only looked at, because they were finished, are taken over by the first commit of them."""
        ledger = self._opened_log()
        owners = {self._owner(name) for name in positions}
        new = [name for name in owners if not self._claimed.get(name)]
        if new:
            before = {name: self._kept.generations(name) for name in new}
            ledger.own(new, member=False)
            self._claimed |= dict.fromkeys(new, True)
            if moved := sorted(name for name in new if _offsets(before[name]) != _offsets(self._kept.generations(name))):
                raise FencedError(moved)
        self._check_owned(ledger, owners)

    def _check_owned(self, ledger: PositionsLog, partitions: Iterable[str]) -> None:
        taken = ledger.lost([name for name in partitions if self._claimed.get(name)])
        if taken:
            raise self._fenced(taken)

    def _fenced(self, taken: Sequence[str]) -> FencedError:
        for name in taken:
            self._claimed.pop(name, None)
        return FencedError(sorted(taken))

    def _ended(self, error: EndedError) -> FencedError | RetryableError:
        """What it means that the brokers take nothing more from this producer: the log says who ended its transactions, and why."""
        self._outbox.drop()
        if self.keeps_positions and self._log is not None:
            self._log.refresh()
            if taken := self._log.lost([name for name, owned in self._claimed.items() if owned]):
                return self._fenced(taken)
        return RetryableError(
            f"{self._cluster.where} ended the transaction before it was committed: {error}",
            hint=f"It may have been open for longer than {self._options.transaction_timeout:g} s: raise `transaction_timeout` of the sink.",
        )

    def _offsets(self, partitions: Sequence[str], left_in_peace: set[Owner]) -> Positions:
        """Where the source's group stands, when all that was begun there is decided."""
        if not partitions or self._group is None:
            return {}
        found = self._group.read(partitions, _PATIENT_WITH_MEMBERS)
        if found is None:
            self._opened_log().end(left_in_peace)
            found = self._group.read(partitions, PATIENCE)
        if found is None:
            raise RetryableError(
                "a transaction that holds offsets of the source's group is not decided",
                hint="If its process died, the brokers end it by themselves, within a minute by default.",
            )
        return found

    def _is_of_group(self, name: str) -> bool:
        return self._group is not None and topic_partition(name) is not None

    def _is_finished(self, name: str) -> bool:
        generations = self._kept.generations(name)
        return bool(generations) and all(at.finished for at in generations.values())

    def _owner(self, name: str) -> str:
        """The partition under which a partition or generation was claimed."""
        return name if name in self._claimed else name.rpartition("#")[0] or name


def _offsets(positions: Positions) -> dict[str, int]:
    return {name: at.offset for name, at in positions.items()}

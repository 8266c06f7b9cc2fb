"""The source `kafka`."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ddpm_core import (
    BuildContext,
    ConfigError,
    EndOfSource,
    FatalError,
    Item,
    Messages,
    Position,
    Positions,
    ReadBounds,
    RetryableError,
    Source,
)
from ddpm_kafka.connection import OFFSETS_KEPT, Cluster, SharedKafka, Watch, cluster_name, make
from ddpm_kafka.errors import of_kafka, refused, said
from ddpm_kafka.source_bounds import ends, members_of, refuse_beside, share
from ddpm_kafka.source_columns import Polled, Portions, columns, only_moved
from ddpm_kafka.source_config import client_id, consumer_config, group_of
from ddpm_kafka.source_leaving import leave
from ddpm_kafka.source_notes import PARTITIONS, START
from ddpm_kafka.source_offsets import GroupOffsets
from ddpm_kafka.source_options import KafkaSourceOptions
from ddpm_kafka.source_parts import Part, Parts
from ddpm_kafka.source_start import ASKED, Beginning, Place, Question, StartRules, partition_name, recreated
from ddpm_kafka.topics import Topic, describe, look_for_topics, topics_to_read
from ddpm_kafka.topics_watch import TopicWatch, deleted

log = logging.getLogger("ddpm.kafka.source")

MOVED_AFTER = 5.0
"""Seconds that markers behind the last message may wait before they are noted as read."""


def build(options: KafkaSourceOptions, context: BuildContext) -> KafkaSource:
    """The source that these options describe.

    Raises:
        ConfigError: They name no brokers, or no topic.
    """
    if problems := options.missing():
        raise ConfigError(problems)
    return KafkaSource(options, context)


class KafkaSource(Source):
    """Hands out the messages of topics. Endless runs join a consumer group; bounded ones take their partitions themselves.

    A partition that was given to it is begun by taking it away from the client and giving it back at its offset: a partition that is
    only paused and then sought takes a second to fetch anything, while that takes milliseconds (measured, librdkafka 2.16).
    """

    def __init__(self, options: KafkaSourceOptions, context: BuildContext) -> None:
        self._options = options
        self._bounds = context.bounds
        self._context = context
        self._group = group_of(options, context)
        self._cluster = Cluster(options)
        self._consumer: Any = None
        self._joined = False
        self._membership: object | None = None
        self._reset()
        self._asked = "" if self._bounds is None or self._bounds.start is None else str(self._bounds.start)
        context.shared["kafka"] = SharedKafka(
            options, self._group, lambda: self._membership, lambda: self._cluster.id, options.reads
        )

    def _reset(self) -> None:
        self._watch = Watch(cluster_name(self._options))
        self._parts = Parts()
        self._names: dict[Any, str] = {}
        self._reached: dict[str, int] = {}
        self._details: dict[str, dict[str, Any]] = {}
        self._ends: dict[str, int] = {}
        """Where the log was seen to end."""
        self._until: dict[str, int] = {}
        """In a bounded run, where each partition ends."""
        self._questions: list[tuple[Question, list[tuple[Part, int]]]] = []
        self._portions = Portions()
        self._choose = False
        """Some messages may be of partitions that are not live."""
        self._moved = time.monotonic()
        self._started: Positions = {}
        """Where partitions begin that is to be handed out, for a sink to remember."""
        self._offsets = GroupOffsets(self._offsets_kept)

    # What a sink on the same cluster asks for.

    def _note_membership(self, consumer: Any) -> None:
        """Keep what a sink needs to send offsets as this member. The sink cannot ask the consumer itself: the library lets one thread at a
        time use it, and who waits in `poll` again and again keeps all others out for as long as nothing comes (seen with 2.16)."""
        if self._joined and self._offsets_kept():
            self._membership = consumer.consumer_group_metadata()

    def _offsets_kept(self) -> bool:
        """Whether a sink keeps the group's offsets. It says so when it is built, which is after this source."""
        return bool(self._context.shared.get(OFFSETS_KEPT))

    # The contract.

    def open(self) -> None:
        """Reach the brokers, create or grow topics where asked, and join the group, or list what is to be read."""
        self._reset()
        self._cluster.open()
        options = self._options
        least = None if self._context.looking else options.min_partitions
        topics = topics_to_read(self._cluster, options.names, options.patterns, least, options.replication)
        if not topics:  # A run that is bounded ends at once.
            log.warning("no topic of %s matches %s yet", self._cluster.where, ", ".join(options.wanted))
        self._known = {topic.name: topic.partitions for topic in topics.values()}
        self._offsets.known = self._known
        self._topic_watch = TopicWatch(self._cluster)
        self._taken = options.taken(self._context.shared.get("metadata", ()))
        bounds = self._bounds
        self._rules = StartRules(
            start=options.start if bounds is None or bounds.start is None else bounds.start,
            group="" if bounds is not None and bounds.start is not None else self._group,
            resumes=not self._context.positions_kept,
            known=self._known,
            asked=self._asked,
        )
        if bounds is not None:
            self._open_bounded(topics, bounds)
        else:
            self._consumer = self._make(member=True)
            self._consumer.subscribe(
                list(options.wanted), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )

    def inspect(self) -> None:
        """Reach the brokers and look for the topics. Those that a run would make or grow are told in the log."""
        self._reset()
        self._cluster.open()
        look_for_topics(self._cluster, self._options.names, self._options.patterns, self._options.min_partitions)

    def _make(self, *, member: bool) -> Any:
        context = self._context
        config = consumer_config(
            self._options,
            group=self._group,
            pipeline=context.pipeline,
            worker=context.worker,
            member=member,
            partitions=sum(self._known.values()),
        )
        return make(Consumer, {**config, "on_commit": self._offsets.heard}, self._watch)

    def _open_bounded(self, topics: dict[str, Topic], bounds: ReadBounds) -> None:
        context = self._context
        members = members_of(self._cluster, self._group)
        ours = client_id(self._options, context.pipeline) in members
        if ours or (members and self._rules.resumes and bounds.start is None):
            raise refuse_beside(self._group, context.pipeline, len(members))
        if members or bounds.start is not None:
            self._offsets.enabled = False  # Another pipeline's, or not where the next run is to go on.
        places = share(topics.values(), context.worker, context.workers)
        self._until = ends(self._cluster, places, bounds.end)
        self._consumer = self._make(member=False)
        self._parts.assigned(places)
        self._name_places()

    def seek(self, positions: Positions) -> None:
        parts = self._parts.answered()
        if parts:
            question = Question(self._cluster, self._rules, [part.place for part in parts], positions)
            self._questions.append((question, [(part, part.serial) for part in parts]))

    def read(self, timeout: float) -> Item | None:
        if (assigned := self._parts.take()) is not None:
            return assigned
        consumer = self._consumer
        self._watch.check()
        self._look_at_topics()
        self._begin_what_is_known()
        self._offsets.look_after(consumer)
        self._note_membership(consumer)  # With each read, since a generation may change without a partition that moves.
        if self._started:
            started, self._started = self._started, {}
            return Messages([], [], [], started, dict(started))
        if self._finished():
            return self._end()
        try:
            message = consumer.poll(min(timeout, 0.02) if self._questions else timeout)
            polled = [] if message is None else [message, *consumer.consume(self._portions.count - 1, 0)]
        except KafkaException as error:
            raise of_kafka(error, self._cluster.where) from None
        if not polled:
            return self._parts.take() or self._silence()
        return self._messages(polled)

    def pause(self, partitions: Sequence[str]) -> None:
        parts = [part for name in partitions if (part := self._parts.by_name.get(name)) is not None]
        for part in parts:
            part.paused = True
        self._stop([part for part in parts if part.live])

    def resume(self, partitions: Sequence[str]) -> None:
        parts = [part for name in partitions if (part := self._parts.by_name.get(name)) is not None and part.paused]
        for part in parts:
            part.paused = False
        self._go([part for part in parts if part.live])

    def reassign(self, partitions: Sequence[str]) -> None:
        parts = [part for name in partitions if (part := self._parts.by_name.get(name)) is not None]
        self._stop(parts)
        self._parts.assigned(part.place for part in parts)
        self._choose = True

    def commit(self, positions: Positions) -> None:
        for name, position in positions.items():
            part = self._parts.by_name.get(name)
            if part is not None and self._offsets_kept():
                if name in self._details:
                    self._details[name] = {**self._details[name], START: position.offset}
            elif part is not None:
                self._offsets.add(part.place, position.offset)

    def close(self) -> None:
        try:
            if self._consumer is not None:
                leave(self._consumer, self._offsets, member=self._bounds is None)
        finally:
            self._consumer, self._joined, self._membership = None, False, None
            self._parts = Parts()
            self._questions.clear()
            self._cluster.close()

    # The group's word, from within `poll`.

    def _on_assign(self, consumer: Any, points: list[TopicPartition]) -> None:
        self._joined = True
        self._note_membership(consumer)
        self._watch.up()
        if not points:
            return
        # At some offset, so that the client does not look for one; paused, so that it does not fetch.
        consumer.incremental_assign([TopicPartition(point.topic, point.partition, 0) for point in points])
        consumer.pause(points)
        self._parts.assigned((point.topic, point.partition) for point in points)
        self._name_places()
        log.info("assigned by group %s: %s", self._group, _listed(points))

    def _on_revoke(self, consumer: Any, points: list[TopicPartition]) -> None:
        places = [(point.topic, point.partition) for point in points]
        if places:
            self._note_membership(consumer)  # What is drained is still committed as this member.
            self.drain([partition_name(place) for place in places])
            self._offsets.post(consumer, places)
            consumer.incremental_unassign(points)
            log.info("given up: %s", _listed(points))
        self._forget(places)

    def _on_lost(self, consumer: Any, points: list[TopicPartition]) -> None:
        places = [(point.topic, point.partition) for point in points]
        if places:
            self.lost([partition_name(place) for place in places])
            consumer.incremental_unassign(points)
            log.warning("taken away by group %s without warning: %s", self._group, _listed(points))
        self._forget(places)

    def _forget(self, places: list[Place]) -> None:
        self._offsets.forget(places)
        self._parts.gone(places)
        for place in places:
            for known in (self._reached, self._details, self._ends):
                known.pop(partition_name(place), None)
        self._name_places()

    def _name_places(self) -> None:
        """Messages name their partition by number alone where there is one topic, which is quicker."""
        places = {part.place: part.name for part in self._parts.by_name.values()}
        alone = len(self._options.names) == 1 and not self._options.patterns
        self._names = {place[1]: name for place, name in places.items()} if alone else dict(places)
        self._choose = True

    # Beginning, stopping, going on.

    def _begin_what_is_known(self) -> None:
        for asked in list(self._questions):
            question, parts = asked
            answer = question.answer()
            if answer is None:
                continue
            self._questions.remove(asked)
            begun = []
            for part, serial in parts:
                if self._parts.by_name.get(part.name) is part and part.serial == serial:
                    beginning = answer[part.place]
                    part.live, part.topic = True, beginning.topic
                    self._reached[part.name] = beginning.offset
                    self._details[part.name] = self._detail(beginning)
                    self._ends.pop(part.name, None)
                    if beginning.noted:
                        self._note(part, beginning.offset)
                    begun.append(part)
            self._go([part for part in begun if not part.paused])
            self._choose = True

    def _detail(self, beginning: Beginning) -> dict[str, Any]:
        """What goes into the positions of a partition."""
        detail: dict[str, Any] = {"cluster": self._cluster.id, "topic_id": beginning.topic.id}
        if self._offsets_kept():
            detail |= {PARTITIONS: self._known.get(beginning.topic.name, 0), START: beginning.offset}
        if self._asked:
            detail[ASKED] = self._asked
        return detail

    def _note(self, part: Part, offset: int) -> None:
        """This partition began here, and not at its beginning: a restart has to know, though nothing of it may have come by then."""
        if self._offsets_kept():
            self._started[part.name] = Position(offset, self._details[part.name])
        else:
            self._offsets.add(part.place, offset)

    def _go(self, parts: Sequence[Part]) -> None:
        """Have them fetched from where they stand."""
        parts = [part for part in parts if not self._is_done(part.name)]
        if not parts:
            return
        points = [TopicPartition(*part.place, self._reached[part.name]) for part in parts]
        consumer = self._consumer
        try:
            known = {(point.topic, point.partition) for point in consumer.assignment()}
            again = [point for point in points if (point.topic, point.partition) in known]
            if again:
                consumer.incremental_unassign(again)
                consumer.resume(again)  # The mark of a pause outlives the assignment.
            consumer.incremental_assign(points)
        except KafkaException as error:
            raise of_kafka(error, f"cannot begin with {_listed(points)}") from None

    def _stop(self, parts: Sequence[Part]) -> None:
        points = [TopicPartition(*part.place) for part in parts]
        known = {(point.topic, point.partition) for point in self._consumer.assignment()} if points else set()
        points = [point for point in points if (point.topic, point.partition) in known]
        if points:
            self._consumer.pause(points)

    # What was read.

    def _messages(self, polled: Polled) -> Item | None:
        if any(map(Message.error, polled)):  # An error is true; comparing one with None raises (2.16).
            for message in polled:
                if (error := message.error()) is not None:
                    self._failure(message, error)
            polled = [message for message in polled if message.error() is None]
        if self._choose:
            live = {part.place for part in self._parts.by_name.values() if part.live and not part.paused}
            polled = [message for message in polled if (message.topic(), message.partition()) in live]
            self._choose = len(live) < len(self._parts.by_name)
        if not polled:
            return self._parts.take() or self._silence()
        found = columns(polled, self._names, self._reached, self._details, self._taken, self._until)
        if found is None:
            return self._silence()
        self._portions.saw(len(found), found.nbytes)
        if self._until:
            self._stop([part for name in found.next if self._is_done(name) and (part := self._parts.by_name[name])])
        return found

    def _failure(self, message: Message, error: KafkaError) -> None:
        """A message that is none: something about its partition, or about the group."""
        place = (str(message.topic()), int(message.partition() or 0))
        name = partition_name(place)
        part = self._parts.by_name.get(name)
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            if part is not None and part.live and message.offset() is not None:
                self._ends[name] = int(message.offset() or 0)
        elif code == KafkaError._AUTO_OFFSET_RESET:
            if part is not None and part.live:
                raise self._out_of_range(part, error)
        elif code in (KafkaError._BAD_MSG, KafkaError.INVALID_MSG, KafkaError._BAD_COMPRESSION):
            at = self._reached.get(name)
            raise FatalError(
                f"{name} holds messages that are damaged{'' if at is None else f', at offset {at:,} or shortly after'}: {said(error)}",
                hint="Restore the partition from a replica. Nothing of it was skipped.",
            )
        elif code == KafkaError.UNKNOWN_TOPIC_OR_PART and message.topic() in self._options.names:
            raise deleted(place[0], self._cluster.where)
        elif refused(error) or error.fatal():
            raise of_kafka(error, name if part is not None else self._cluster.where)
        else:
            raised = of_kafka(error, name if part is not None else self._cluster.where)
            if not isinstance(raised, RetryableError):
                raise raised
            log.info("%s", raised.message)  # The client goes on by itself.

    def _out_of_range(self, part: Part, error: KafkaError) -> FatalError:
        now = describe(self._cluster, [part.place[0]]).get(part.place[0])
        if now is not None and part.topic is not None and now.id != part.topic.id:
            return recreated(part.place, self._reached[part.name])
        return FatalError(
            f"{part.name} stands at offset {self._reached[part.name]:,}, which its log does not hold any more: {said(error)}",
            hint="Messages were deleted before they were read. To read it from its beginning, give the pipeline another name "
            "(or `ddpm run --as NAME`).",
        )

    def _look_at_topics(self) -> None:
        changed = self._topic_watch.changed(self._parts.topics)
        if changed is None:
            return
        was, now = changed
        if now is None:
            if self._options.patterns and was.name not in self._options.names:
                return  # The group takes its partitions away.
            raise deleted(was.name, self._cluster.where)
        part = next(part for part in self._parts.by_name.values() if part.live and part.place[0] == was.name)
        raise recreated(part.place, self._reached[part.name])

    def _silence(self) -> Item | None:
        """Nothing came: what lies behind the last message is noted from time to time."""
        if self._ends and (self._until or time.monotonic() - self._moved >= MOVED_AFTER):
            return self._note_ends()
        return None

    def _note_ends(self) -> Item | None:
        self._moved = time.monotonic()
        found = {name: min(end, self._until.get(name, end)) for name, end in self._ends.items()}
        self._ends = {}
        return only_moved(found, self._reached, self._details)

    # The end of a bounded run.

    def _finished(self) -> bool:
        if self._bounds is None or self._questions or not all(part.live for part in self._parts.by_name.values()):
            return False
        return all(self._is_done(name) for name in self._until)

    def _is_done(self, name: str) -> bool:
        return name in self._until and max(self._reached[name], self._ends.get(name, 0)) >= self._until[name]

    def _end(self) -> Item:
        return self._note_ends() or EndOfSource()


def _listed(points: Sequence[TopicPartition]) -> str:
    names = [f"{point.topic}/{point.partition}" for point in points]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")

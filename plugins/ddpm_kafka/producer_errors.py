"""Why brokers take nothing more from a transactional producer."""

from __future__ import annotations

from confluent_kafka import KafkaError

FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_ID_MAPPING,
    KafkaError.TRANSACTION_COORDINATOR_FENCED,
    KafkaError.INVALID_TXN_STATE,
}
OF_GROUP = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.FENCED_INSTANCE_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError.STALE_MEMBER_EPOCH,
}


class EndedError(Exception):
    """The brokers take nothing more from this producer: another one began under its id, or its transaction took too long."""


class NotMemberError(Exception):
    """The consumer group does not take offsets from this member now: it is being rebalanced, or went on without it."""

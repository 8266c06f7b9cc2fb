"""What librdkafka and the brokers say, turned into DDPM's errors: wait, stop, or correct the configuration.

Neither the library nor the brokers repeat a password in what they say (measured, 2.16: SCRAM, PLAIN, OAUTHBEARER).
"""

from __future__ import annotations

import re

from confluent_kafka import KafkaError, KafkaException

from ddpm_core import ConfigError, DdpmError, FatalError, RetryableError

_LOGIN = "Check security.mechanism, security.username and security.password."
_RIGHTS = "Ask for the right (an ACL) on it, or log in as another user."
_REFUSED = {
    KafkaError._AUTHENTICATION: _LOGIN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "Set security.mechanism to one that the brokers offer.",
    KafkaError.ILLEGAL_SASL_STATE: "Set security.mechanism to one that the brokers offer.",
    KafkaError.SECURITY_DISABLED: "The brokers have no authorizer.",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.GROUP_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: _RIGHTS,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: _RIGHTS,
}
_STOP = {
    KafkaError.FENCED_INSTANCE_ID: "Another process runs with the same `instance` and group. Give each one a name of its own.",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "Other members of the group use another protocol or assignment strategy. "
    "Stop them, or use another `group`.",
    KafkaError.UNSUPPORTED_VERSION: "The brokers are too old for it.",
    KafkaError._UNSUPPORTED_FEATURE: "The brokers are too old for it.",
    KafkaError._NOT_IMPLEMENTED: "",
    KafkaError.INVALID_GROUP_ID: "Use another `group`.",
    KafkaError.INVALID_SESSION_TIMEOUT: "The brokers' group.min.session.timeout.ms and group.max.session.timeout.ms must allow it.",
    KafkaError.GROUP_MAX_SIZE_REACHED: "The group has as many members as the brokers allow.",
    KafkaError.MSG_SIZE_TOO_LARGE: "",
}
_WRONG = {
    KafkaError._INVALID_ARG: "",
    KafkaError.TOPIC_EXCEPTION: "Correct the topic's name: letters, digits, `.`, `_` and `-`, at most 249 of them.",
    KafkaError.INVALID_PARTITIONS: "",
    KafkaError.INVALID_REPLICATION_FACTOR: "There are fewer brokers than copies asked for; correct `replication`.",
    KafkaError.POLICY_VIOLATION: "The brokers' policy does not allow it.",
}
_WAIT = {
    KafkaError._TRANSPORT: "",
    KafkaError._ALL_BROKERS_DOWN: "",
    KafkaError._TIMED_OUT: "",
    KafkaError._TIMED_OUT_QUEUE: "",
    KafkaError._RESOLVE: "",
    KafkaError._WAIT_COORD: "",
    KafkaError._MAX_POLL_EXCEEDED: "",
    KafkaError._STATE: "",
    KafkaError._DESTROY: "",
    KafkaError._IN_PROGRESS: "",
    KafkaError._CONFLICT: "",
    KafkaError._PREV_IN_PROGRESS: "",
    KafkaError._NO_OFFSET: "",
    KafkaError._NOENT: "",
    KafkaError._UNKNOWN_PARTITION: "",
    KafkaError._UNKNOWN_TOPIC: "",
    KafkaError._SSL: "Check security.tls, security.ca and the host names of the brokers.",
    KafkaError.UNKNOWN: "See the brokers' log.",
    KafkaError.KAFKA_STORAGE_ERROR: "See the brokers' log.",
    KafkaError.UNKNOWN_TOPIC_OR_PART: "",
    KafkaError.UNKNOWN_TOPIC_ID: "",
    KafkaError.UNKNOWN_MEMBER_ID: "",
    KafkaError.ILLEGAL_GENERATION: "",
    KafkaError.REBALANCE_IN_PROGRESS: "",
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS: "",
    KafkaError.COORDINATOR_NOT_AVAILABLE: "",
    KafkaError.NOT_COORDINATOR: "",
    KafkaError.LEADER_NOT_AVAILABLE: "",
    KafkaError.NOT_LEADER_FOR_PARTITION: "",
    KafkaError.OFFSET_NOT_AVAILABLE: "",
    KafkaError.FENCED_LEADER_EPOCH: "",
    KafkaError.UNKNOWN_LEADER_EPOCH: "",
    KafkaError.BROKER_NOT_AVAILABLE: "",
    KafkaError.REPLICA_NOT_AVAILABLE: "",
    KafkaError.REQUEST_TIMED_OUT: "",
    KafkaError.NETWORK_EXCEPTION: "",
    KafkaError.NOT_ENOUGH_REPLICAS: "",
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND: "",
    KafkaError.CONCURRENT_TRANSACTIONS: "",
    KafkaError.UNSTABLE_OFFSET_COMMIT: "",
    KafkaError.NOT_CONTROLLER: "",
    KafkaError.THROTTLING_QUOTA_EXCEEDED: "",
}

_STOOD_STILL = re.compile(r"All brokers are currently fenced")
"""The controller has not heard of them for seconds: they come up, or stood still."""
_FENCED = re.compile(r"fenced by other consumer with same group\.instance\.id")

# A connection that breaks off in the middle of logging in comes under the code of a refusal too.
_BROKEN_OFF = re.compile(r"Local: |[Dd]isconnected|timed? ?out|Failed to acquire|Connection reset|closed", re.IGNORECASE)
_CERTIFICATE = re.compile(
    r"certificate verify failed|certificate has expired|hostname mismatch|self.signed|unknown ca", re.IGNORECASE
)
_STATE = re.compile(r" ?\(after \d+ms in state [A-Z0-9_-]+(?:, \d+ identical error\(s\) suppressed)?\)")
_WHO = re.compile(r"^(?:\[thrd:[^]]*\]: ?)?(?:[a-z_]+://)?\S+/(?:bootstrap|\d+): ")


def refused(error: KafkaError) -> bool:
    """Whether the brokers will not have us, so that waiting cannot help: a wrong password, a certificate that nobody signed."""
    if error.code() == KafkaError._SSL:
        return bool(_CERTIFICATE.search(error.str()))
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        return not _BROKEN_OFF.search(error.str())
    return error.code() in _REFUSED


def of_kafka(error: KafkaError | KafkaException, where: str) -> DdpmError:
    """What to raise for an error of the library.

    Args:
        error: What it raised, handed to a callback, or put into a message.
        where: What was done and where, for the message: `Kafka at localhost:9092`, `cannot commit offsets of group g`.
    """
    error = unwrap(error)
    code, text = error.code(), said(error)
    if refused(error):
        return FatalError(
            f"{where}: {text}", hint=_REFUSED.get(code, "Check security.ca, and that the brokers' certificate names their host.")
        )
    if _FENCED.search(text):  # It comes as an error without a code of its own.
        code, text = KafkaError.FENCED_INSTANCE_ID, "another consumer has taken this one's place in the group"
    if code in _STOP:
        return FatalError(f"{where}: {text}", hint=_STOP[code])
    if code == KafkaError.INVALID_REPLICATION_FACTOR and _STOOD_STILL.search(text):
        return RetryableError(f"{where}: {text}")
    if code in _WRONG and not error.retriable():
        return ConfigError(f"{where}: {text}", hint=_WRONG[code])
    if code in _WAIT or code in _REFUSED or (error.retriable() and not error.fatal()):
        return RetryableError(f"{where}: {text}", hint=_WAIT.get(code, ""))
    return FatalError(f"{where}: {text} ({error.name()})")


def unwrap(error: KafkaError | KafkaException) -> KafkaError:
    """The error inside an exception of the library."""
    if isinstance(error, KafkaException):
        inner = error.args[0] if error.args else None
        return inner if isinstance(inner, KafkaError) else KafkaError(KafkaError._FAIL, str(error))
    return error


def said(error: KafkaError) -> str:
    """The library's own sentence, without the names of its threads and states."""
    text = _STATE.sub("", _WHO.sub("", error.str())).strip()
    return text[:500] or error.name()

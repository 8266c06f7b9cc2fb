"""Which of the client library's own settings a user may pass through, and why the others are refused.

An allow-list: what is not named here is refused, so that a setting of a newer library, one that loads code or starts a program, is
never passed on by accident. Settings that decide delivery are DDPM's own.
"""

from __future__ import annotations

from collections.abc import Mapping

BOTH = frozenset(
    [
        "api.version.request.timeout.ms",
        "broker.address.family",
        "broker.address.ttl",
        "client.dns.lookup",
        "client.id",
        "client.rack",
        "connections.max.idle.ms",
        "debug",
        "log.connection.close",
        "message.max.bytes",
        "metadata.max.age.ms",
        "metadata.recovery.rebootstrap.trigger.ms",
        "metadata.recovery.strategy",
        "receive.message.max.bytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "retry.backoff.max.ms",
        "retry.backoff.ms",
        "socket.connection.setup.timeout.ms",
        "socket.keepalive.enable",
        "socket.max.fails",
        "socket.nagle.disable",
        "socket.receive.buffer.bytes",
        "socket.send.buffer.bytes",
        "socket.timeout.ms",
        "ssl.cipher.suites",
        "ssl.curves.list",
        "ssl.sigalgs.list",
        "topic.metadata.propagation.max.ms",
        "topic.metadata.refresh.fast.interval.ms",
        "topic.metadata.refresh.interval.ms",
        "topic.metadata.refresh.sparse",
    ]
)
"""Settings of every client."""

CONSUMER = frozenset(
    [
        "fetch.error.backoff.ms",
        "fetch.max.bytes",
        "fetch.message.max.bytes",
        "fetch.min.bytes",
        "fetch.queue.backoff.ms",
        "fetch.wait.max.ms",
        "heartbeat.interval.ms",
        "isolation.level",
        "max.partition.fetch.bytes",
        "max.poll.interval.ms",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
    ]
)
"""Settings of consumers; left out where the same connection is used to write."""

PRODUCER = frozenset(
    [
        "batch.num.messages",
        "batch.size",
        "compression.level",
        "delivery.timeout.ms",
        "linger.ms",
        "max.in.flight.requests.per.connection",
        "message.timeout.ms",
        "queue.buffering.max.kbytes",
        "queue.buffering.max.messages",
        "queue.buffering.max.ms",
        "request.timeout.ms",
        "sticky.partitioning.linger.ms",
        "transaction.timeout.ms",
    ]
)
"""Settings of producers; left out where the same connection is used to read."""

_DANGEROUS = {
    "plugin.library.paths": "it loads a program library into this process",
    "sasl.kerberos.kinit.cmd": "it runs a command in a shell",
    "ssl.engine.location": "it loads a program library into this process",
    "ssl.engine.id": "it loads a program library into this process",
    "ssl.providers": "it loads program libraries into this process",
    "opaque": "it is a pointer into this process",
    "open_cb": "it is code",
    "socket_cb": "it is code",
    "connect_cb": "it is code",
    "closesocket_cb": "it is code",
    "error_cb": "it is code",
    "log_cb": "it is code",
    "stats_cb": "it is code",
    "throttle_cb": "it is code",
    "oauth_cb": "it is code",
    "rebalance_cb": "it is code",
    "on_commit": "it is code",
    "on_delivery": "it is code",
}

_INSTEAD = {
    "bootstrap.servers": "brokers",
    "metadata.broker.list": "brokers",
    "group.id": "group",
    "group.instance.id": "instance",
    "group.protocol": "protocol",
    "auto.offset.reset": "start",
    "security.protocol": "security.tls and security.mechanism",
    "sasl.mechanism": "security.mechanism",
    "sasl.mechanisms": "security.mechanism",
    "sasl.username": "security.username",
    "sasl.password": "security.password",
    "sasl.oauthbearer.method": "security.mechanism",
    "sasl.oauthbearer.client.id": "security.username",
    "sasl.oauthbearer.client.secret": "security.password",
    "sasl.oauthbearer.scope": "security.scope",
    "sasl.oauthbearer.token.endpoint.url": "security.token_url",
    "ssl.ca.location": "security.ca",
    "ssl.certificate.location": "security.certificate",
    "ssl.key.location": "security.key",
    "ssl.key.password": "security.key_password",
    "enable.ssl.certificate.verification": "security.insecure",
    "ssl.endpoint.identification.algorithm": "security.insecure",
    "compression.type": "compression",
    "compression.codec": "compression",
    "partitioner": "partitioner",
}

_OURS = frozenset(
    [
        "acks",
        "allow.auto.create.topics",
        "auto.commit.enable",
        "auto.commit.interval.ms",
        "check.crcs",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.gapless.guarantee",
        "enable.idempotence",
        "enable.partition.eof",
        "group.remote.assignor",
        "message.send.max.retries",
        "offset.store.method",
        "offset.store.path",
        "partition.assignment.strategy",
        "request.required.acks",
        "retries",
        "transactional.id",
    ]
)


def refusal(name: str) -> str:
    """Why a user may not set this, or an empty string when he may. Called for each setting under `client`."""
    if name in BOTH or name in CONSUMER or name in PRODUCER:
        return ""
    if name in _DANGEROUS:
        return f"{_DANGEROUS[name]}; it cannot be set"
    if name in _INSTEAD:
        return f"use the option {_INSTEAD[name]}"
    if name in _OURS:
        return "delivery depends on it; ddpm sets it"
    return "it is not on the list of settings that may be passed on; they are in the README of ddpm_kafka"


def problems(settings: Mapping[str, object]) -> list[str]:
    """What is wrong with the settings under `client`, one sentence each."""
    found = [f"{name}: {why}" for name in settings if (why := refusal(name))]
    if str(settings.get("isolation.level", "read_committed")) != "read_committed":
        found.append("isolation.level: only read_committed; otherwise messages of transactions that were taken back are read")
    return found

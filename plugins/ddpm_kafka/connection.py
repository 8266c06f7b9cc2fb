"""One cluster: reaching it, and what it says of itself. What source and sinks of one pipeline share of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from ddpm_core import DdpmError, RetryableError
from ddpm_kafka.client_config import client_config
from ddpm_kafka.client_log import ClientLog
from ddpm_kafka.connection_options import ConnectionOptions
from ddpm_kafka.errors import of_kafka, refused, said

log = logging.getLogger("ddpm.kafka")

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that one call to the brokers may take. Who wants to wait longer tries again."""

DOWN = 2.0
"""Seconds after which brokers that refuse every connection are not waited for within the same call."""

SAID_AGAIN = 10.0
"""Seconds after which the same word of a client about its connections is worth another line."""

SLICE = 0.25
"""Seconds after which a waiting call looks at what `error_cb` heard."""


OFFSETS_KEPT = "kafka_offsets_kept"
"""Set in `BuildContext.shared` by a sink whose positions are the offsets of the source's group. The source then commits none: one that came
late would put the group back behind what the sink has sent inside its transactions."""


@dataclass(frozen=True, slots=True)
class SharedKafka:
    """What a Kafka source puts into `BuildContext.shared["kafka"]` when it is built.

    Attributes:
        options: How its cluster is reached.
        group: Its consumer group.
        group_metadata: The consumer's group metadata, as `Producer.send_offsets_to_transaction` takes it; None while it is not a member
            of the group (before it joined, after `close`, in a bounded run). May be called from any thread.
        cluster_id: The cluster's id; empty before the source has been opened.
        reads: Whether it reads the topic of this name.
    """

    options: ConnectionOptions
    group: str
    group_metadata: Callable[[], object | None]
    cluster_id: Callable[[], str]
    reads: Callable[[str], bool] = lambda _: False


class Watch:
    """Hears what a client tells of its connections (its `error_cb`, which it calls from within `poll` and its like).

    The library goes on trying by itself whatever happens; a call that waits for the brokers waits out its whole time even when
    the password is wrong. This is where it is known within a second.

    Args:
        where: The cluster, for messages.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.refusal: DdpmError | None = None
        self.last = ""
        self._said: dict[str, float] = {}
        self._reached = False
        self._down_since: float | None = None

    def __call__(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._down_now()
        elif refused(error) or error.fatal():
            self.refusal = self.refusal or of_kafka(error, f"cannot connect to {self.where}" if refused(error) else self.where)
        else:
            self.last = said(error)
            if time.monotonic() > self._said.get(self.last, 0.0):  # A client tries some 20 times a second.
                log.debug("%s: %s", self.where, self.last)
                self._said[self.last] = time.monotonic() + SAID_AGAIN

    def _down_now(self) -> None:
        if self._down_since is None and self._reached:
            log.warning("%s cannot be reached%s; it is tried again and again", self.where, f" ({self.last})" if self.last else "")
        self._down_since = self._down_since or time.monotonic()

    def up(self) -> None:
        """The brokers answered: the next outage is worth a word again."""
        if self._down_since is not None and self._reached:
            log.warning("%s can be reached again", self.where)
        self._reached, self._down_since = True, None

    @property
    def down_for(self) -> float:
        """Seconds since no broker could be reached any more; 0 while one can."""
        return 0.0 if self._down_since is None else time.monotonic() - self._down_since

    def check(self) -> None:
        """Raise what cannot be waited for.

        Raises:
            FatalError: The brokers do not accept this client.
        """
        if self.refusal is not None:
            raise self.refusal


def cluster_name(options: ConnectionOptions) -> str:
    """The cluster as messages name it: never with a password."""
    return f"Kafka at {','.join(options.servers)}"


class Cluster:
    """The administrative side of a connection: is it there, which cluster is it. Used from one thread.

    Args:
        options: How it is reached.
    """

    def __init__(self, options: ConnectionOptions) -> None:
        self.where = cluster_name(options)
        self.watch = Watch(self.where)
        self.id = ""
        self.options = options
        self._admin: AdminClient | None = None

    def open(self) -> None:
        """Reach a broker and ask for the cluster's id.

        Raises:
            ConfigError: The options cannot be right.
            FatalError: The brokers do not accept this client (said within about a second).
            RetryableError: None could be reached within `PATIENCE`.
        """
        self.watch = Watch(self.where)
        self._admin = make(AdminClient, {**client_config(self.options, "admin")}, self.watch)
        self.id = str(reach(self._admin, self.watch).cluster_id or "")

    @property
    def admin(self) -> AdminClient:
        """The library's client; only between `open` and `close`."""
        if self._admin is None:
            raise RuntimeError("the cluster is not open")
        return self._admin

    def answer(self, future: Future[T], what: str) -> T:
        """What a broker answers to a request of the admin client, a wrong password noticed meanwhile.

        Args:
            future: The request.
            what: What could not be done when it fails, for the message.

        Raises:
            RetryableError, FatalError, ConfigError: It did not; the message begins with `what`.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return future.result(timeout=SLICE)
            except FutureTimeout:
                self.admin.poll(0)
                self.watch.check()
                if time.monotonic() > deadline:
                    raise RetryableError(f"{what}: {self.where} did not answer within {PATIENCE:.0f} s") from None
            except KafkaException as error:
                raise of_kafka(error, what) from None

    def ask(self, request: Callable[[], Future[T]], what: str) -> T:
        """As `answer`, and asked again where the brokers cannot answer yet: a topic or a group that was just made has no leader.

        Args:
            request: Makes the request.
            what: As in `answer`.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.answer(request(), what)
            except RetryableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """Let go of the client. Safe without `open` and when called again."""
        self._admin = None


def make(kind: Callable[..., T], config: dict[str, Any], watch: Watch) -> T:
    """A client of the library, its errors and its log listened to.

    Args:
        kind: `Consumer`, `Producer` or `AdminClient`.
        config: Its settings, without callbacks for errors and the log.
        watch: Hears its errors.

    Raises:
        ConfigError: A value is not one that the library takes; or a certificate's file cannot be read.
    """
    try:
        return kind({**config, "error_cb": watch}, logger=ClientLog())
    except KafkaException as error:
        raise of_kafka(error, watch.where) from None


def reach(client: Any, watch: Watch, topic: str | None = None, patience: float = PATIENCE) -> Any:
    """The library's `ClusterMetadata`, of all topics or of one: the first thing asked of a cluster.

    Args:
        client: Any client of the library that is not subscribed to anything yet.
        watch: What hears its errors.
        topic: Only of this one; it is not created by asking.
        patience: Seconds to wait.

    Raises:
        FatalError: The brokers do not accept this client.
        RetryableError: None answered in time.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            found = client.list_topics(topic, timeout=SLICE) if topic else client.list_topics(timeout=SLICE)
            watch.up()
            return found
        except KafkaException as error:
            client.poll(0)
            watch.check()
            if time.monotonic() > deadline or watch.down_for > DOWN:
                raise RetryableError(
                    f"cannot reach {watch.where}: {watch.last or said(error.args[0])}",
                    hint="Start the brokers, or correct `brokers`; with TLS or a login, see `security`.",
                ) from None

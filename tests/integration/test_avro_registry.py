"""Avro on messages against a real schema registry: schemas are registered, evolve, clash, and the registry goes away in between."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
import pytest
from confluent_kafka.schema_registry import avro as confluent_avro
from confluent_kafka.schema_registry import topic_subject_name_strategy

from ddpm_avro.options import AvroOptions
from ddpm_avro.parser import build
from ddpm_avro.registry import Registry
from ddpm_avro.serializer import AvroSerializer
from ddpm_core import BuildContext, DataError, FatalError, Messages, Parsed, Position, RetryableError
from tests.registry import RegistryServer

FIRST = {"type": "record", "name": "order", "fields": [{"name": "id", "type": "int"}, {"name": "name", "type": "string"}]}
SECOND = {**FIRST, "fields": [{"name": "id", "type": "long"}, {"name": "country", "type": ["null", "string"], "default": None}]}

PATIENCE = {"timeout": 15, "max.retries": 6, "retries.max.wait.ms": 2000}
"""After so many seconds Confluent's client asks again, so often; without, it waits forever for an answer that does not come."""

SUBJECTS = {"subject.name.strategy": topic_subject_name_strategy}
"""Its default asks the registry how subjects are named, by a request that Apicurio refuses, and now and then forgets to answer."""


T = TypeVar("T")


def again(call: Callable[[], T]) -> T:
    """What a call to the registry gives, asked again as the engine does it: a registry that is busy may not answer in time."""
    until = time.monotonic() + 120
    while True:
        try:
            return call()
        except RetryableError:
            if time.monotonic() > until:
                raise


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> str:
    """One of the test's own."""
    return f"{request.node.name}-value"


@pytest.fixture
def thawed(registry_server: RegistryServer) -> Iterator[RegistryServer]:
    """The registry, which a test may freeze."""
    yield registry_server
    registry_server.thaw()


def messages(*values: bytes | None) -> Messages:
    at = {"kafka:t/0": Position(0)}
    return Messages(list(values), ["kafka:t/0"] * len(values), list(range(len(values))), at, at)


def parser(server: RegistryServer, **options: Any) -> Any:
    return build(AvroOptions(schema_registry=server.url, **options), BuildContext())


def told(read: Any, *values: bytes | None) -> tuple[list[Any], list[tuple[int, str]]]:
    """What a parser makes of these messages: rows, and what it rejects and why."""
    parsed: Parsed = again(lambda: read.parse_messages(messages(*values)))
    rows = [] if parsed.data is None else parsed.data.to_pylist()
    return rows, [(reject.index, reject.reason) for reject in parsed.rejects]


def produced(server: RegistryServer, topic: str, schema: Any, *values: dict[str, Any]) -> list[bytes]:
    """Messages as Confluent's own serializer makes them."""
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.serialization import MessageField, SerializationContext

    with SchemaRegistryClient({"url": server.url, **PATIENCE}) as client:
        serialize = confluent_avro.AvroSerializer(client, json.dumps(schema), conf=SUBJECTS)
        return [serialize(value, SerializationContext(topic, MessageField.VALUE)) for value in values]


def test_messages_of_confluents_serializer_land_whatever_schema_they_have(registry_server: RegistryServer, subject: str) -> None:
    topic = subject.removesuffix("-value")
    values = produced(registry_server, topic, FIRST, {"id": 1, "name": "a"}, {"id": 2, "name": "Ä漢😀"})
    registry_server.set_compatibility(subject, "NONE")
    values[1:1] = produced(registry_server, topic, SECOND, {"id": 2**40, "country": "PL"})
    unknown = b"\x00\x7f\xff\xff\xff" + values[0][5:]
    read = parser(registry_server)
    assert told(read, *values, unknown, None) == (
        [
            {"id": 1, "name": "a", "country": None},
            {"id": 2**40, "name": None, "country": "PL"},
            {"id": 2, "name": "Ä漢😀", "country": None},
        ],
        [(3, "schema_unknown"), (4, "no_value")],
    )
    newest = again(lambda: parser(registry_server, reader_schema=f"latest:{subject}"))
    assert told(newest, *values) == (
        [{"id": 1, "country": None}, {"id": 2**40, "country": "PL"}, {"id": 2, "country": None}],
        [],
    )


def test_what_we_write_confluents_deserializer_reads_and_an_incompatible_schema_is_refused(
    registry_server: RegistryServer, subject: str
) -> None:
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.serialization import MessageField, SerializationContext

    data = pa.RecordBatch.from_pylist([{"id": 1, "name": "a"}, {"id": 2, "name": None}])
    serializer = AvroSerializer(AvroOptions(schema_registry=registry_server.url, subject=subject))
    payloads = again(lambda: serializer.serialize_rows(data))
    with SchemaRegistryClient({"url": registry_server.url, **PATIENCE}) as client:
        deserialize = confluent_avro.AvroDeserializer(client, conf=SUBJECTS)
        context = SerializationContext(subject.removesuffix("-value"), MessageField.VALUE)
        assert [deserialize(payload, context) for payload in payloads] == data.to_pylist()
    assert told(parser(registry_server), *payloads) == (data.to_pylist(), [])
    registry_server.set_compatibility(subject, "BACKWARD")
    with pytest.raises(DataError, match="the schema registry does not allow the schema") as caught:
        again(lambda: serializer.serialize_rows(pa.RecordBatch.from_pylist([{"id": "text", "name": "a"}])))
    assert caught.value.reason == "schema_incompatible"


def test_a_registry_that_freezes_in_the_middle_is_waited_for_and_no_message_is_bad(thawed: RegistryServer, subject: str) -> None:
    topic = subject.removesuffix("-value")
    thawed.set_compatibility(subject, "NONE")
    first = produced(thawed, topic, FIRST, {"id": 1, "name": "a"})
    second = produced(thawed, topic, SECOND, {"id": 2, "country": None})
    read = parser(thawed)
    assert told(read, *first)[1] == []
    thawed.freeze()
    assert told(read, *first)[1] == [], "what is known needs no registry"
    with pytest.raises(RetryableError) as caught:
        read.parse_messages(messages(*first, *second))
    assert caught.value.message == f"the schema registry at {thawed.url} does not answer in time"
    thawed.thaw()
    assert told(read, *first, *second) == (
        [{"id": 1, "name": "a", "country": None}, {"id": 2, "name": None, "country": None}],
        [],
    )


def test_a_registry_that_is_stopped_and_started_again_is_waited_for(registry_server: RegistryServer, subject: str) -> None:
    """It forgets its schemas, as it keeps them in memory; ours are registered again under the ids that follow."""
    (value,) = produced(registry_server, subject.removesuffix("-value"), FIRST, {"id": 1, "name": "a"})
    registry_server.stop()
    read = parser(registry_server)
    with pytest.raises(RetryableError, match="does not answer"):
        read.parse_messages(messages(value))
    registry_server.start()
    client = Registry(AvroOptions(schema_registry=registry_server.url))
    wanted = int.from_bytes(value[1:5], "big")
    for number in range(wanted):
        schema = FIRST if number == wanted - 1 else {**FIRST, "name": f"other{number}"}
        again(partial(client.register, f"{subject}-{number}", json.dumps(schema).encode()))
    assert told(read, value) == ([{"id": 1, "name": "a"}], [])


def test_a_url_that_is_no_registrys_stops_the_run_and_rejects_nothing(registry_server: RegistryServer) -> None:
    url = registry_server.url.removesuffix("/apis/ccompat/v7") + "/nowhere"
    with pytest.raises(FatalError) as caught:
        told(build(AvroOptions(schema_registry=url), BuildContext()), b"\x00\x00\x00\x00\x01\x02")
    assert caught.value.message == f"{url} is no schema registry: it answered 404"

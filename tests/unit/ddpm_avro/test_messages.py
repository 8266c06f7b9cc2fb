"""Framed messages: taken apart, decoded with the schema that each names, and put together in their order."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pytest

from ddpm_avro import schemas as schemas_module
from ddpm_avro.framing import confluent_head, fingerprint, single_object_head
from ddpm_avro.options import AvroOptions
from ddpm_avro.parser import build
from ddpm_avro.registry import Registered, Registry
from ddpm_avro.serializer import AvroSerializer
from ddpm_core import BuildContext, ConfigError, DataError, FatalError, Messages, Parsed, Position, RetryableError


def record(*fields: tuple[str, Any], name: str = "r") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields]}


ONE = record(("id", "int"), ("name", "string"))
TWO = record(("id", "long"), ("name", ["null", "string"]), ("extra", "double"))
CLASH = record(("id", "string"))


def datum(schema: Any, **values: Any) -> bytes:
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), values)
    return stream.getvalue()


def messages(*values: bytes | None) -> Messages:
    at = {"t/0": Position(0)}
    return Messages(list(values), ["t/0"] * len(values), list(range(len(values))), at, at, nbytes=9)


def told(parsed: Parsed) -> tuple[list[Any], list[int], list[tuple[int, str, str]]]:
    rows = [] if parsed.data is None else parsed.data.to_pylist()
    origin = list(range(len(rows))) if parsed.origin is None else parsed.origin.to_pylist()
    return rows, origin, [(reject.index, reject.reason, reject.message) for reject in parsed.rejects]


class Registered404:
    """A registry in memory."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **known: Any) -> None:
        self.known = {int(key.removeprefix("_")): schema for key, schema in known.items()}
        self.error: Exception | None = None
        self.asked: list[int] = []
        self.waited: list[float] = []
        monkeypatch.setattr(Registry, "schema", lambda _, schema_id: self.schema(schema_id))
        monkeypatch.setattr(Registry, "latest", lambda _, subject: self.latest(subject))
        monkeypatch.setattr(Registry, "register", lambda _, subject, schema: self.register(subject, schema))
        monkeypatch.setattr(schemas_module.time, "sleep", self.waited.append)

    def schema(self, schema_id: int) -> Registered | None:
        self.asked.append(schema_id)
        if self.error is not None:
            raise self.error
        found = self.known.get(schema_id)
        return None if found is None else Registered(found if isinstance(found, bytes) else json.dumps(found).encode())

    def latest(self, subject: str) -> Registered | None:
        return self.schema(max(self.known)) if subject == "t-value" else None

    def register(self, subject: str, schema: bytes) -> int:
        assert subject == "t-value"
        self.known[99] = schema
        return 99


def confluent(**options: Any) -> Any:
    return build(AvroOptions(schema_registry="http://registry", **options), BuildContext())


def framed(schema_id: int, schema: Any, **values: Any) -> bytes:
    return confluent_head(schema_id) + datum(schema, **values)


def test_messages_of_several_schemas_land_together_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registered404(monkeypatch, _1=ONE, _2=TWO)
    parser = confluent()
    parsed = parser.parse_messages(
        messages(
            framed(2, TWO, id=2**40, name=None, extra=0.5),
            framed(1, ONE, id=1, name="a"),
            None,
            framed(2, TWO, id=3, name="c", extra=1.5),
            framed(1, ONE, id=4, name="d") + b"\x00",
            framed(1, ONE, id=5, name="e"),
        )
    )
    assert told(parsed) == (
        [
            {"id": 2**40, "name": None, "extra": 0.5},
            {"id": 1, "name": "a", "extra": None},
            {"id": 3, "name": "c", "extra": 1.5},
            {"id": 5, "name": "e", "extra": None},
        ],
        [0, 1, 3, 5],
        [
            (2, "no_value", "the message has no value (a tombstone)"),
            (4, "trailing_bytes", "1 bytes are left over after the record"),
        ],
    )
    assert (parsed.records, parsed.nbytes, parsed.data.schema.field("id").type) == (6, 9, pa.int64())
    assert parsed.rejects[1].raw == framed(1, ONE, id=4, name="d") + b"\x00"
    assert parser.parse_messages(messages(framed(1, ONE, id=6, name="f"))).data.schema.field("id").type == pa.int64()
    assert registry.asked == [2, 1]


def test_what_is_no_framed_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    Registered404(monkeypatch, _1=ONE)
    parsed = confluent(max_record_bytes=20).parse_messages(
        messages(b"", b"\x00\x00\x00\x01", b'{"a":1}', framed(1, ONE, id=1, name="a"), b"\x00" * 30)
    )
    assert told(parsed) == (
        [{"id": 1, "name": "a"}],
        [3],
        [
            (0, "wire_format", "the message has 0 bytes, and Confluent framing has 5 before the record"),
            (1, "wire_format", "the message has 4 bytes, and Confluent framing has 5 before the record"),
            (2, "wire_format", "the message begins with 7b 22 61 22, and Confluent framing with 00"),
            (4, "too_large", "the record has 30 bytes, more than the 20 allowed"),
        ],
    )


def test_tombstones_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    Registered404(monkeypatch, _1=ONE)
    for parser in (confluent(tombstones="skip"), build(AvroOptions(tombstones="skip"), BuildContext())):
        parsed = parser.parse_messages(messages(None, None))
        assert (parsed.records, parsed.data, parsed.rejects, parsed.filtered) == (2, None, [], 2)


def test_a_schema_that_is_not_there_yet_is_asked_for_twice_and_then_not_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registered404(monkeypatch, _1=ONE)
    now = [0.0]
    monkeypatch.setattr(schemas_module.time, "monotonic", lambda: now[0])
    parser = confluent()
    batch = messages(framed(7, ONE, id=1, name="a"), framed(1, ONE, id=2, name="b"))
    unknown = (0, "schema_unknown", "the schema registry has no schema 7")
    assert told(parser.parse_messages(batch)) == ([{"id": 2, "name": "b"}], [1], [unknown])
    assert (registry.asked, registry.waited) == ([7, 1, 7], [0.5])
    assert told(parser.parse_messages(batch))[2] == [unknown]
    assert registry.asked == [7, 1, 7]
    now[0] = 31.0
    registry.known[7] = ONE
    assert told(parser.parse_messages(batch)) == ([{"id": 1, "name": "a"}, {"id": 2, "name": "b"}], [0, 1], [])


def test_more_schemas_than_are_kept_cost_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registered404(monkeypatch, _1=ONE, _2=ONE, _3=ONE, _4=ONE)
    monkeypatch.setattr(schemas_module, "KNOWN", 2)
    parser = confluent()
    for numbers in ([1, 2], [3], [1, 2, 3, 4], [4]):
        parsed = parser.parse_messages(messages(*(framed(n, ONE, id=n, name="a") for n in numbers)))
        assert ([row["id"] for row in parsed.data.to_pylist()], parsed.rejects) == (numbers, [])
    assert registry.asked == [1, 2, 3, 1, 2, 3, 4, 4]


def test_a_schema_that_comes_within_the_grace_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registered404(monkeypatch, _1=ONE)
    monkeypatch.setattr(schemas_module.time, "sleep", lambda _: registry.known.update({7: ONE}))
    assert told(confluent().parse_messages(messages(framed(7, ONE, id=1, name="a"))))[0] == [{"id": 1, "name": "a"}]


@pytest.mark.parametrize("error", [RetryableError("down"), FatalError("refused")])
def test_a_registry_that_fails_is_no_bad_data(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    registry = Registered404(monkeypatch, _1=ONE)
    parser = confluent()
    batch = messages(framed(1, ONE, id=1, name="a"))
    registry.error = error
    with pytest.raises(type(error)):
        parser.parse_messages(batch)
    registry.error = None
    assert told(parser.parse_messages(batch)) == ([{"id": 1, "name": "a"}], [0], [])


def test_a_schema_that_cannot_be_used_rejects_its_messages_only(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"type": "record", "name": "node", "fields": [{"name": "next", "type": ["null", "node"]}]}
    Registered404(monkeypatch, _1=ONE, _2=node, _3=b"no json", _4=CLASH)
    parsed = confluent().parse_messages(
        messages(*(confluent_head(n) + b"\x02\x02a" for n in (1, 2, 3)), confluent_head(4) + b"\x02a")
    )
    assert told(parsed) == (
        [{"id": 1, "name": "a"}],
        [0],
        [
            (1, "depth", "schema 2: record 'node' contains itself, at 'next'; such schemas are not supported"),
            (2, "avro_invalid", "schema 3: the schema is not JSON: Expecting value: line 1 column 1 (char 0)"),
            (3, "type_mismatch", "column 'id' is string in its schema, and int32 in earlier messages"),
        ],
    )


def test_a_whole_number_that_a_later_fraction_cannot_hold_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    Registered404(monkeypatch, _1=record(("n", "long")), _2=record(("n", "float")))
    parsed = confluent().parse_messages(
        messages(*(framed(1, record(("n", "long")), n=n) for n in (1, 2**53 + 1)), framed(2, record(("n", "float")), n=0.5))
    )
    assert told(parsed) == (
        [{"n": 1.0}, {"n": 0.5}],
        [0, 2],
        [(1, "type_mismatch", "n: 9007199254740993 is not exact as double")],
    )


def test_the_newest_schema_of_a_subject_is_the_one_that_rows_have(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = {**TWO, "fields": [TWO["fields"][0], {**TWO["fields"][2], "default": 9.5}]}
    Registered404(monkeypatch, _1=ONE, _2=CLASH, _3=newest)
    batch = messages(framed(1, ONE, id=1, name="a"), framed(2, CLASH, id="x"), framed(3, newest, id=2**40, extra=1.0))
    assert told(confluent(reader_schema="latest:t-value").parse_messages(batch)) == (
        [{"id": 1, "extra": 9.5}, {"id": 2**40, "extra": 1.0}],
        [0, 2],
        [(1, "schema_resolution", "id: string cannot be read as long")],
    )
    with pytest.raises(FatalError, match=r"^the schema registry at http://registry has no subject 'other'\nCheck reader_schema\.$"):
        confluent(reader_schema="latest:other").parse_messages(batch)


def test_single_objects_name_their_schema_by_fingerprint(tmp_path: Path) -> None:
    assert fingerprint("int").hex() == "8f5c393f1ad57572"  # The specification's own: 7275d51a3f395c8f, lowest byte first.
    file = tmp_path / "two.avsc"
    file.write_text(json.dumps(TWO | {"doc": "not part of it"}))
    parser = build(AvroOptions(framing="single_object", schemas=[json.dumps(ONE), str(file)]), BuildContext())
    values = [
        single_object_head(json.dumps(TWO).encode()) + datum(TWO, id=1, name=None, extra=2.0),
        single_object_head(json.dumps(ONE).encode()) + datum(ONE, id=2, name="b"),
        single_object_head(b'"int"') + b"\x02",
        b"\x00" * 12,
    ]
    assert told(parser.parse_messages(messages(*values))) == (
        [{"id": 1, "name": None, "extra": 2.0}, {"id": 2, "name": "b", "extra": None}],
        [0, 1],
        [
            (2, "schema_unknown", "none of the given schemas has the fingerprint 8f5c393f1ad57572"),
            (3, "wire_format", "the message begins with 00 00 00 00, and Avro single-object framing with c3 01"),
        ],
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schemas": "/nowhere.avsc"}, "schemas: /nowhere.avsc cannot be read: No such file or directory\nName a file with a schema, or write the schema itself in JSON."),
        ({"schemas": "{"}, "a schema that is given with schemas cannot be used: the schema is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ({"schemas": '"int"', "reader_schema": '"what"'}, "the reader_schema cannot be used: the schema is wrong: 'what' is no type"),
    ],
)  # fmt: skip
def test_schemas_that_are_given_are_checked_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(AvroOptions(**options), BuildContext())
    assert str(caught.value) == message


DATA = pa.RecordBatch.from_pylist([{"id": 1, "name": "a"}, {"id": 2, "name": None}])


@pytest.mark.parametrize("framing", ["confluent", "single_object", "bare", "container"])
def test_rows_written_as_messages_are_read_back(monkeypatch: pytest.MonkeyPatch, framing: Any) -> None:
    registry = Registered404(monkeypatch)
    options: dict[str, Any] = {"confluent": {"schema_registry": "http://r", "subject": "t-value"}}.get(framing, {})
    schema = (
        '{"type":"record","name":"record","fields":[{"name":"id","type":["null","long"]},{"name":"name","type":["null","string"]}]}'
    )
    if framing in ("single_object", "bare"):
        options = {"schemas": schema}
    made = AvroOptions(framing=framing, **options)
    payloads = AvroSerializer(made).serialize_rows(DATA)
    assert told(build(made, BuildContext()).parse_messages(messages(*payloads))) == (DATA.to_pylist(), [0, 1], [])
    assert list(registry.known) == ([99] if framing == "confluent" else [])


def test_a_schema_is_registered_once_and_only_under_a_subject_that_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Registered404(monkeypatch)
    asked: list[str] = []
    monkeypatch.setattr(Registry, "register", lambda _, subject, __: asked.append(subject) or 5)
    serializer = AvroSerializer(AvroOptions(schema_registry="http://r", subject="s"))
    assert serializer.serialize_rows(DATA)[0][:5] == b"\x00\x00\x00\x00\x05"
    serializer.serialize_rows(DATA)
    assert asked == ["s"]
    with pytest.raises(ConfigError) as caught:
        AvroSerializer(AvroOptions(schema_registry="http://r")).serialize_rows(DATA)
    assert str(caught.value) == (
        "writing Avro with framing confluent needs the option subject\nFor a topic's values mostly TOPIC-value."
    )


def test_a_schema_that_its_subject_refuses_is_the_rows_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise DataError("the schema registry does not allow the schema: no", reason="schema_incompatible")

    monkeypatch.setattr(Registry, "register", refuse)
    with pytest.raises(DataError, match="does not allow"):
        AvroSerializer(AvroOptions(schema_registry="http://r", subject="s")).serialize_rows(DATA)


def test_a_container_that_becomes_too_much_is_set_aside_whole() -> None:
    data = pa.RecordBatch.from_pylist([{"s": "x" * 5000}])
    stream = BytesIO()
    writer = AvroSerializer(AvroOptions()).document_writer(stream, data.schema)
    writer.write(data)
    writer.close()
    small = AvroSerializer(AvroOptions()).serialize_rows(pa.RecordBatch.from_pylist([{"s": "a"}]))[0]
    parsed = build(AvroOptions(max_message_bytes=1024), BuildContext()).parse_messages(messages(stream.getvalue(), small))
    assert told(parsed) == ([{"s": "a"}], [1], [(0, "decompressed_size", "the message has more than 1,024 bytes of rows")])

"""What a schema registry says, and what it means when it does not."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ddpm_avro import registry as registry_module
from ddpm_avro.options import AvroOptions
from ddpm_avro.registry import Registered, Registry
from ddpm_core import ConfigError, DataError, FatalError, RetryableError

INT = {"schema": '"int"'}


class Fake:
    """Answers as it is told: path -> status and body."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, str, str]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                fake.asked.append(
                    (f"{self.command} {self.path}", self.headers.get("Authorization", ""), self.rfile.read(size).decode())
                )
                status, body = fake.answers.get(self.path, (404, {"error_code": 40403, "message": "Schema not found"}))
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_POST = do_GET  # noqa: N815 - the name is the base class's

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/apis"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def registry(self, **options: Any) -> Registry:
        return Registry(AvroOptions(schema_registry=self.url, **options))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setattr(registry_module, "TIMEOUT", 60.0)
    made = Fake()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_schema_is_found_by_its_id_with_all_that_it_refers_to(fake: Fake) -> None:
    fake.answers |= {
        "/apis/schemas/ids/7": (200, {"schema": "S", "references": [{"name": "a", "subject": "a b", "version": 2}, {"name": "c", "subject": "c", "version": 1}]}),
        "/apis/subjects/a%20b/versions/2": (200, {"schema": "A", "references": [{"name": "c", "subject": "c", "version": 1}]}),
        "/apis/subjects/c/versions/1": (200, {"schema": "C"}),
        "/apis/subjects/s-value/versions/latest": (200, {"schema": "L", "id": 3}),
    }  # fmt: skip
    registry = fake.registry()
    assert registry.schema(7) == Registered(b"S", (b"C", b"A"))
    assert registry.schema(8) is None
    assert registry.latest("s-value") == Registered(b"L")


def test_credentials_are_sent(fake: Fake) -> None:
    fake.answers["/apis/schemas/ids/1"] = (200, INT)
    fake.registry().schema(1)
    fake.registry(registry_user="u", registry_password="p:ä").schema(1)
    fake.registry(registry_token="tok").schema(1)
    basic = base64.b64encode("u:p:ä".encode()).decode()
    assert [authorization for _, authorization, _ in fake.asked] == ["", f"Basic {basic}", "Bearer tok"]


def test_a_schema_is_registered_under_its_subject(fake: Fake) -> None:
    fake.answers["/apis/subjects/a%2Fb/versions"] = (200, {"id": 12})
    assert fake.registry().register("a/b", b'"int"') == 12
    assert fake.asked == [("POST /apis/subjects/a%2Fb/versions", "", '{"schema": "\\"int\\""}')]


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (401, {"message": "no"}, FatalError, "the schema registry at {url} refuses us: it answered 401: no"),
        (403, b"", FatalError, "the schema registry at {url} refuses us: it answered 403"),
        (404, b"<html>", FatalError, "{url} is no schema registry: it answered 404"),
        (301, b"", FatalError, "{url} is no schema registry: it answered 301"),
        (200, b"hello", FatalError, "{url} is no schema registry: it answered 200"),
        (200, {"a": 1}, FatalError, "{url} is no schema registry: its answer has no schema"),
        (429, b"", RetryableError, "the schema registry at {url} answered 429"),
        (500, {"message": "out of memory"}, RetryableError, "the schema registry at {url} answered 500: out of memory"),
        (503, b"x", RetryableError, "the schema registry at {url} answered 503"),
        (409, {"message": "breaks readers"}, DataError, "the schema registry does not allow the schema: breaks readers"),
        (422, {"message": "bad"}, DataError, "the schema registry takes it for no schema: bad"),
        (200, {"schema": "{}", "schemaType": "PROTOBUF"}, DataError, "schema 1 in the schema registry is PROTOBUF, not Avro"),
    ],
)
def test_every_answer_says_what_to_do_next(fake: Fake, status: int, body: Any, error: type[Exception], message: str) -> None:
    fake.answers["/apis/schemas/ids/1"] = (status, body)
    with pytest.raises(error) as caught:
        fake.registry(registry_user="u", registry_password="hunter2").schema(1)
    assert caught.value.message == message.replace("{url}", fake.url)  # type: ignore[attr-defined]
    assert "hunter2" not in str(caught.value)


def test_a_registry_that_is_down_is_waited_for() -> None:
    with socket.socket() as taken:  # A port that nobody listens at, now and later.
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RetryableError) as caught:
            Registry(AvroOptions(schema_registry=url)).schema(1)
    assert caught.value.message == f"the schema registry at {url} does not answer ([Errno 111] Connection refused)"


@pytest.mark.parametrize("drips", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"], ids=["silent", "drips"])
def test_a_registry_that_takes_too_long_is_given_up_on(drips: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when each byte of its answer comes in time."""
    monkeypatch.setattr(registry_module, "TIMEOUT", 0.3)
    done = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(drips)
            while not done.wait(0.02):
                if drips:
                    try:
                        connection.sendall(b" ")
                    except OSError:
                        return

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            with pytest.raises(RetryableError) as caught:
                Registry(AvroOptions(schema_registry=url)).schema(1)
        finally:
            done.set()
            thread.join(120)
    assert caught.value.message == f"the schema registry at {url} does not answer in time"


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"])
def test_an_answer_that_breaks_off_is_asked_for_again(beginning: bytes) -> None:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(10_000)
            connection.sendall(beginning)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(RetryableError, match="does not answer"):
            Registry(AvroOptions(schema_registry=f"http://127.0.0.1:{server.getsockname()[1]}")).schema(1)
        thread.join(120)


def test_a_certificate_that_cannot_be_read_is_said_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"^a certificate for the schema registry cannot be used: \[Errno 2\]"):
        Registry(AvroOptions(schema_registry="https://127.0.0.1:1", registry_ca="/nowhere.pem"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema_registry": "ftp://x"}, "is the registry's URL, such as https://registry:8081"),
        ({"schema_registry": "http://u:hunter2@x"}, "has no user and password in it: there are registry_user and registry_password"),
        ({"framing": "confluent"}, "framing confluent needs schema_registry: messages name their schemas by its ids"),
        ({"framing": "bare"}, "framing bare needs one schema in schemas: messages do not name theirs"),
        ({"schemas": ['"int"', '"long"']}, "framing bare needs one schema in schemas: messages do not name theirs"),
        ({"framing": "single_object"}, "framing single_object needs schemas: messages name theirs only by fingerprint"),
        ({"reader_schema": '"int"'}, "reader_schema is for framed messages: say which framing"),
        ({"schemas": '"int"', "reader_schema": "latest:s"}, "reader_schema latest:s needs schema_registry"),
        ({"schema_registry": "http://x", "registry_user": "u", "registry_token": "t"}, "registry_token is instead of registry_user"),
        ({"registry_token": "a\r\nb"}, "is one word in ASCII"),
    ],
)  # fmt: skip
def test_options_that_do_not_fit_together_are_refused(options: dict[str, Any], message: str) -> None:
    from ddpm_core.config.options import check_options

    with pytest.raises(ConfigError) as caught:
        check_options(AvroOptions, options, owner="format avro")
    assert caught.value.problems[0].what == message
    assert "hunter2" not in str(caught.value)

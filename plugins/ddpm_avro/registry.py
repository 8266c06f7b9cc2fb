"""A schema registry, asked over its REST interface (Confluent's, which Apicurio, Karapace and Redpanda have too)."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from ddpm_avro.options import AvroOptions
from ddpm_core import ConfigError, DataError, FatalError, RetryableError

TIMEOUT = 5.0
"""Seconds that one question may take in all."""

MAX_ANSWER = 16 << 20
_TYPE = "application/vnd.schemaregistry.v1+json"
_MAX_REFERENCES = 100
_NOT_FOUND = (40401, 40402, 40403)


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema, with the schemas that it refers to, in an order in which each uses only those before it."""

    schema: bytes
    references: tuple[bytes, ...] = ()


class Registry:
    """Asks one registry. Holds no connection: schemas are asked for once each.

    What goes wrong on the way is never bad data: `RetryableError` where it may work later, `FatalError` where it cannot.
    """

    def __init__(self, options: AvroOptions) -> None:
        self.url = str(options.schema_registry).rstrip("/")
        self._parts = urlsplit(self.url)
        self._headers = {"Accept": f"{_TYPE}, application/json", "Content-Type": _TYPE} | _authorization(options)
        self._tls = _tls(options) if self._parts.scheme == "https" else None

    def schema(self, schema_id: int) -> Registered | None:
        """The schema with this id; None when there is none.

        Raises:
            DataError: It is no Avro schema.
        """
        found = self._ask("GET", f"/schemas/ids/{schema_id}")
        return None if found is None else self._registered(found, f"schema {schema_id}")

    def latest(self, subject: str) -> Registered | None:
        """The newest schema of a subject; None when there is no such subject."""
        found = self._ask("GET", f"/subjects/{quote(subject, safe='')}/versions/latest")
        return None if found is None else self._registered(found, f"the newest schema of {subject!r}")

    def register(self, subject: str, schema: bytes) -> int:
        """The id of this schema under this subject, made known there if it is new.

        Raises:
            DataError: `schema_incompatible`: the subject's rules do not allow it. `avro_invalid`: the registry takes it for no schema.
        """
        found = self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": schema.decode()})
        if found is None or not isinstance(found.get("id"), int):
            raise self._no_registry("it gave no id for a schema")
        return int(found["id"])

    def _registered(self, found: dict[str, Any], what: str) -> Registered:
        kind = found.get("schemaType", "AVRO")
        if kind != "AVRO":
            raise DataError(f"{what} in the schema registry is {kind}, not Avro", reason="wire_format")
        texts: dict[tuple[str, int], bytes] = {}
        self._add_references(found, texts, 0)
        return Registered(self._text(found), tuple(texts.values()))

    def _add_references(self, found: dict[str, Any], texts: dict[tuple[str, int], bytes], depth: int) -> None:
        for reference in found.get("references") or ():
            at = (str(reference["subject"]), int(reference["version"]))
            if at in texts:
                continue
            if depth > 20 or len(texts) >= _MAX_REFERENCES:
                raise DataError("the schema refers to too many others", reason="depth")
            other = self._ask("GET", f"/subjects/{quote(at[0], safe='')}/versions/{at[1]}")
            if other is None:
                raise DataError(f"the schema refers to {at[0]!r} version {at[1]}, which is not there", reason="schema_unknown")
            self._add_references(other, texts, depth + 1)
            texts[at] = self._text(other)

    def _text(self, found: dict[str, Any]) -> bytes:
        text = found.get("schema")
        if not isinstance(text, str):
            raise self._no_registry("its answer has no schema")
        return text.encode()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
        """The registry's answer; None when it says that there is no such thing."""
        status, answer = self._answer(method, path, None if body is None else json.dumps(body))
        try:
            found = json.loads(answer)
        except ValueError:
            found = None
        if status == 200 and isinstance(found, dict):
            return found
        said = found if isinstance(found, dict) else {}
        if status == 404 and said.get("error_code") in _NOT_FOUND:
            return None
        self._fail(status, str(said.get("message") or "")[:300])
        return None

    def _fail(self, status: int, said: str) -> None:
        what = f"answered {status}{f': {said}' if said else ''}"
        if status in (401, 403):
            raise FatalError(
                f"the schema registry at {self.url} refuses us: it {what}",
                hint="Check registry_user and registry_password, or registry_token.",
            )
        if status == 409:
            raise DataError(f"the schema registry does not allow the schema: {said}", reason="schema_incompatible")
        if status == 422:
            raise DataError(f"the schema registry takes it for no schema: {said}", reason="avro_invalid")
        if status in (408, 425, 429) or status >= 500:
            raise RetryableError(f"the schema registry at {self.url} {what}", hint="Nothing is lost: it is asked again.")
        raise self._no_registry(f"it {what}")

    def _no_registry(self, what: str) -> FatalError:
        return FatalError(
            f"{self.url} is no schema registry: {what}",
            hint="Check schema_registry, its path too (Apicurio's is /apis/ccompat/v7).",
        )

    def _answer(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = self._connection()
        deadline = time.monotonic() + TIMEOUT
        overdue = threading.Timer(TIMEOUT, _cut, (connection,))
        overdue.daemon = True
        overdue.start()
        try:
            connection.request(method, self._parts.path + path, body, self._headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER + 1)
            if response.length and len(answer) <= MAX_ANSWER:
                raise http.client.IncompleteRead(answer, response.length)
        except ssl.SSLCertVerificationError as error:
            raise FatalError(
                f"the schema registry at {self.url} cannot be trusted: {error.verify_message}",
                hint="Name the certificate of who signed its own with registry_ca.",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            late = " in time" if time.monotonic() >= deadline or isinstance(error, TimeoutError) else ""
            why = "" if late else f" ({error or type(error).__name__})"
            raise RetryableError(
                f"the schema registry at {self.url} does not answer{late}{why}", hint="Nothing is lost: it is asked again."
            ) from None
        finally:
            overdue.cancel()
            connection.close()
        if len(answer) > MAX_ANSWER:
            raise self._no_registry(f"an answer of more than {MAX_ANSWER:,} bytes")
        return response.status, answer

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT)


def _cut(connection: http.client.HTTPConnection) -> None:
    """End a question that takes too long in all, though every byte of it may come in time."""
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _authorization(options: AvroOptions) -> dict[str, str]:
    if options.registry_token is not None:
        return {"Authorization": f"Bearer {options.registry_token.get_secret_value()}"}
    if options.registry_user is None:
        return {}
    password = options.registry_password.get_secret_value() if options.registry_password else ""
    return {"Authorization": f"Basic {base64.b64encode(f'{options.registry_user}:{password}'.encode()).decode()}"}


def _tls(options: AvroOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.registry_ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if options.registry_certificate:
            context.load_cert_chain(options.registry_certificate, options.registry_key, password="")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"a certificate for the schema registry cannot be used: {error}") from None
    return context

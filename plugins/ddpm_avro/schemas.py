"""Where the schemas of messages come from: options, files, a registry. Each is read once and kept."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ddpm_avro.datums import DatumDecoder
from ddpm_avro.decoder import BlockDecoder
from ddpm_avro.framing import Key, fingerprint
from ddpm_avro.options import AvroOptions
from ddpm_avro.registry import Registered, Registry
from ddpm_avro.schema import Node, read_schema
from ddpm_core import ConfigError, DataError, FatalError

KNOWN = 1_000
"""Schemas kept, and more only where one batch has more; one has some 50 kB."""

GRACE = 0.5
"""Seconds after which an id that the registry does not know is asked for once more: a schema may be younger than its first message."""

_FEW = 100
"""Ids that are asked for twice; more in one go are no schemas that are just being made."""

UNKNOWN_FOR = 30.0
"""Seconds for which an id that was not known then either is not asked for again."""


class Schemas:
    """The decoders of messages by what the messages say of their schema."""

    def __init__(self, options: AvroOptions) -> None:
        self._options = options
        self._known: dict[Key, DatumDecoder | DataError] = {}
        self._unknown: dict[Key, float] = {}
        self._registry = Registry(options) if options.schema_registry else None
        self._given = options.framed in ("bare", "single_object")
        if self._given:
            self._read_given()
        self._reader = self._read_reader()

    def decoder(self, key: Key) -> DatumDecoder:
        """The decoder of messages with this schema, which has been prepared.

        Raises:
            DataError: There is no such schema (`schema_unknown`), or none that can be read (`depth`, `avro_invalid`, …).
        """
        found = self._known.get(key)
        if found is None:
            what = "none of the given schemas has the fingerprint" if self._given else "the schema registry has no schema"
            raise DataError(f"{what} {key.hex() if isinstance(key, bytes) else key}", reason="schema_unknown")
        if isinstance(found, DataError):
            raise found
        return found

    def reader(self) -> Node | None:
        """The schema that rows are to have; None: each its own."""
        if self._reader is None and self._options.latest_of is not None and self._registry is not None:
            found = self._registry.latest(self._options.latest_of)
            if found is None:
                raise FatalError(
                    f"the schema registry at {self._registry.url} has no subject {self._options.latest_of!r}",
                    hint="Check reader_schema.",
                )
            try:
                self._reader = read_schema(found.schema, self._options.max_depth, found.references)
            except DataError as error:
                raise FatalError(f"the newest schema of {self._options.latest_of!r} cannot be used: {error.message}") from None
        return self._reader

    def prepare(self, keys: Iterable[Key]) -> None:
        """Ask for the schemas that are not known yet, those of many messages together: the grace is waited for once.

        Raises:
            RetryableError: The registry does not answer.
            FatalError: It never will.
        """
        if self._registry is None or self._given:
            return
        now = time.monotonic()
        numbers = dict.fromkeys(key for key in keys if isinstance(key, int))
        if len(self._known | numbers) > KNOWN:
            self._known.clear()  # Now, and never between these and their use.
        wanted = [key for key in numbers if key not in self._known and self._unknown.get(key, now) <= now]
        missing = [key for key in wanted if not self._ask(self._registry, key)]
        if missing and len(missing) <= _FEW:
            time.sleep(GRACE)
            missing = [key for key in missing if not self._ask(self._registry, key)]
        if len(self._unknown) + len(missing) > KNOWN:
            self._unknown.clear()
        self._unknown |= dict.fromkeys(missing, time.monotonic() + UNKNOWN_FOR)

    def _ask(self, registry: Registry, key: int) -> bool:
        """Whether the registry knows this schema, which is kept then."""
        try:
            registered = registry.schema(key)
        except DataError as error:
            if error.reason == "schema_unknown":  # Of one that it refers to, which may yet come.
                return False
            self._keep(key, error)
            return True
        if registered is not None:
            self._keep(key, self._made(registered, f"schema {key}: "))
        return registered is not None

    def _made(self, registered: Registered, where: str) -> DatumDecoder | DataError:
        options = self._options
        try:
            return DatumDecoder(
                BlockDecoder(
                    registered.schema,
                    max_depth=options.max_depth,
                    max_record_bytes=options.max_record_bytes,
                    references=registered.references,
                )
            )
        except DataError as error:
            return DataError(f"{where}{error.message}", reason=error.reason, hint=error.hint)

    def _keep(self, key: Key, found: DatumDecoder | DataError) -> None:
        self._known[key] = found

    def _read_given(self) -> None:
        given = self._options.schemas
        for one in given if isinstance(given, list) else [given]:
            text = schema_text(one, "schemas")
            made = self._made(Registered(text), "")
            if isinstance(made, DataError):
                raise ConfigError(f"a schema that is given with schemas cannot be used: {made.message}")
            key = b"" if self._options.framed == "bare" else fingerprint_of(text)
            self._keep(key, made)

    def _read_reader(self) -> Node | None:
        given = self._options.reader_schema
        if given is None or self._options.latest_of is not None:
            return None
        try:
            return read_schema(schema_text(given, "reader_schema"), self._options.max_depth)
        except DataError as error:
            raise ConfigError(f"the reader_schema cannot be used: {error.message}") from None


def fingerprint_of(text: bytes) -> bytes:
    """The fingerprint of a schema that is given.

    Raises:
        ConfigError: It has none.
    """
    try:
        return fingerprint(json.loads(text))
    except Exception as error:
        raise ConfigError(f"a schema that is given with schemas has no fingerprint: {error}") from error


def schema_text(given: Any, option: str) -> bytes:
    """The schema in JSON that an option means: a file, or the schema itself.

    Raises:
        ConfigError: The file cannot be read.
    """
    if not isinstance(given, str):
        return json.dumps(given).encode()
    if given.lstrip().startswith(("{", "[", '"')):
        return given.encode()
    try:
        return Path(given).expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{option}: {given} cannot be read: {error.strerror}",
            hint="Name a file with a schema, or write the schema itself in JSON.",
        ) from None

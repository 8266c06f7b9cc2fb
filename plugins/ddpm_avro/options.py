"""The options of the format `avro`."""

from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from ddpm_core import PluginOptions


class AvroOptions(PluginOptions):
    """How Avro is read and written."""

    max_block_bytes: int = Field(
        default=16 << 20,
        ge=1 << 10,
        le=1 << 30,
        description="Reading: a block that is larger than this, stored or decompressed, is refused (guards against bombs)",
    )
    max_record_bytes: int = Field(
        default=16 << 20,
        ge=2,
        le=1 << 30,
        description="Reading: a record with more bytes, decompressed or as a row in memory, is set aside with reason too_large; "
        "blocks that are larger than this are read slowly",
    )
    max_depth: int = Field(
        default=128, ge=1, le=250, description="Reading: a file whose schema is nested deeper is refused with reason depth"
    )
    codec: Literal["null", "deflate", "bzip2", "snappy", "zstandard", "lz4", "xz"] = Field(
        default="deflate", description="Writing: how blocks are compressed; every reader knows null and deflate"
    )
    block_bytes: int = Field(
        default=64 << 10,
        ge=1 << 10,
        le=16 << 20,
        description="Writing: about how many bytes of records go into one block, before compression",
    )
    record_name: str = Field(
        default="record",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$",
        description="Writing: name of the record in the schema, with its namespace if it has one",
    )
    framing: Literal["container", "confluent", "single_object", "bare"] | None = Field(
        default=None,
        description="Messages: what one is. container: a whole file of its own; confluent: a zero, the schema's id in four bytes, the "
        "record; single_object: c3 01, the schema's fingerprint, the record; bare: nothing but the record. By default confluent with a "
        "schema_registry, bare with a schema, else container",
    )
    max_message_bytes: int = Field(
        default=64 << 20,
        ge=1 << 10,
        description="Messages, container: one whose rows have more bytes in memory is set aside with reason decompressed_size",
    )
    schema_registry: str | None = Field(
        default=None,
        description="Messages: URL of the schema registry, with its path: https://registry:8081, or Apicurio's http://HOST:PORT/apis/ccompat/v7",
    )
    registry_user: str | None = Field(default=None, description="User at the schema registry")
    registry_password: SecretStr | None = Field(default=None, description="The user's password at the schema registry")
    registry_token: SecretStr | None = Field(default=None, description="Bearer token for the schema registry, instead of a user")
    registry_ca: str | None = Field(
        default=None,
        description="File with the certificates that the schema registry's own is signed with, in PEM; by default the system's",
    )
    registry_certificate: str | None = Field(
        default=None,
        description="File with our certificate for the schema registry, in PEM, its key with it if there is no registry_key",
    )
    registry_key: str | None = Field(
        default=None, description="File with the key of registry_certificate, in PEM, without a password"
    )
    schemas: str | dict[str, Any] | list[str | dict[str, Any]] | None = Field(
        default=None,
        description="Messages: the schema they were written with, for bare; for single_object one or several. A file, or the schema itself",
    )
    reader_schema: str | dict[str, Any] | None = Field(
        default=None,
        description="Messages: the schema that rows have, whatever their message was written with. A file, the schema itself, or "
        "latest:SUBJECT for the newest of the registry when the run starts. By default each has its own",
    )
    subject: str | None = Field(
        default=None,
        description="Writing with confluent: where the registry keeps the schema; for a topic's values mostly TOPIC-value",
    )
    tombstones: Literal["reject", "skip"] = Field(
        default="reject",
        description="Messages: one without a value (a deleted key of a compacted topic) is set aside with reason no_value, or left out",
    )

    @field_validator("schema_registry")
    @classmethod
    def _is_a_plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("is the registry's URL, such as https://registry:8081") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or port == 0:
            raise ValueError("is the registry's URL, such as https://registry:8081")
        if "@" in parts.netloc:
            raise ValueError("has no user and password in it: there are registry_user and registry_password")
        return url

    @field_validator("registry_token")
    @classmethod
    def _is_one_word(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
            raise ValueError("is one word in ASCII")
        return token

    @model_validator(mode="after")
    def _fits_together(self) -> AvroOptions:
        framing = self.framed
        if framing == "confluent" and self.schema_registry is None:
            raise ValueError("framing confluent needs schema_registry: messages name their schemas by its ids")
        if framing == "bare" and (self.schemas is None or (isinstance(self.schemas, list) and len(self.schemas) != 1)):
            raise ValueError("framing bare needs one schema in schemas: messages do not name theirs")
        if framing == "single_object" and not self.schemas:
            raise ValueError("framing single_object needs schemas: messages name theirs only by fingerprint")
        if framing == "container" and self.reader_schema is not None:
            raise ValueError("reader_schema is for framed messages: say which framing")
        if self.latest_of is not None and self.schema_registry is None:
            raise ValueError(f"reader_schema latest:{self.latest_of} needs schema_registry")
        if self.registry_token is not None and self.registry_user is not None:
            raise ValueError("registry_token is instead of registry_user")
        return self

    @property
    def framed(self) -> Literal["container", "confluent", "single_object", "bare"]:
        """What a message is."""
        if self.framing is not None:
            return self.framing
        return "confluent" if self.schema_registry else "bare" if self.schemas else "container"

    @property
    def latest_of(self) -> str | None:
        """The subject whose newest schema is the reader's."""
        given = self.reader_schema
        return given.removeprefix("latest:") if isinstance(given, str) and given.startswith("latest:") else None

"""Options that everything of this plugin shares: where the brokers are, and how to log in."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from ddpm_core import PluginOptions
from ddpm_kafka import client_settings
from ddpm_kafka.connection_address import Address, parse_address, parse_broker

Mechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]


class SecurityOptions(PluginOptions):
    """How to log in, and how the connection is protected."""

    tls: bool = Field(
        default=False, description="Encrypt the connection; set by itself where `ca`, `certificate` or `key` is given"
    )
    mechanism: Mechanism | None = Field(
        default=None, description="How to log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 (where only a user is given) or OAUTHBEARER"
    )
    username: str = Field(default="", description="User; for OAUTHBEARER the client id")
    password: SecretStr = Field(default=SecretStr(""), description="Password; for OAUTHBEARER the client secret")
    token_url: str = Field(default="", description="For OAUTHBEARER: the https address where tokens are fetched")
    scope: str = Field(default="", description="For OAUTHBEARER: the scope to ask for")
    ca: str = Field(default="", description="File with the certificates to trust (PEM); by default those of the system")
    certificate: str = Field(default="", description="File with this client's own certificate (PEM)")
    key: str = Field(default="", description="File with the key of `certificate` (PEM)")
    key_password: SecretStr = Field(default=SecretStr(""), description="Password of `key`")
    insecure: bool = Field(
        default=False,
        description="Accept any certificate and host name, and send a PLAIN password without encryption. For tests only",
    )

    @field_validator("token_url")
    @classmethod
    def _is_https(cls, value: str) -> str:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            fine = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
        except ValueError:
            fine = False
        if not fine:
            raise ValueError("is an https:// address without user; tokens are not fetched over anything else")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> SecurityOptions:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("certificate and key are given together or not at all")
        if self.mechanism == "OAUTHBEARER" and not self.token_url:
            raise ValueError("mechanism OAUTHBEARER needs token_url")
        if self.token_url and self.mechanism != "OAUTHBEARER":
            raise ValueError("token_url is for mechanism OAUTHBEARER")
        if self.mechanism == "PLAIN" and not self.encrypted and not self.insecure:
            raise ValueError("mechanism PLAIN without tls would send the password in clear; set tls: true, or insecure: true")
        return self

    @property
    def encrypted(self) -> bool:
        """Whether connections use TLS."""
        return self.tls or bool(self.ca or self.certificate)


class ConnectionOptions(PluginOptions):
    """Where the brokers are. A plugin that may use another one's connection leaves both `brokers` and `url` empty."""

    brokers: tuple[str, ...] = Field(
        default=(),
        description="Brokers to ask first, as `host:port`: a list, or text separated by commas; the port is 9092 by default",
    )
    url: SecretStr = Field(
        default=SecretStr(""),
        description="Brokers and topic in one, `kafka://user:password@host:port,host:port/topic`; special characters as %XX",
    )
    security: SecurityOptions = Field(
        default_factory=SecurityOptions,
        description="How to log in and how the connection is protected: tls, mechanism, username, password, token_url, scope, ca, "
        "certificate, key, key_password, insecure",
    )
    client: dict[str, str | int | float | bool] = Field(
        default_factory=dict,
        description="Settings of librdkafka passed on as they are, such as `fetch.min.bytes`; only those on a list "
        "(see the README), and none that decides delivery",
    )

    @field_validator("brokers", mode="before")
    @classmethod
    def _separated_by_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")] if value.strip() else []
        return value

    @field_validator("brokers")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(parse_broker(broker) for broker in value)

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: SecretStr) -> SecretStr:
        parse_address(value.get_secret_value())
        return value

    @field_validator("client")
    @classmethod
    def _may_be_passed_on(cls, value: dict[str, str | int | float | bool]) -> dict[str, str | int | float | bool]:
        if found := client_settings.problems(value):
            raise ValueError("; ".join(found))
        return value

    @model_validator(mode="after")
    def _one_address(self) -> ConnectionOptions:
        if self.address.brokers and self.brokers:
            raise ValueError("give either url or brokers, not both")
        if self.address.username and self.security.username:
            raise ValueError("the user is given twice: in url and in security.username")
        return self

    @property
    def address(self) -> Address:
        """What `url` says; everything empty without one."""
        return parse_address(self.url.get_secret_value())

    @property
    def servers(self) -> tuple[str, ...]:
        """The brokers, from whichever option names them; empty where another plugin's connection is meant."""
        return self.brokers or self.address.brokers

"""From options to what librdkafka is given. The settings that decide loss are here, each with its reason."""

from __future__ import annotations

import os
from typing import Any, Literal, TypeAlias

from ddpm_core import ConfigError
from ddpm_kafka import client_settings
from ddpm_kafka.connection_options import ConnectionOptions, SecurityOptions

Role: TypeAlias = Literal["consumer", "producer", "admin"]

_OF_ROLE = {
    "consumer": client_settings.BOTH | client_settings.CONSUMER,
    "producer": client_settings.BOTH | client_settings.PRODUCER,
    "admin": client_settings.BOTH,
}


def client_config(options: ConnectionOptions, role: Role) -> dict[str, Any]:
    """What every client of this connection is made with: brokers, login, and those passed-through settings that this kind of client has.

    Holds the password in clear: it is handed to the library and to nothing else. Whoever adds settings of their own puts them before
    what this returns where users may change them (`{**mine, **client_config(...)}`), and behind it where they may not.

    Raises:
        ConfigError: No brokers are named, or a file that is named is not there.
    """
    if not options.servers:
        raise ConfigError("Kafka: no brokers are named", hint="Set `brokers`, such as localhost:9092.")
    passed = {name: value for name, value in options.client.items() if name in _OF_ROLE[role]}
    return {
        "bootstrap.servers": ",".join(options.servers),
        "client.id": "ddpm",
        "socket.keepalive.enable": True,
        # A broker whose address changed is asked for anew in seconds, not in its default of minutes.
        "reconnect.backoff.max.ms": 2000,
        **{name: _as_text(value) for name, value in passed.items()},
        **_security(options),
    }


def _as_text(value: str | int | float | bool) -> str | int | float:
    return str(value).lower() if isinstance(value, bool) else value


def _security(options: ConnectionOptions) -> dict[str, Any]:
    security = options.security
    username = security.username or options.address.username
    password = security.password.get_secret_value() or options.address.password
    mechanism = security.mechanism or ("SCRAM-SHA-512" if username else None)
    protocol = ("SASL_" if mechanism else "") + ("SSL" if security.encrypted else "PLAINTEXT")
    config: dict[str, Any] = {"security.protocol": protocol}
    if security.encrypted:
        config |= _tls(security)
    if mechanism == "OAUTHBEARER":
        config |= {
            "sasl.mechanism": mechanism,
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": username,
            "sasl.oauthbearer.client.secret": password,
            "sasl.oauthbearer.token.endpoint.url": security.token_url,
        }
        if security.scope:
            config["sasl.oauthbearer.scope"] = security.scope
    elif mechanism:
        if not username or not password:
            raise ConfigError(
                f"Kafka: {mechanism} needs a user and a password", hint="Set security.username and security.password."
            )
        config |= {"sasl.mechanism": mechanism, "sasl.username": username, "sasl.password": password}
    return config


def _tls(security: SecurityOptions) -> dict[str, Any]:
    config: dict[str, Any] = {}
    files = {"ca": "ssl.ca.location", "certificate": "ssl.certificate.location", "key": "ssl.key.location"}
    for name, setting in files.items():
        if path := getattr(security, name):
            if not os.path.isfile(path):
                raise ConfigError(f"Kafka: the file of security.{name} does not exist: {path}")
            config[setting] = path
    if password := security.key_password.get_secret_value():
        config["ssl.key.password"] = password
    if security.insecure:
        config |= {"enable.ssl.certificate.verification": False, "ssl.endpoint.identification.algorithm": "none"}
    else:
        config["ssl.endpoint.identification.algorithm"] = "https"
    return config

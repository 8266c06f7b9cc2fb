"""Addresses: `kafka://user:password@host:port,host:port/topic`, and brokers as `host:port`."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

DEFAULT_PORT = 9092


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL says. `password` is as secret as the URL was."""

    brokers: tuple[str, ...] = ()
    topic: str = ""
    username: str = ""
    password: str = field(default="", repr=False)


def parse_address(url: str) -> Address:
    """The parts of an address; all of them empty for an empty one.

    Raises:
        ValueError: It is no address of Kafka. Its text is not repeated, since it may hold a password.
    """
    if not url:
        return Address()
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() != "kafka" or any(sign in rest for sign in "?#"):
        raise ValueError("is kafka://host:port/topic, without parameters; user, password and topic with special characters as %XX")
    authority, _, path = rest.partition("/")
    login, _, hosts = authority.rpartition("@")
    if "@" in login or "@" in path:
        raise ValueError("has an @ in its user, password or topic; write it as %40")
    if "/" in path.rstrip("/"):
        raise ValueError("has a / in its topic, or an unescaped one in its password; write it as %2F")
    if not hosts:
        raise ValueError("names no broker; write kafka://host:port/topic")
    username, _, password = login.partition(":")
    return Address(
        brokers=tuple(parse_broker(host) for host in hosts.split(",")),
        topic=unquote(path.rstrip("/")),
        username=unquote(username),
        password=unquote(password),
    )


def parse_broker(text: str) -> str:
    """`host:port`, with the port that Kafka has by default.

    Raises:
        ValueError: It is no broker's address.
    """
    text = text.strip()
    host, separator, port = text.rpartition(":")
    if not separator or text.endswith("]"):  # An IPv6 address in brackets has colons of its own.
        host, port = text, str(DEFAULT_PORT)
    fine = host.endswith("]") if host.startswith("[") else bool(host) and not set(host) & set(":/@[] ")
    if not fine or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
        raise ValueError("has a broker that is not written as host:port, such as localhost:9092")
    return f"{host}:{port}"

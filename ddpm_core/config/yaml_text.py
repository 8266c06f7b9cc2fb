"""Nodes back into YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ddpm_core.config.node import Node

_PLAIN_KEY = re.compile(r"(?!(?:null|true|false)$)[a-z_][a-z0-9_]*")


def yaml_text(root: Node) -> str:
    """Block style, texts in quotes, so that it reads back as just this, whatever YAML's version. Variables stay as they are written."""
    return "".join(f"{line}\n" for line in _lines(root))


def _lines(node: Node) -> Iterator[str]:
    match node.value:
        case dict() as entries if entries:
            for key, inner in entries.items():
                yield from _entry(f"{key if _PLAIN_KEY.fullmatch(key) else _quoted(key)}:", inner)
        case list() as items if items:
            for inner in items:
                yield from _entry("-", inner)
        case dict():
            yield "{}"
        case list():
            yield "[]"
        case str() as text:
            yield _quoted(text)
        case _:
            yield node.written or "null"


def _entry(lead: str, inner: Node) -> Iterator[str]:
    if inner.is_scalar or not inner.value:
        yield f"{lead} {next(_lines(inner))}"
        return
    yield lead
    yield from (f"  {line}" for line in _lines(inner))


def _quoted(text: str) -> str:
    """JSON's way, which is YAML's too; what is no printable character is escaped."""
    plain = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain)

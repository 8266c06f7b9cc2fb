"""A pipeline's file as it is read: variables filled in, secrets masked, and again YAML that means the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ddpm_core.config.located_options import located_options
from ddpm_core.config.node import Node
from ddpm_core.config.options import is_secret, option_names_of
from ddpm_core.config.redact import MASK, is_secret_name, mask_url, redact
from ddpm_core.config.yaml_file import plain_scalar
from ddpm_core.engine.build import dead_letter_model, options_model
from ddpm_core.errors import ConfigError

if TYPE_CHECKING:
    from ddpm_core.config.options import PluginOptions
    from ddpm_core.config.pipeline_document import PipelineDocument, PluginUse
    from ddpm_core.plugin.specs import Plugin
    from ddpm_core.registry import Registry

_BARE = re.compile(r"[A-Za-z_./][\w./+*@-]*(?: [\w./+*@-]+)*", re.ASCII)
_ADDRESSES = re.compile(r"url|uri|dsn|address|addresses|brokers", re.IGNORECASE)


def resolved_yaml(document: PipelineDocument, registry: Registry) -> str:
    """The file as YAML. What is a secret, or may be one since no plugin knows the option, is `***`."""
    scrub = document.environment.scrub
    masked = _Masked(document, registry)
    return "".join(f"{scrub(line)}\n" for line in _lines(document.root, 0, masked))


class _Masked:
    """What is shown of each scalar."""

    def __init__(self, document: PipelineDocument, registry: Registry) -> None:
        self._rules: dict[int, str] = {}
        uses: list[tuple[PluginUse | None, Callable[[str], Plugin[Any]]]] = [
            (document.source, registry.source),
            (document.format, registry.format),
            *((use, registry.processor) for use in document.processors),
            *((entry.use, registry.sink) for entry in document.sinks),
        ]
        for use, find in uses:
            if use is not None:
                try:
                    model = options_model(find(use.name))
                except ConfigError:
                    model = None
                self._look_at(use.options, model)
        if document.dead_letter is not None:
            try:
                model = dead_letter_model(registry.sink(document.dead_letter.name))
            except ConfigError:
                from ddpm_core.engine.checked import FILE, DeadLetterFileOptions

                model = DeadLetterFileOptions if document.dead_letter.name == FILE else None
            self._look_at(document.dead_letter.options, model)

    def _look_at(self, options: Node, model: type[PluginOptions] | None) -> None:
        # Names that the model does not have may be its short form; where there is a mistake, one may be a password that is misspelt.
        free = model is not None and located_options(model, options, options, owner="", scrub=str)[0] is not None
        fields = {} if model is None else option_names_of(model)
        for name, node in options.entries.items():
            field = fields.get(name)
            if field is None and not free:
                self._hide(node, MASK)
            elif field is not None and is_secret(field.annotation):
                self._hide(node, "url" if _ADDRESSES.search(name) else MASK)
        if not options.entries:
            self._hide(options, MASK if model is None else "")

    def _hide(self, node: Node, how: str) -> None:
        for scalar in node.scalars():
            if how:
                self._rules[id(scalar)] = how

    def text(self, node: Node, name: str) -> str:
        """What to show of a text at this key."""
        rule = self._rules.get(id(node))
        text = str(node.value)
        if rule == MASK or is_secret_name(name):
            return MASK
        shown = text if node.shown is None else node.shown
        if rule == "url":
            return mask_url(shown) if "://" in shown else MASK
        return redact(shown)

    def hides(self, node: Node, name: str) -> bool:
        """Whether nothing of a number may be shown."""
        return id(node) in self._rules or is_secret_name(name)


def _lines(node: Node, indent: int, masked: _Masked, name: str = "") -> Iterator[str]:
    gap = " " * indent
    if isinstance(node.value, dict):
        for key, inner in node.value.items():
            yield from _entry(f"{gap}{_quoted(key)}:", inner, indent, masked, key)
    elif isinstance(node.value, list):
        for inner in node.value:
            if isinstance(inner.value, dict) and inner.value:
                first, *rest = _lines(inner, indent + 2, masked, name)
                yield f"{gap}- {first[indent + 2 :]}"
                yield from rest
            else:
                yield from _entry(f"{gap}-", inner, indent, masked, name)


def _entry(head: str, node: Node, indent: int, masked: _Masked, name: str) -> Iterator[str]:
    if isinstance(node.value, list) and node.value and all(inner.is_scalar for inner in node.value):
        yield f"{head} [{', '.join(_scalar(inner, masked, name) for inner in node.value)}]"
    elif isinstance(node.value, dict | list) and node.value:
        yield head
        yield from _lines(node, indent + 2, masked, name)
    elif isinstance(node.value, dict | list):
        yield f"{head} {'{}' if isinstance(node.value, dict) else '[]'}"
    else:
        yield f"{head} {_scalar(node, masked, name)}".rstrip()


def _scalar(node: Node, masked: _Masked, name: str) -> str:
    if isinstance(node.value, str):
        return _quoted(masked.text(node, name))
    if node.value is None:
        return "null"
    return _quoted(MASK) if masked.hides(node, name) else node.written


def _quoted(text: str) -> str:
    """A text as a scalar that is read as this text again: quoted, unless it is surely safe without."""
    text = text.replace("${", "$${")
    if _BARE.fullmatch(text) and isinstance(plain_scalar(text), str):
        return text
    return re.sub(
        r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]",
        _escape,
        json.dumps(text, ensure_ascii=False),
    )


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"

"""Messages of a format with what must come out of them: for the kit, and for the harness that sends them through real services.

A plugin brings them in a module `golden` beside its parser's: the parser is `ddpm_logline.parser:build`, so they are what
`ddpm_logline.golden.golden_messages("logline")` gives. Nothing imports that module but tests.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from ddpm_core.errors import PluginError
from ddpm_core.plugin.specs import FormatSpec
from ddpm_core.values import dataclass


@dataclass(frozen=True, slots=True)
class GoldenMessage:
    """One message, and what must come out of it: rows, or a dead letter with this reason.

    Attributes:
        payload: Its value; None is a tombstone.
        rows: Its rows in order, as `to_pylist` gives them; columns that are null may be left out.
        reason: Why it is rejected, or an empty string. A message that is rejected has no rows.
        key: Its key.
    """

    payload: bytes | None
    rows: Sequence[Mapping[str, Any]] = ()
    reason: str = ""
    key: bytes | None = None

    def __post_init__(self) -> None:
        if self.reason and self.rows:
            raise ValueError("a message lands whole or not at all: it has rows or a reason")


@dataclass(frozen=True, slots=True)
class GoldenMessages:
    """Messages of one format. What comes out must not depend on how they are batched, nor on bad ones among the others.

    Values that are plain (text, numbers, booleans) can be compared in every sink. No two rows should be the same, so that a row
    that comes twice is seen.

    Attributes:
        good: Messages whose rows have the same columns.
        evolving: Sent after those, with columns that were not there before: a sink with `schema: evolve` takes them.
        bad: Messages that are rejected. They may be sent anywhere among the others.
        options: The format's options.
    """

    good: Sequence[GoldenMessage]
    evolving: Sequence[GoldenMessage] = ()
    bad: Sequence[GoldenMessage] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(message.reason for message in (*self.good, *self.evolving)):
            raise ValueError("a good message, or an evolving one, has a reason")
        if not all(message.reason for message in self.bad):
            raise ValueError("a bad message has no reason")

    def all(self) -> list[GoldenMessage]:
        """Every message, in an order in which they can be sent: the bad ones among the others."""
        bad = list(self.bad)
        sent: list[GoldenMessage] = []
        for message in (*self.good, *self.evolving):
            sent.append(message)
            sent += bad[:1]
            bad = bad[1:]
        return sent + bad


def golden_messages_of(spec: FormatSpec) -> GoldenMessages | None:
    """The golden messages of an installed format, or None when its package has none.

    Raises:
        PluginError: Its module `golden` gives something else.
    """
    module = spec.parser.partition(":")[0] if isinstance(spec.parser, str) else spec.parser.__module__
    package = module.rpartition(".")[0]
    name = f"{package}.golden"
    if not package or importlib.util.find_spec(name) is None:
        return None
    made = importlib.import_module(name).golden_messages(spec.name)
    if made is not None and not isinstance(made, GoldenMessages):
        raise PluginError(f"{name}.golden_messages({spec.name!r}) gave {type(made).__name__}, and no GoldenMessages")
    return made

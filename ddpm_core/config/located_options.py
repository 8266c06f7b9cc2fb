"""Options of a plugin out of a file: checked as those of the command line are, with each mistake where it stands."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from ddpm_core.config.environment import SHORTEST_SECRET
from ddpm_core.config.node import Node
from ddpm_core.config.options import PluginOptions, is_secret, option_names_of, plain_message
from ddpm_core.config.redact import MASK
from ddpm_core.errors import Problem

OptionsT = TypeVar("OptionsT", bound=PluginOptions)

_WANTS_TEXT = ("string_type", "literal_error", "enum")
"""The kinds of pydantic's errors that a number gets where text is wanted."""


def located_options(
    model: type[OptionsT], given: Node, at: Node, *, owner: str, scrub: Callable[[str], str]
) -> tuple[OptionsT | None, list[Problem]]:
    """The options that a mapping describes, or every mistake in it.

    A number, `true` or `false` that stands where the model wants text is the text that was written: `password: 0123` is what it looks like.

    Args:
        model: The plugin's options model.
        given: The options in the file.
        at: Where the plugin's name stands, for what is missing.
        owner: Whose options these are: `format json (ddpm-core 0.1.0)`.
        scrub: Takes secrets out of a message.
    """
    if given.broken:
        return None, []
    if not isinstance(given.value, dict):
        return None, [given.problem(f"options of {owner} are a mapping, and this is {given.kind}")]
    try:
        return model.model_validate(given.plain_value()), []
    except ValidationError as error:
        found = _entries(error)
    texts = {id(node) for entry in found if entry["type"] in _WANTS_TEXT and _is_number(node := given.find(entry["loc"]))}
    if texts:
        try:
            return model.model_validate(given.plain_value(as_text=texts)), []
        except ValidationError as error:
            found = _entries(error)
    secrets = _secret_values(model, given)

    def clean(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, MASK)
        return scrub(text)

    return None, [problem for entry in found for problem in _problems(entry, model, given, at, owner, clean)]


def _entries(error: ValidationError) -> Sequence[Mapping[str, Any]]:
    return error.errors(include_input=False, include_url=False)


def _is_number(node: Node) -> bool:
    return node.plain and isinstance(node.value, bool | int | float)


def _problems(
    entry: Mapping[str, Any], model: type[PluginOptions], given: Node, at: Node, owner: str, clean: Callable[[str], str]
) -> Iterable[Problem]:
    """One of pydantic's errors. Nothing where a variable without content is to blame, which is told already."""
    location = entry["loc"]
    node = given.find(location)
    if any(scalar.broken for scalar in node.scalars()):
        return
    if entry["type"] == "extra_forbidden":
        yield _unknown(location, model, given, owner)
    elif entry["type"] == "missing":
        place = at if node is given else node
        yield place.problem(f"{owner} needs the option {'.'.join(map(str, location))!r}")
    elif node is given:
        yield at.problem(clean(plain_message(entry["msg"])), owner)
    else:
        yield node.problem(clean(plain_message(entry["msg"])), owner)


def _unknown(location: Sequence[str | int], model: type[PluginOptions], given: Node, owner: str) -> Problem:
    *above, name = location
    parent = given.find(above)
    if parent is not given:
        return parent.problem_at(str(name), "there is no such option", owner)
    known = option_names_of(model)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"its options: {', '.join(sorted(known)) or 'none'}"
    return parent.problem_at(str(name), f"{owner} has no such option", hint)


def _secret_values(model: type[PluginOptions], given: Node) -> list[str]:
    """What stands in options that are secret: no validator may repeat it."""
    nodes = (
        given.entries[name]
        for name, field in option_names_of(model).items()
        if name in given.entries and is_secret(field.annotation)
    )
    values = {text for node in nodes for scalar in node.scalars() for text in (str(scalar.value), scalar.written)}
    return sorted((value for value in values if len(value) >= SHORTEST_SECRET), key=len, reverse=True)

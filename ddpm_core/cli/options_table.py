"""The options of a plugin as a table, made from its options model: for `ddpm plugins show`, and for the documentation."""

from __future__ import annotations

import types
from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from ddpm_core.values import dataclass

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ddpm_core.config.options import PluginOptions

_NAMES: dict[Any, str] = {str: "text", bool: "true or false", int: "integer", float: "number", bytes: "bytes", Path: "path"}
_LIMITS = (("ge", "at least {}"), ("gt", "more than {}"), ("le", "at most {}"), ("lt", "less than {}"))


@dataclass(frozen=True, slots=True)
class OptionRow:
    """One option. `default` is as one would write it; `required` where there is none, and empty where the value is a secret."""

    name: str
    type: str
    default: str
    description: str


def options_table(model: type[PluginOptions]) -> list[OptionRow]:
    """The options of this model, in its order."""
    return [
        OptionRow(field.alias or name, _type_of(field), _default_of(field), " ".join((field.description or "").split()))
        for name, field in model.model_fields.items()
    ]


def options_markdown(model: type[PluginOptions]) -> str:
    """The same as a Markdown table; `No options.` where there are none."""
    rows = options_table(model)
    if not rows:
        return "No options."
    lines = ["| option | type | default | meaning |", "|---|---|---|---|"]
    for row in rows:
        default = row.default if row.default in ("", "required", "none") else f"`{row.default}`"
        cells = (f"`{row.name}`", row.type, default, row.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def _type_of(field: FieldInfo) -> str:
    name = _type_name(field.annotation)
    limits = [
        words.format(getattr(limit, attribute))
        for limit in field.metadata
        for attribute, words in _LIMITS
        if getattr(limit, attribute, None) is not None
    ]
    return f"{name}, {', '.join(limits)}" if limits else name


def _type_name(annotation: Any) -> str:
    """A type as a user thinks of it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return " | ".join(str(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_type_name(part) for part in arguments if part is not type(None)))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "mapping of names to " + _type_name(arguments[-1])
    if isinstance(origin, type) and issubclass(origin, Collection):
        return "list of " + _type_name(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(member.value) for member in annotation)
    from ddpm_core.config.options import is_secret

    if is_secret(annotation):
        return "secret"
    if annotation is Any:
        return "anything"
    if fields := _fields_of(annotation):
        return f"mapping with {fields}"
    return str(_NAMES.get(annotation) or getattr(annotation, "__name__", annotation))


def _default_of(field: FieldInfo) -> str:
    from pydantic_core import PydanticUndefined

    from ddpm_core.cli.output import redact
    from ddpm_core.config.options import is_secret

    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined:
        return "none"
    if is_secret(field.annotation):
        return ""
    return redact(_value(value))


def _fields_of(annotation: Any) -> str:
    """The names of the options that a group of options has; empty for anything else."""
    fields = getattr(annotation, "model_fields", None)
    return ", ".join(fields) if isinstance(annotation, type) and isinstance(fields, Mapping) else ""


def _value(value: Any) -> str:
    if _fields_of(type(value)):
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_value(item)}" for name, item in value.items()) or "none"
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return ", ".join(_value(item) for item in value) or "none"
    return str(value) if value != "" else "none"

"""What is wrong with a spec, found when a plugin hands it over and not when somebody uses it."""

from __future__ import annotations

import re

from ddpm_core.plugin.specs import PluginSpec

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PLACE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_TUPLES = {"suffixes": str, "schemes": str, "modes": str, "addresses": str, "magic": bytes}
_LAZY = ("options", "build", "parser", "serializer", "documents", "database")
_MAY_BE_NONE = ("serializer", "documents", "database")


def spec_problem(spec: PluginSpec) -> str:
    """What is wrong with its fields, or an empty string. Imports nothing that they name."""
    if not isinstance(spec.name, str) or not _NAME.fullmatch(spec.name):
        return f"the name {spec.name!r}; names are lower-case letters, digits and _, beginning with a letter"
    for name, wanted in _TUPLES.items():
        value = getattr(spec, name, ())
        if not isinstance(value, tuple) or not all(isinstance(item, wanted) for item in value):
            return f"{name}={value!r}, which is no tuple of {wanted.__name__}; a tuple of one ends in a comma: ({wanted()!r},)"
    for suffix in getattr(spec, "suffixes", ()):
        if not suffix.startswith(".") or suffix != suffix.lower():
            return f"the suffix {suffix!r}; suffixes are in lower case and begin with a dot"
    for scheme in getattr(spec, "schemes", ()):
        if not scheme or ":" in scheme or scheme != scheme.lower():
            return f"the scheme {scheme!r}; schemes are in lower case, without ://"
    for name in _LAZY:
        value = getattr(spec, name, None)
        if value is None and (name in _MAY_BE_NONE or not hasattr(spec, name)):
            continue
        if not callable(value) and not (isinstance(value, str) and _PLACE.fullmatch(value)):
            return f"{name}={value!r}, which is neither something to call nor 'module:attribute'"
    return ""

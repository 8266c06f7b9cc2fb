"""The JSON Schema of pipeline files, composed from the options of the plugins that are installed: for editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from ddpm_core.config.pipeline_keys import LIMIT_KEYS, PIPELINE_KEYS, SINK_KEYS, Key
from ddpm_core.engine.build import dead_letter_model, options_model
from ddpm_core.engine.checked import FILE, DeadLetterFileOptions

if TYPE_CHECKING:
    from ddpm_core.config.options import PluginOptions
    from ddpm_core.plugin.specs import Plugin
    from ddpm_core.registry import Registry

Schema = dict[str, Any]

VARIABLE: Schema = {"type": "string", "pattern": r"\$\{[A-Za-z_]"}
_TEXT: Schema = {"type": ["string", "number", "boolean"]}
_CHOICES = {"schema": ("evolve", "freeze"), "guarantee": ("exactly_once", "at_least_once"), "on_error": ("dead-letter", "fail")}


def editor_schema(registry: Registry) -> Schema:
    """The schema, draft 7, which editors know best. Every value may be a variable such as `${NAME}`.

    Raises:
        PluginError: A plugin's options model cannot be had.
    """
    return _Schema(registry).whole()


class _Schema:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._definitions: dict[str, Schema] = {}

    def whole(self) -> Schema:
        plugins = self._registry.all()
        kinds: dict[str, dict[str, Schema]] = {kind: {} for kind in ("source", "format", "processor", "sink", "dead_letter")}
        for plugin in plugins:
            kinds[plugin.spec.kind][plugin.spec.name] = self._plugin(plugin)
            if plugin.spec.kind == "sink" and plugin.spec.dead_letters is not None:
                kinds["dead_letter"][plugin.spec.name] = self._options(dead_letter_model(plugin), "dead_letter", plugin)
        kinds["dead_letter"][FILE] = self._options(DeadLetterFileOptions, "dead_letter", None)
        sink = _sink(kinds["sink"])
        values: dict[str, Schema] = {
            "source": _use(kinds["source"]),
            "format": _use(kinds["format"]),
            "processors": {"type": "array", "items": _use(kinds["processor"])},
            "sinks": {"type": "array", "items": sink, "minItems": 1},
            "sink": sink,
            "dead_letter": _use(kinds["dead_letter"]),
            "columns": {"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"type": "string"}]},
            "reject_limit": _mapping({key.name: _described(key, _TEXT) for key in LIMIT_KEYS}),
        }
        return {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "title": "A pipeline of DDPM",
            **_mapping({key.name: _described(key, values.get(key.name) or _scalar(key)) for key in PIPELINE_KEYS}),
            "required": ["name", "source"],
            "oneOf": [{"required": ["sinks"]}, {"required": ["sink"]}],
            "definitions": self._definitions,
        }

    def _plugin(self, plugin: Plugin[Any]) -> Schema:
        schema = self._options(options_model(plugin), plugin.spec.kind, plugin)
        return {**schema, "description": f"{plugin.spec.summary} ({plugin.distribution} {plugin.version})."}

    def _options(self, model: type[PluginOptions], kind: str, plugin: Plugin[Any] | None) -> Schema:
        """A plugin's options. What its model refers to goes among the definitions, under a name of its own."""
        from pydantic.errors import PydanticInvalidForJsonSchema

        prefix = f"{kind}.{plugin.spec.name if plugin else FILE}."
        try:
            schema = model.model_json_schema(ref_template=f"#/definitions/{prefix}{{model}}")
        except PydanticInvalidForJsonSchema:
            return {"type": ["object", "null"]}
        for name, inner in schema.pop("$defs", {}).items():
            self._definitions[prefix + name] = _loosened(inner)
        schema["properties"] = {
            name: _with_text(inner) if name in _read_by_hand(model) else inner
            for name, inner in schema.get("properties", {}).items()
        }
        schema = cast(Schema, _loosened(schema))
        schema.pop("title", None)
        if not schema.get("required"):
            schema["type"] = ["object", "null"]
        return schema


def _use(plugins: Mapping[str, Schema]) -> Schema:
    """A plugin by its name, or with its options."""
    alone = [name for name, schema in plugins.items() if not schema.get("required")]
    one = {**_mapping(dict(plugins)), "minProperties": 1, "maxProperties": 1}
    return {"anyOf": [one, {"enum": alone}, VARIABLE]} if alone else one


def _sink(plugins: Mapping[str, Schema]) -> Schema:
    keys = {key.name: _described(key, _scalar(key)) for key in SINK_KEYS}
    entry = {**_mapping({**plugins, **keys}), "oneOf": [{"required": [name]} for name in plugins]}
    alone = [name for name, schema in plugins.items() if not schema.get("required")]
    return {"anyOf": [entry, {"enum": alone}]} if alone else entry


def _mapping(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _scalar(key: Key) -> Schema:
    choices = _CHOICES.get(key.name)
    return {"anyOf": [{"enum": list(choices)}, VARIABLE]} if choices else _TEXT


def _described(key: Key, schema: Schema) -> Schema:
    return {**schema, "description": key.meaning}


def _read_by_hand(model: type[PluginOptions]) -> set[str]:
    """Options that a validator of the model looks at before pydantic does: they may be written as text too."""
    found = model.__pydantic_decorators__.field_validators.values()
    return {name for validator in found if validator.info.mode == "before" for name in validator.info.fields}


def _with_text(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "string"}], **{key: schema[key] for key in ("description", "default") if key in schema}}


def _loosened(schema: Any) -> Any:
    """The same schema, in which every value may be a variable, and a text may be written as a number."""
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    for name in ("properties", "patternProperties"):
        if name in made:
            made[name] = {key: _loosened(inner) for key, inner in made[name].items()}
    for name in ("items", "additionalProperties"):
        if name in made:
            made[name] = _loosened(made[name])
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if name in made:
            made[name] = [_loosened(inner) for inner in made[name]]
    kind = made.get("type")
    bound = {"pattern", "minLength", "maxLength", "format", "enum", "const"} & set(made)
    if kind == "string" and not bound:
        return {**made, **_TEXT}
    if kind in ("string", "integer", "number", "boolean", "array") or "enum" in made or "const" in made:
        kept = {key: made.pop(key) for key in ("description", "default") if key in made}
        number = [{"type": "number"}] if kind == "string" else []
        return {"anyOf": [made, VARIABLE, *number], **kept}
    return made

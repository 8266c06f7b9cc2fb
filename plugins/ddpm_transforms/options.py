"""The options of the processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic_core import CoreSchema

from ddpm_core import PluginOptions


class MapOptions(PluginOptions):
    """Which columns are made, and how. The short form is the columns alone: `map: {locale: upper(locale)}`."""

    safe_to_build: ClassVar[bool] = True  # Expressions are parsed then, and nothing runs.

    columns: dict[str, str] = Field(
        min_length=1,
        description="Column -> the SQL expression (of DuckDB) that it becomes. All expressions see the row as it came in, and its metadata: "
        "_topic, _partition, _offset, _timestamp, _key, _headers and _value of messages, _file and _row of documents.",
    )
    only: bool = Field(default=False, description="Keep only the columns named here, in this order.")

    @model_validator(mode="before")
    @classmethod
    def _from_short_form(cls, values: Any) -> Any:
        """Columns alone are the short form. It is the long one where `columns` is a mapping, which no expression is."""
        if isinstance(values, Mapping) and not isinstance(values.get("columns"), Mapping):
            return {"columns": dict(values)}
        return values

    @field_validator("columns", mode="before")
    @classmethod
    def _as_sql(cls, columns: Any) -> Any:
        """What YAML takes for a number or a boolean is an expression as well."""
        if not isinstance(columns, Mapping):
            return columns
        made: dict[Any, Any] = {}
        for name, value in columns.items():
            if not isinstance(name, str) or not name.strip():
                raise ValueError(f"a column's name is text, and {name!r} is none: put it in quotes")
            if value is None or not isinstance(value, str | int | float):
                raise ValueError(f"column {name!r} takes an expression, as text; for NULL write 'null', in quotes")
            made[name] = str(value).lower() if isinstance(value, bool) else str(value)
        return made

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Both forms, for editors."""
        long = handler.resolve_ref_schema(handler(core_schema))
        expression = {"type": ["string", "number", "boolean"]}
        long["properties"]["columns"]["additionalProperties"] = expression
        short = {"type": "object", "additionalProperties": expression, "minProperties": 1, "title": "Column -> expression"}
        return {"anyOf": [long, short], "description": long.get("description", ""), "title": long.get("title", "")}

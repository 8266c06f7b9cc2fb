"""Options of plugins: the pydantic base class, and checking that reports every mistake at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, SecretBytes, SecretStr, ValidationError

from ddpm_core.errors import ConfigError, Problem


class PluginOptions(BaseModel):
    """Base of every plugin's options.

    Every field has a description (the conformance kit checks it), a default where one makes sense, and `SecretStr` as its type
    where the value must never be printed. Unknown names are errors. Instances do not change.
    """

    safe_to_build: ClassVar[bool] = False
    """Whether building a format or processor with these options runs no code that they name. Then `ddpm validate` builds it too, and finds
    what only building finds. Sources and sinks are always built: they never run such code."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


class NoOptions(PluginOptions):
    """For plugins without options."""


OptionsT = TypeVar("OptionsT", bound=PluginOptions)


def check_options(model: type[OptionsT], values: Mapping[str, Any], *, owner: str) -> OptionsT:
    """The options that `values` describe. Called once for each plugin that a run uses, before anything is opened.

    Args:
        model: The plugin's options model.
        values: Option name -> value, as text or typed.
        owner: Whose options these are, for messages: `format json`.

    Raises:
        ConfigError: Every unknown name (with the nearest known one), missing option and wrong type at once. Values are not
            repeated in the messages, since any of them may be a secret.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        import difflib

        problems = []
        for entry in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in entry["loc"])
            if entry["type"] == "extra_forbidden":
                near = difflib.get_close_matches(name, model.model_fields, n=1)
                known = ", ".join(sorted(model.model_fields)) or "none"
                problems.append(
                    Problem(
                        f"{owner}, option {name!r}",
                        "there is no such option",
                        f"did you mean {near[0]!r}?" if near else f"its options: {known}",
                    )
                )
            else:
                problems.append(Problem(f"{owner}, option {name!r}" if name else owner, plain_message(entry["msg"])))
        raise ConfigError(problems) from None


def is_secret(annotation: Any) -> bool:
    """Whether a type, or a part of it, holds what must never be printed."""
    if isinstance(annotation, type) and issubclass(annotation, SecretStr | SecretBytes):
        return True
    return any(is_secret(part) for part in get_args(annotation))


def option_names_of(model: type[BaseModel]) -> dict[str, Any]:
    """The options as users name them -> their fields."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def plain_message(message: str) -> str:
    """Pydantic's sentence without its prefix, beginning in lower case."""
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message[:1].lower() + message[1:]


def one_format(value: Any) -> Any:
    """What a user wrote for the format that a sink writes, as name -> its options. For validators of such an option, before pydantic's own.

    Takes a name, a mapping of one name to its options, or that mapping as JSON text, since the command line has only text.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError('a format with options is written as JSON, such as {"csv": {"delimiter": ";"}}') from None
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise ValueError("is the name of one format, or a mapping of its name to its options")
    return {name: {} if options is None else options for name, options in value.items()}

"""Variables in a configuration: `${NAME}`, `${NAME:default}`, `${NAME:-default}`, and `$${` for a `${` that is none.

They are filled in after the YAML has been parsed, in values only, so a variable's content is always text and can never add a key, a list
or another variable.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from ddpm_core.config.node import Node, below
from ddpm_core.config.redact import MASK, is_secret_name
from ddpm_core.errors import ConfigError, Problem
from ddpm_core.values import dataclass

MAX_SECRET_BYTES = 1 << 20
"""The longest content of a file that a `NAME_FILE` names."""
SHORTEST_SECRET = 4
"""Shorter values are not masked in messages: they would be found in every word."""

_FOLDER = "PWD"
"""In every shell the working folder, and no password."""
_PASSWORD = re.compile(r"://[^\s/?#:@]*:([^\s@]+)@")
_VARIABLE = re.compile(r"\$\$\{|\$\{(?P<inside>[^}]*)(?P<end>\}?)")
_INSIDE = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:-|:)(?P<default>.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Layer:
    """One place where variables are set.

    Attributes:
        values: Name -> content.
        folder: Where paths in a `NAME_FILE` begin.
        label: For messages.
    """

    values: Mapping[str, str]
    folder: Path
    label: str


class Environment:
    """Where the variables of a configuration come from: of several layers the first that has a name counts.

    Args:
        layers: The process's environment, then `.env` files.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers
        self._secrets: set[str] = set()
        self._secret_names: set[str] = set()
        self._known: dict[str, tuple[str | None, str]] = {}

    @classmethod
    def of(cls, path: Path, environment: Mapping[str, str] | None = None) -> Environment:
        """That of the process (or `environment`), then `.env` beside the file `path`, then `.env` in the working folder.

        Raises:
            ConfigError: A `.env` file cannot be read, or a line of it cannot be understood.
        """
        here = Path.cwd()
        layers = [Layer(os.environ if environment is None else environment, here, "the environment")]
        beside = path.parent.resolve()
        for folder in dict.fromkeys((beside, here.resolve())):
            file = folder / ".env"
            if file.is_file():
                layers.append(Layer(read_env_file(file), folder, str(file)))
        return cls(layers)

    def fill(self, node: Node, problems: list[Problem]) -> Node:
        """This node with its variables filled in, and its paths made anew. Mistakes are added to `problems`."""
        return self._filled(node, "", problems)

    def scrub(self, text: str) -> str:
        """This text without the content of variables that are secret: those of a `NAME_FILE`, and those whose name says so."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text

    def _filled(self, node: Node, path: str, problems: list[Problem]) -> Node:
        made = Node(node.value, node.mark, path, node.keys, node.written, node.plain)
        match node.value:
            case dict() as entries:
                made.value = {}
                for key, inner in entries.items():
                    if _VARIABLE.search(key):
                        problems.append(node.problem_at(key, "variables are filled in in values, not in keys"))
                    made.value[key] = self._filled(inner, below(path, key), problems)
            case list() as items:
                made.value = [self._filled(inner, below(path, index), problems) for index, inner in enumerate(items)]
            case str() as text if "${" in text:
                self._fill_text(made, text, problems)
        return made

    def _fill_text(self, node: Node, text: str, problems: list[Problem]) -> None:
        value, shown, at = [], [], 0
        for found in _VARIABLE.finditer(text):
            between = text[at : found.start()]
            at = found.end()
            content, secret = self._content(found, node, problems)
            if content is None:
                node.broken = True
                content = ""
            value += [between, content]
            shown += [between, MASK if secret else content]
        node.value = "".join([*value, text[at:]])
        node.shown = "".join([*shown, text[at:]])

    def _content(self, found: re.Match[str], node: Node, problems: list[Problem]) -> tuple[str | None, bool]:
        """What stands for this variable, and whether that is secret. None where it has no value, which is told."""
        if found["inside"] is None:
            return "${", False
        inside = _INSIDE.fullmatch(found["inside"])
        if inside is None or not found["end"] or "${" in found["inside"]:
            problems.append(node.problem(*_misspelt(found)))
            return None, False
        name, how, default = inside["name"], inside["how"], inside["default"]
        content, problem = self._lookup(name)
        if problem:
            problems.append(node.problem(problem))
            return None, False
        if how and (content is None or (how == ":-" and not content)):
            return default, False
        if content is None:
            problems.append(node.problem(f"the variable {name} is not set", f"set it, or give a default: ${{{name}:default}}"))
        return content, name in self._secret_names

    def _lookup(self, name: str) -> tuple[str | None, str]:
        """The variable's content, or None; and what is wrong with it, or an empty string."""
        if name not in self._known:
            self._known[name] = self._looked_up(name)
        return self._known[name]

    def _looked_up(self, name: str) -> tuple[str | None, str]:
        for layer in self._layers:
            content, file = layer.values.get(name), layer.values.get(f"{name}_FILE")
            if content is not None and file is not None:
                return None, f"{name} and {name}_FILE are both set in {layer.label}; remove one of them"
            if file is not None:
                content, problem = _secret_of(layer.folder / file, f"{name}_FILE")
                if problem:
                    return None, problem
            if content is not None:
                if any("\ud800" <= character <= "\udfff" for character in content):
                    return None, f"the variable {name} is not UTF-8"
                self._remember(name, content, from_file=file is not None)
                return content, ""
        return None, ""

    def _remember(self, name: str, content: str, *, from_file: bool) -> None:
        """Note what must not be printed: a secret, or the password of a URL."""
        if from_file or (name != _FOLDER and is_secret_name(name)):
            self._secret_names.add(name)
            secrets = [content]
        else:
            secrets = [found[1] for found in _PASSWORD.finditer(content)]
        self._secrets.update(secret for secret in secrets if len(secret) >= SHORTEST_SECRET)


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a `.env` file. Nothing in it refers to other variables.

    Raises:
        ConfigError: It cannot be read, or with every line that cannot be understood.
    """
    from dotenv.parser import parse_stream

    try:
        with path.open(encoding="utf-8-sig") as file:
            bindings = list(parse_stream(file))
    except UnicodeDecodeError:
        raise ConfigError(Problem(str(path), "is not UTF-8", "save the file as UTF-8")) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    # The line itself is not told: it may hold a secret.
    hint = "write NAME=VALUE, or begin the line with # for a comment"
    wrong = [Problem(f"{path}:{b.original.line}", "is not NAME=VALUE", hint) for b in bindings if b.error]
    if wrong:
        raise ConfigError(wrong)
    return {b.key: b.value for b in bindings if b.key is not None and b.value is not None}


def _secret_of(path: Path, variable: str) -> tuple[str | None, str]:
    """The content of a secret's file without its last line end, or what is wrong with it."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None, f"{variable} names {path}, which is no file"
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        if len(content) > MAX_SECRET_BYTES:
            return None, f"{variable} names {path}, which has more than {MAX_SECRET_BYTES:,} bytes"
        text = content.decode()
    except UnicodeDecodeError:
        return None, f"{variable} names {path}, which is not UTF-8"
    except FileNotFoundError:
        return None, f"{variable} names {path}, which is not there"
    except (OSError, ValueError) as error:
        said = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        return None, f"{variable} names {path}, which cannot be read: {said.lower()}"
    return text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text, ""


def _misspelt(found: re.Match[str]) -> tuple[str, str]:
    if not found["end"]:
        return "a variable begins with ${ and does not end", "end it with }; for ${ itself write $${"
    if "${" in found["inside"]:
        return "a variable stands inside of another one", "give it a default that is text; for ${ itself write $${"
    return (
        "this is no variable: ${ } holds a name of letters, digits and _",
        "write ${NAME} or ${NAME:default}; for ${ itself write $${",
    )

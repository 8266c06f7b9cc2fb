"""The `app:` file: a few settings, and a pipeline's template that is filled in with them.

```yaml
app:
  pipeline_template: pipeline.template.yaml
  generated_pipeline_config: generated/pipeline.yaml
  source: {parser: json}
  kafka: {brokers: ["redpanda:9092"], topics: ["pipeline-topic"], consumer_group: pipeline-group, min_partitions: 3}
  postgres: {url: "${DATABASE_URL}", table: processed_data}
```

The template is a pipeline in which `${app.kafka.topics}` stands for what is written here. Names are filled in after both files are parsed,
in values only. A value that is nothing but one name becomes what the name stands for, a list too; within other text a list is joined by
commas. Variables of the environment are left as they are, so that no secret from there gets into the generated file.
"""

from __future__ import annotations

import difflib
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddpm_core.config import quantities
from ddpm_core.config.environment import Environment
from ddpm_core.config.node import Node, below
from ddpm_core.config.yaml_file import read_yaml
from ddpm_core.config.yaml_text import yaml_text
from ddpm_core.errors import ConfigError, Problem
from ddpm_core.values import dataclass

TEST_TIMEOUT = 30.0
"""Seconds after which a run in integration test mode stops."""

_DEFAULTS: Mapping[str, Any] = {
    "app.profiling": False,
    "app.pipeline_template": None,
    "app.generated_pipeline_config": None,
    "app.source.parser": "json",
    "app.source.plugin_path": None,
    "app.kafka.brokers": ["redpanda:9092"],
    "app.kafka.topics": ["pipeline-topic"],
    "app.kafka.consumer_group": "pipeline-group",
    "app.kafka.min_partitions": 3,
    "app.postgres.url": None,
    "app.postgres.table": "processed_data",
    "app.logger.level": "INFO",
}
"""Every key of the file, and what it is when it is not there; None: the template cannot name it then."""
_LISTS = ("app.kafka.brokers", "app.kafka.topics")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_NAME = re.compile(r"\$\$\{|\$\{\s*(?P<name>app(?:\.[A-Za-z0-9_]+)*)\s*\}")


@dataclass(frozen=True, slots=True)
class AppPipeline:
    """What an `app:` file becomes.

    Attributes:
        root: The pipeline; variables of the environment are not filled in yet. Each value knows the line that it was written in.
        generated: Where the file wants it written, or None.
        level: What is logged: DEBUG, INFO, WARNING or ERROR.
    """

    root: Node
    generated: Path | None
    level: str

    def write(self) -> None:
        """Write the pipeline, readable for its owner only; an equal file stays untouched.

        Raises:
            ConfigError: It cannot be written.
        """
        if self.generated is None:
            return
        text = _HEADER + yaml_text(self.root)
        try:
            if self.generated.is_file() and self.generated.read_text(encoding="utf-8") == text:
                return
            self.generated.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self.generated.parent, delete=False) as file:
                file.write(text)
            Path(file.name).replace(self.generated)
        except (OSError, UnicodeDecodeError) as error:
            said = str(error.strerror or error).lower() if isinstance(error, OSError) else "it is another kind of file"
            raise ConfigError(
                f"{self.generated} cannot be written: {said}", hint="app.generated_pipeline_config names it"
            ) from error


_HEADER = "# Made from the app: file and its template by ddpm; changes here are lost.\n"


def is_app_file(root: Node) -> bool:
    """Whether a parsed file is an `app:` file, and no pipeline."""
    return "app" in root.entries


def app_pipeline(raw: Node, path: Path, variables: Environment) -> AppPipeline:
    """The pipeline that an `app:` file and its template make. Nothing is written.

    Args:
        raw: The parsed file, variables not filled in.
        path: The file; paths in it begin in its folder.
        variables: The environment's.

    Raises:
        ConfigError: Every mistake in both files.
    """
    return _App(raw, path, variables).pipeline()


def integration_test_timeout(environment: Mapping[str, str]) -> float | None:
    """Seconds after which a run of an `app:` file stops by itself, or None: `INTEGRATION_TEST_MODE` and `INTEGRATION_TEST_TIMEOUT` (30 s).

    Raises:
        ConfigError: One of them says nothing that can be understood.
    """
    mode = environment.get("INTEGRATION_TEST_MODE", "").strip().lower()
    if mode in ("", "false", "0", "no"):
        return None
    if mode not in ("true", "1", "yes"):
        raise ConfigError("INTEGRATION_TEST_MODE is true or false")
    given = environment.get("INTEGRATION_TEST_TIMEOUT", "").strip()
    try:
        return quantities.seconds(given) if given else TEST_TIMEOUT
    except ValueError as error:
        raise ConfigError(f"INTEGRATION_TEST_TIMEOUT {error}") from None


class _App:
    def __init__(self, raw: Node, path: Path, variables: Environment) -> None:
        self._raw = raw
        self._folder = path.parent
        self._problems: list[Problem] = []
        self._filled = variables.fill(raw, self._problems)
        self._known: dict[str, Node] = {}
        """Name -> what it stands for."""

    def pipeline(self) -> AppPipeline:
        self._check_keys()
        for name in _DEFAULTS:
            self._know(name)
        self._refuse_profiling()
        self._choose_parser()
        level = self._level()
        generated = self._path("app.generated_pipeline_config")
        template = self._path("app.pipeline_template")
        if template is None and not self._broken("app.pipeline_template"):
            self._add(self._raw.entries["app"].problem("pipeline_template: is missing", "it names the pipeline's template"))
        if template is None:
            raise ConfigError(self._problems)
        root, problems = read_yaml(template)
        self._problems += problems
        made = self._rendered(root)
        if self._problems:
            raise ConfigError(self._problems)
        return AppPipeline(made, generated, level)

    # The app file.

    def _check_keys(self) -> None:
        for key in self._raw.entries:
            if key != "app":
                self._add(
                    self._raw.problem_at(key, "there is no such key beside app", "a pipeline's keys belong into the template")
                )
        self._check_below(self._raw.entries["app"], "app")

    def _check_below(self, node: Node, name: str) -> None:
        if not isinstance(node.value, dict):
            self._add(node.problem(f"is a mapping, and this is {node.kind}"))
            return
        known = {rest.partition(".")[0] for full in _DEFAULTS if (rest := full.removeprefix(f"{name}.")) != full}
        for key, inner in node.entries.items():
            full = f"{name}.{key}"
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"its keys: {', '.join(sorted(known))}"
                self._add(node.problem_at(key, "there is no such key", hint))
            elif full not in _DEFAULTS and inner.value is not None:
                self._check_below(inner, full)

    def _know(self, name: str) -> None:
        """Note what a name stands for: what the file says, else its default."""
        node = _at(self._raw, name)
        if node is None or node.value is None:
            default = _DEFAULTS[name]
            if default is not None:
                self._known[name] = _made(default, self._raw.entries["app"])
            return
        if name in _LISTS and node.is_scalar:
            items = [part.strip() for part in _text(node).split(",")]
            node = Node([Node(item, node.mark, node.path, written=item) for item in items if item], node.mark, node.path)
        if not node.is_scalar and not (
            name in _LISTS and isinstance(node.value, list) and all(item.is_scalar for item in node.value)
        ):
            self._add(node.problem(f"is {'a list of texts' if name in _LISTS else 'one value'}, and this is {node.kind}"))
            return
        self._known[name] = node

    def _value(self, name: str) -> str | None:
        """What the file says under a name, variables filled in; None where it says nothing."""
        node = _at(self._filled, name)
        if node is None or node.broken or node.value is None or not node.is_scalar:
            return None
        return _text(node).strip() or None

    def _broken(self, name: str) -> bool:
        node = _at(self._filled, name)
        return node is not None and node.broken

    def _path(self, name: str) -> Path | None:
        value = self._value(name)
        return None if value is None else self._folder / Path(value).expanduser()

    def _refuse_profiling(self) -> None:
        value = (self._value("app.profiling") or "false").lower()
        if value == "true":
            what = "is not available in this version of DDPM"
            self._add(self._node("app.profiling").problem(what, "set it to false, or leave it out"))
        elif value != "false":
            self._add(self._node("app.profiling").problem("is true or false"))

    def _choose_parser(self) -> None:
        """A plugin's path makes the parser a function of the format `custom`."""
        place, parser = self._value("app.source.plugin_path"), self._value("app.source.parser")
        if place is None:
            if parser == "custom":
                what = "custom needs the function that parses"
                self._add(self._node("app.source.parser").problem(what, "set app.source.plugin_path to path.py:function"))
            return
        node = self._node("app.source.plugin_path")
        file, colon, function = place.rpartition(":")
        if not colon or not file.endswith(".py") or not function.isidentifier():
            self._add(node.problem("is a function in a file, written path.py:function"))
            return
        if parser not in (None, "custom"):
            what = f"is for the parser custom, and app.source.parser says {parser}"
            self._add(node.problem(what, "remove one of them"))
            return
        where = str((self._folder / Path(file).expanduser()).absolute())
        self._known["app.source.plugin_path"] = _made(f"{where}:{function}".replace("${", "$${"), node)
        options = Node({"function": self._known["app.source.plugin_path"]}, node.mark, node.path, {"function": node.mark})
        self._known["app.source.parser"] = Node({"custom": options}, node.mark, node.path, {"custom": node.mark})

    def _level(self) -> str:
        level = (self._value("app.logger.level") or "INFO").upper()
        if level not in _LEVELS:
            self._add(self._node("app.logger.level").problem(f"is one of {', '.join(_LEVELS)}"))
        return level

    def _node(self, name: str) -> Node:
        return _at(self._raw, name) or self._raw.entries["app"]

    # The template.

    def _rendered(self, node: Node, path: str = "") -> Node:
        """A part of the template with its names filled in."""
        match node.value:
            case dict() as entries:
                for key in entries:
                    if any(found["name"] for found in _NAME.finditer(key)):
                        self._add(node.problem_at(key, "names are filled in in values, not in keys"))
                made: Any = {key: self._rendered(inner, below(path, key)) for key, inner in entries.items()}
            case list() as items:
                made = [self._rendered(inner, below(path, index)) for index, inner in enumerate(items)]
            case str() as text if "${" in text:
                whole = _NAME.fullmatch(text.strip())
                if whole and whole["name"]:
                    return self._named(whole["name"], node, path)
                made = _NAME.sub(lambda found: self._in_text(found, node), text)
                return Node(made, node.mark, path, written=made, plain=False)
            case made:
                pass
        return Node(made, node.mark, path, node.keys, node.written, node.plain)

    def _named(self, name: str, node: Node, path: str) -> Node:
        found = self._lookup(name, node)
        return node if found is None else _moved(found, path)

    def _in_text(self, found: re.Match[str], node: Node) -> str:
        if found["name"] is None:
            return found[0]
        value = self._lookup(found["name"], node)
        if value is None:
            return ""
        if isinstance(value.value, dict):
            self._add(node.problem(f"{found['name']} is a mapping, and stands alone: {found[0]}"))
            return ""
        return ",".join(_text(item) for item in _items(value)) if isinstance(value.value, list) else _text(value)

    def _lookup(self, name: str, node: Node) -> Node | None:
        value = self._known.get(name)
        if value is None and name in _DEFAULTS:
            if not (at := _at(self._raw, name)) or at.value is None:
                self._add(node.problem(f"the app file does not set {name}", f"set it in {self._raw.mark.file}"))
        elif value is None:
            near = difflib.get_close_matches(name, _DEFAULTS, n=1)
            self._add(node.problem(f"there is no {name}", f"did you mean {near[0]}?" if near else ""))
        return value

    def _add(self, problem: Problem) -> None:
        self._problems.append(problem)


def _at(root: Node, name: str) -> Node | None:
    node: Node | None = root
    for part in name.split("."):
        node = None if node is None else node.entries.get(part)
    return node


def _items(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else []


def _text(node: Node) -> str:
    return node.value if isinstance(node.value, str) else node.written


def _made(value: Any, like: Node) -> Node:
    """A value that stands in no file, at the place of another one."""
    if isinstance(value, list):
        return Node([_made(item, like) for item in value], like.mark, like.path)
    return Node(value, like.mark, like.path, written=str(value).lower() if isinstance(value, bool) else str(value))


def _moved(node: Node, path: str) -> Node:
    """The same value under another path; it still knows its own line."""
    value: Any = node.value
    if isinstance(value, dict):
        value = {key: _moved(inner, below(path, key)) for key, inner in value.items()}
    elif isinstance(value, list):
        value = [_moved(inner, below(path, index)) for index, inner in enumerate(value)]
    return Node(value, node.mark, path, node.keys, node.written, node.plain)

"""The beginning of a plugin: a complete package, from templates, whose tests pass at once.

The templates are the files under `templates/common` and `templates/KIND`, named as what they become plus `.tmpl`, so that no tool
takes them for code. `$name` and its like are filled in; `PACKAGE` and `NAME` in a path too.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

import ddpm_core
from ddpm_core.errors import ConfigError

KINDS = ("format", "source", "processor", "sink", "table_sink")
"""What can be begun: a plugin of each kind, and a sink for a database with tables and transactions."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def create(name: str, kind: str, into: Path) -> Path:
    """Write the package `ddpm-NAME` into a new folder of that name under `into`, and return the folder.

    Args:
        name: How users will name the plugin.
        kind: One of `KINDS`.
        into: A folder; it is made if it is missing.

    Raises:
        ConfigError: The name or the kind does not do, the name is taken, or the folder is there and not empty: nothing was written.
            Or the folder cannot be written.
    """
    if kind not in KINDS:
        raise ConfigError(f"there is no kind of plugin {kind!r}", hint=f"One of: {', '.join(KINDS)}.")
    if not _NAME.fullmatch(name) or len(name) > 40:
        raise ConfigError(
            f"{name!r} cannot be the name of a plugin",
            hint="Names are lower-case letters and digits, in words joined by _, beginning with a letter, at most 40 characters.",
        )
    package = f"ddpm_{name}"
    folder = into / package.replace("_", "-")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already and is not an empty folder", hint="Choose another name, or another folder.")
    if importlib.util.find_spec(package) is not None:
        raise ConfigError(f"a package {package} is installed here already", hint="Choose another name.")
    values = {
        "name": name,
        "package": package,
        "distribution": folder.name,
        "Class": "".join(word.capitalize() for word in name.split("_")),
        "core_version": ".".join(ddpm_core.__version__.split(".")[:2]),
    }
    try:
        for path, text in _filled(kind, values):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return folder


def _filled(kind: str, values: dict[str, str]) -> Iterator[tuple[PurePosixPath, str]]:
    """Every file of the new package: its path in it, and its text."""
    templates = files("ddpm_core.cli") / "templates"
    for root in (templates / "common", templates / kind):
        for path, template in _below(root, PurePosixPath()):
            name = str(path).removesuffix(".tmpl").replace("PACKAGE", values["package"]).replace("NAME", values["name"])
            yield PurePosixPath(name), Template(template.read_text(encoding="utf-8")).substitute(values)


def _below(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _below(entry, path / entry.name)
        elif entry.name.endswith(".tmpl"):
            yield path / entry.name, entry

"""`ddpm plugins`: what is installed, what one of them is and takes, and the beginning of a new one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.lazy import Command, LazyGroup
from ddpm_core.cli.output import aligned, printable, redact, shell
from ddpm_core.cli.params import PluginName
from ddpm_core.cli.settings import Settings

if TYPE_CHECKING:
    from ddpm_core.plugin.specs import Plugin
    from ddpm_core.registry import Registry

FILES = "files"
"""The source that `ddpm ingest` reads with."""

KINDS = ("source", "format", "processor", "sink")


@click.group(cls=LazyGroup, short_help="List plugins, show one, begin a new one.")
def plugins() -> None:
    """Every source, format, processor and sink is a plugin, found through entry points of the group `ddpm`."""


@plugins.command(
    "list",
    cls=Command,
    short_help="List what is installed.",
    epilog="""\b
Examples:
  ddpm plugins list
  ddpm plugins list --json
""",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
def list_(settings: Settings, as_json: bool) -> None:
    """List what is installed: name, kind, distribution, version and status (ok, broken, disabled)."""
    rows = _rows(settings.registry())
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2))
        return
    header = ["name", "kind", "distribution", "version", "status"]
    lines = [[printable(row[name] or "-") for name in header[:-1]] + [_status(row)] for row in rows]
    click.echo(aligned(header, lines) if lines else "No plugins are installed.")


@plugins.command(
    cls=Command,
    short_help="Show one plugin with its options.",
    epilog="""\b
Examples:
  ddpm plugins show json
  ddpm plugins show postgres --kind sink
""",
)
@click.argument("name", type=PluginName())
@click.option("--kind", type=click.Choice(KINDS), help="Which one, where several kinds have the name.")
@click.pass_obj
def show(settings: Settings, name: str, kind: str | None) -> None:
    """Show one plugin: what it is, what it can do, its options, an example."""
    found = _find(settings.registry(), name, kind)
    click.echo("\n\n\n".join(_describe(plugin) for plugin in found))


@plugins.command(
    cls=Command,
    short_help="Begin a plugin of your own.",
    epilog="""\b
Examples:
  ddpm plugins new mqtt --kind source
  ddpm plugins new fixed_width --kind format --into ~/src
""",
)
@click.argument("name")
@click.option("--kind", type=click.Choice((*KINDS, "table_sink")), required=True, help="What it will be.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="The folder in which the new folder is made.",
)
@click.pass_obj
def new(settings: Settings, name: str, kind: str, into: Path) -> None:
    """Write a complete package whose tests pass at once, to begin a plugin of your own."""
    from ddpm_core.cli.scaffold import create

    folder = create(name, kind, into)
    click.echo(f"Made {folder}")
    settings.say(
        f"Try it: {shell('cd', str(folder))} && pip install -e '.[dev]' && pytest\nThen: {shell('ddpm', 'plugins', 'show', name)}"
    )


def _rows(registry: Registry) -> list[dict[str, Any]]:
    """One dict for each plugin, with the keys that `--json` promises: `kind` is null for one that could not be loaded."""
    rows: list[dict[str, Any]] = [
        {
            "name": plugin.spec.name,
            "kind": plugin.spec.kind,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "status": "ok",
            "why": "",
            "summary": plugin.spec.summary,
        }
        for plugin in registry.all()
    ]
    rows += [
        {
            "name": origin.entry_point,
            "kind": "observer",
            "distribution": origin.distribution,
            "version": origin.version,
            "status": "ok",
            "why": "",
            "summary": "",
        }
        for origin in registry.observers()
    ]
    rows += [
        {
            "name": broken.origin.entry_point,
            "kind": None,
            "distribution": broken.origin.distribution,
            "version": broken.origin.version,
            "status": broken.status,
            "why": redact(broken.why),
            "summary": "",
        }
        for broken in registry.broken
    ]
    return rows


def _status(row: dict[str, Any]) -> str:
    return printable(f"{row['status']}: {row['why']}" if row["why"] else row["status"])


def _find(registry: Registry, name: str, kind: str | None) -> list[Plugin[Any]]:
    """Every plugin of this name; one at least."""
    if kind is not None:
        return [getattr(registry, kind)(name)]
    found = [plugin for plugin in registry.all() if plugin.spec.name == name]
    if found:
        return found
    import difflib

    from ddpm_core.errors import ConfigError

    observer = next((o for o in registry.observers() if name in (o.entry_point, o.distribution)), None)
    if observer is not None:
        raise ConfigError(f"{name!r} of {observer} is an observer: it is told of every run and has no options")
    broken = [b for b in registry.broken if name in (b.origin.entry_point, b.origin.distribution)]
    if broken:
        raise ConfigError(f"plugin {name!r} of {broken[0].origin} is {broken[0].status}: {broken[0].why}")
    names = sorted({plugin.spec.name for plugin in registry.all()})
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise ConfigError(f"there is no plugin {name!r}", hint=f"{hint}Installed: {', '.join(names) or 'none'}.")


def _describe(plugin: Plugin[Any]) -> str:
    from ddpm_core.cli.options_table import options_table

    spec = plugin.spec
    facts = [
        ["kind", spec.kind],
        ["from", f"{plugin.distribution} {plugin.version}"],
        ["used by", _used_by(spec)],
        ["stability", spec.stability],
        *([name, value] for name, value in spec.capabilities().items()),
    ]
    options = [[row.name, row.type, row.default, row.description] for row in options_table(spec.options_model())]
    parts = [f"{spec.name}: {spec.summary}", _indented(aligned(["", ""], facts).partition("\n")[2])]
    table = aligned(["option", "type", "default", "meaning"], options) if options else "none"
    parts.append(f"Options{_how_to_set(spec)}:\n{_indented(table)}")
    if spec.example:
        parts.append(f"Example:\n{_indented(spec.example)}")
    return "\n\n".join(parts)


def _used_by(spec: Any) -> str:
    """Which commands can use it."""
    if not _for_ingest(spec):
        return "ddpm run"
    return "ddpm ingest, ddpm run, ddpm query, ddpm dlq" if getattr(spec, "database", None) else "ddpm ingest, ddpm run"


def _for_ingest(spec: Any) -> bool:
    """`ddpm ingest` has no place for processors, and finds sources other than `files` by the scheme of a URL."""
    return bool(spec.kind != "processor" and (spec.kind != "source" or spec.name == FILES or spec.schemes))


def _how_to_set(spec: Any) -> str:
    if not _for_ingest(spec):
        return ""
    return f" (with ddpm ingest: -o {spec.kind}.NAME=VALUE)"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))

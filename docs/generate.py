"""Writes the generated parts of the documentation: `docs/options.md`, every option of every bundled plugin. `make docs` runs it.

A test compares the file with what this makes, so the tables cannot rot.
"""

from __future__ import annotations

from pathlib import Path

from ddpm_core.cli.options_table import options_markdown
from ddpm_core.plugin.specs import Plugin
from ddpm_core.registry import Registry

TARGET = Path(__file__).with_name("options.md")

HEAD = """\
# Options of the bundled plugins

Made from the options models by `make docs`; do not edit. On the command line an option is given as `-o KIND.NAME=VALUE`, such as
`-o format.max_depth=64` or `-o sink.lock_timeout=5`; those that have a flag of their own (`--table`, `--mode`, `--key`) need no `-o`.
"""


def options_page() -> str:
    """The whole page."""
    bundled = [plugin for plugin in Registry.discover(strict=True).all() if plugin.distribution == "ddpm-core"]
    return "\n".join([HEAD, *(_section(plugin) for plugin in bundled)])


def _section(plugin: Plugin) -> str:  # type: ignore[type-arg]
    spec = plugin.spec
    facts = "".join(f"- {name}: {value}\n" for name, value in spec.capabilities().items())
    table = options_markdown(spec.options_model())
    return f"## {spec.kind} `{spec.name}`\n\n{spec.summary}.\n\n{facts}\n{table}\n"


def main() -> None:
    """Write the page."""
    TARGET.write_text(options_page())


if __name__ == "__main__":
    main()

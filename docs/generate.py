"""Writes the generated parts of the documentation: `docs/sources.md`, `formats.md` and `sinks.md`.

`make docs` runs it. A test compares the files with what this makes, so the tables cannot rot; another runs every example.
"""

from __future__ import annotations

from pathlib import Path

from ddpm_core.cli.options_table import options_markdown
from ddpm_core.plugin.specs import Kind, Plugin
from ddpm_core.registry import Registry

FOLDER = Path(__file__).parent

HEADS: dict[Kind, str] = {
    "source": """\
# Sources

Where undecoded data comes from. `ddpm ingest` finds the source by the scheme of a URL; a plain path means `files`.
""",
    "format": """\
# Formats

What bytes mean. `ddpm ingest` finds the format by the suffix of a name, compressed or not (`orders.csv.gz` is CSV), or by `--format`; a
sink that writes files takes it as `-o sink.format=NAME`.
""",
    "sink": """\
# Sinks

Where rows land. `ddpm ingest --to` finds the sink by the scheme of a URL, by the suffix of a file, by the slash at the end of a folder, or
by `-` for standard output.
""",
}
HOW = """
Options are given as `-o {kind}.NAME=VALUE`{flags}. This page is made from the plugins themselves by `make docs`; a plugin's README says
more.
"""
FLAGS = {"sink": "; `table`, `mode` and `key` have flags of their own", "format": "", "source": "; paths and URLs need no option"}


def pages() -> dict[str, str]:
    """File name -> the whole page, for every kind of plugin that is bundled."""
    bundled = [plugin for plugin in Registry.discover(strict=True).all() if plugin.distribution == "ddpm-core"]
    return {
        f"{kind}s.md": "\n".join(
            [head + HOW.format(kind=kind, flags=FLAGS[kind]), *(_section(p) for p in bundled if p.spec.kind == kind)]
        )
        for kind, head in HEADS.items()
    }


def _section(plugin: Plugin) -> str:  # type: ignore[type-arg]
    spec = plugin.spec
    facts = "".join(f"- {name}: {value}\n" for name, value in spec.capabilities().items())
    readme = f"[README](../plugins/{str(spec.build if spec.kind != 'format' else spec.parser).partition('.')[0]}/README.md)"
    table = options_markdown(spec.options_model())
    return f"## `{spec.name}`\n\n{spec.summary} ({readme}).\n\n```sh\n{spec.example}\n```\n\n{facts}\n{table}\n"


def main() -> None:
    """Write the pages."""
    for name, page in pages().items():
        (FOLDER / name).write_text(page)


if __name__ == "__main__":
    main()

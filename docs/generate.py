"""Writes the generated parts of the documentation: `docs/sources.md`, `formats.md`, `processors.md`, `sinks.md`, and the tables of
`configuration.md`.

`make docs` runs it. A test compares the files with what this makes, so the tables cannot rot; another runs every example.
"""

from __future__ import annotations

import re
from pathlib import Path

from ddpm_core.cli.options_table import options_markdown
from ddpm_core.config.pipeline_keys import LIMIT_KEYS, PIPELINE_KEYS, SINK_KEYS, Key
from ddpm_core.engine.checked import DeadLetterFileOptions
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
    "processor": """\
# Processors

What happens to rows between source and sinks, in the order in which a pipeline's file lists them.
""",
    "sink": """\
# Sinks

Where rows land. `ddpm ingest --to` finds the sink by the scheme of a URL, by the suffix of a file, by the slash at the end of a folder, or
by `-` for standard output.
""",
}
HOW: dict[Kind, str] = {
    "source": "Options are given as `-o source.NAME=VALUE`; paths and URLs need no option. ",
    "format": "Options are given as `-o format.NAME=VALUE`. ",
    "processor": "",
    "sink": "Options are given as `-o sink.NAME=VALUE`; `table`, `mode` and `key` have flags of their own. ",
}
MADE = """In [a pipeline's file](configuration.md) they are keys below the plugin's name. This page is made from the plugins themselves by
`make docs`; a plugin's README says more.
"""


def pages() -> dict[str, str]:
    """File name -> the whole page: for every kind of plugin that is bundled, and the one with the keys of a pipeline."""
    bundled = [plugin for plugin in Registry.discover(strict=True).all() if plugin.distribution == "ddpm-core"]
    made = {
        f"{kind}s.md": "\n".join([f"{head}\n{HOW[kind]}{MADE}", *(_section(p) for p in bundled if p.spec.kind == kind)])
        for kind, head in HEADS.items()
        if any(p.spec.kind == kind for p in bundled)
    }
    return {**made, "configuration.md": configuration(bundled)}


def configuration(bundled: list[Plugin]) -> str:  # type: ignore[type-arg]
    """The page as it is, with its tables made anew."""
    tables = {
        "keys": "\n\n".join(
            [
                _keys(PIPELINE_KEYS),
                "Beside the plugin's name, an entry of `sinks` has these keys:",
                _keys(SINK_KEYS),
                "`reject_limit` has these:",
                _keys(LIMIT_KEYS),
            ]
        ),
        "plugins": "\n".join(["| kind | bundled |", "|---|---|", *(_names(kind, bundled) for kind in HEADS)]),
        "file": options_markdown(DeadLetterFileOptions),
    }
    page = (FOLDER / "configuration.md").read_text()
    for name, table in tables.items():
        head = f"<!-- {name}: made by make docs -->\n"
        page = re.sub(f"({head}).*?(?=<!-- end -->)", lambda found, table=table: f"{found[1]}{table}\n", page, flags=re.DOTALL)  # type: ignore[misc]
    return page


def _keys(keys: tuple[Key, ...]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in keys:
        default = key.default if key.default in ("required", "none", "the plugin's") else f"`{key.default}`"
        lines.append(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{key.name}`", key.type, default, key.meaning)) + " |"
        )
    return "\n".join(lines)


def _names(kind: Kind, bundled: list[Plugin]) -> str:  # type: ignore[type-arg]
    names = [f"[`{p.spec.name}`]({kind}s.md#{p.spec.name})" for p in bundled if p.spec.kind == kind]
    return f"| {kind}s | {', '.join(names) or 'none'} |"


def _section(plugin: Plugin) -> str:  # type: ignore[type-arg]
    spec = plugin.spec
    facts = "".join(f"- {name}: {value}\n" for name, value in spec.capabilities().items())
    readme = f"[README](../plugins/{str(spec.build if spec.kind != 'format' else spec.parser).partition('.')[0]}/README.md)"
    table = options_markdown(spec.options_model())
    language = "sh" if spec.example.startswith(("ddpm ", "cat ")) else "yaml"
    return f"## `{spec.name}`\n\n{spec.summary} ({readme}).\n\n```{language}\n{spec.example}\n```\n\n{facts}\n{table}\n"


def main() -> None:
    """Write the pages."""
    for name, page in pages().items():
        (FOLDER / name).write_text(page)


if __name__ == "__main__":
    main()

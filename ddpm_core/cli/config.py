"""`ddpm config`: what a configuration may say, and what one says."""

from __future__ import annotations

from pathlib import Path

import click

from ddpm_core.cli.lazy import Command, LazyGroup
from ddpm_core.cli.settings import Settings


@click.group(cls=LazyGroup, short_help="Print the schema of pipeline files, or a file as it is read.")
def config() -> None:
    """Pipelines are YAML files; docs/configuration.md describes them."""


@config.command(
    cls=Command,
    short_help="Print the JSON Schema of pipeline files, for editors.",
    epilog="""\b
Examples:
  ddpm config schema > pipeline.schema.json
  # yaml-language-server: $schema=pipeline.schema.json   (as the first line of a pipeline's file)
""",
)
@click.pass_obj
def schema(settings: Settings) -> None:
    """Print the JSON Schema of pipeline files, with the options of every plugin that is installed."""
    import json

    from ddpm_core.cli.editor_schema import editor_schema

    click.echo(json.dumps(editor_schema(settings.registry()), indent=2, ensure_ascii=False))


@config.command(
    cls=Command,
    short_help="Print a pipeline's file with its variables filled in and its secrets masked.",
    epilog="""\b
Examples:
  ddpm config show pipeline.yaml
""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def show(settings: Settings, file: Path) -> None:
    """Print a pipeline's file as it is read: variables filled in, secrets masked, inside URLs too. Then its mistakes, if it has some."""
    from ddpm_core.cli.resolved import resolved_yaml
    from ddpm_core.config.node import in_order
    from ddpm_core.config.pipeline_file import load_pipeline
    from ddpm_core.engine.checked import check_document
    from ddpm_core.errors import ConfigError

    registry = settings.registry()
    document = load_pipeline(file)
    click.echo(resolved_yaml(document, registry), nl=False)
    problems = check_document(document, registry).problems
    if problems:
        raise ConfigError(in_order(problems))

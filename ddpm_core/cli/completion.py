"""`ddpm completion`: the script that lets a shell complete commands, options and names of plugins."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ddpm_core.cli.lazy import Command

VARIABLE = "_DDPM_COMPLETE"


@click.command(
    cls=Command,
    short_help="Print the script that completes commands in a shell.",
    epilog="""\b
Examples:
  ddpm completion bash >> ~/.bashrc
  ddpm completion zsh >> ~/.zshrc
  ddpm completion fish > ~/.config/fish/completions/ddpm.fish
""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and names of plugins in this shell."""
    kind = get_completion_class(shell)
    if kind is None:  # click knows all three.
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(kind(ctx.find_root().command, {}, "ddpm", VARIABLE).source())

"""Commands whose modules are imported when they are used, so that `ddpm --help` stays fast."""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import click

from ddpm_core.cli.errors import ExitCode, exit_code_of, is_panic
from ddpm_core.cli.output import forget_stdout
from ddpm_core.cli.settings import Settings, global_options


class Place(NamedTuple):
    """Where a command is, and its line in the help of its group."""

    module: str
    attribute: str
    summary: str


class Command(click.Command):
    """A command that takes the global options after its name too, and starts the log before it runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["params"] = [*(kwargs.get("params") or ()), *global_options()]
        super().__init__(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        ctx.ensure_object(Settings).start_log()
        return super().invoke(ctx)


class LazyGroup(click.Group):
    """A group that knows its commands by a table, and imports the one that is called."""

    def __init__(self, *args: Any, places: Mapping[str, Place] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = dict(places or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._places, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        return cast(click.Command, getattr(importlib.import_module(place.module), place.attribute))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            if near and "Did you mean" not in error.format_message():
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, place.summary) for name, place in self._places.items()]
        rows += [(name, self.commands[name].get_short_help_str(80)) for name in sorted(self.commands)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class RootGroup(LazyGroup):
    """The group that turns what a command raises or returns into an exit code and a line or two."""

    def invoke(self, ctx: click.Context) -> None:
        settings = ctx.ensure_object(Settings)
        _print_any_name()
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()
        except (click.ClickException, click.exceptions.Exit):
            raise
        except BrokenPipeError:
            forget_stdout()
            ctx.exit(ExitCode.PIPE_CLOSED)
        except (KeyboardInterrupt, click.Abort):
            settings.say("stopped")
            ctx.exit(ExitCode.INTERRUPTED)
        except Exception as error:  # noqa: BLE001 - the one place where every error becomes a message
            settings.show_error(error)
            ctx.exit(exit_code_of(error))
        except BaseException as error:
            if not is_panic(error):
                raise
            settings.show_error(error)
            ctx.exit(ExitCode.FAILED)
        ctx.exit(code if isinstance(code, int) else ExitCode.OK)


def _print_any_name() -> None:
    """Names of files need not be valid Unicode, and a terminal need not know every character: escape them instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")

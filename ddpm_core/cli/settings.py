"""What is true for every command: the global options, and the log, the warnings and the registry made from them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.values import dataclass

if TYPE_CHECKING:
    from ddpm_core.registry import Registry


@dataclass(slots=True)
class Settings:
    """The global options of one call of `ddpm`, wherever on the line they were written."""

    debug: bool = False
    quiet: bool = False
    log_format: str = "text"
    log_level: str = ""
    strict_plugins: bool = False

    @property
    def logs_json(self) -> bool:
        """Whether standard error is for machines: every line of it a JSON object."""
        return self.log_format == "json"

    @property
    def level(self) -> str:
        """The lowest level that is logged. Text is for people, who have the progress and the summary; JSON is the only voice."""
        if self.log_level:
            return self.log_level
        if self.debug:
            return "debug"
        if self.quiet:
            return "error"
        return "info" if self.logs_json else "warning"

    def start_log(self) -> None:
        """Print the log from now on."""
        from ddpm_core.observe import log

        log.configure(self.level, "json" if self.logs_json else "text", debug=self.debug)

    def say(self, line: str) -> None:
        """One line for people on standard error; nothing with `--quiet`. A closed stream loses it."""
        if self.quiet:
            return
        self._tell("info", line)

    def warn(self, line: str) -> None:
        """One line of warning on standard error; nothing with `--quiet`."""
        if self.quiet:
            return
        self._tell("warning", line)

    def show_error(self, error: BaseException, *, where: str = "") -> None:
        """Print this error; with `--debug` its traceback."""
        from ddpm_core.cli.errors import error_lines

        if self.logs_json:
            lines = error_lines(error, where=where)
            text = "\n".join([lines[0].removeprefix("ddpm: error: ").removeprefix("ddpm: "), *(line.strip() for line in lines[1:])])
            _logger().error("%s", text, exc_info=error if self.debug else None)
            return
        _to_stderr("\n".join(error_lines(error, where=where, debug=self.debug)))

    def registry(self) -> Registry:
        """All that is installed. A plugin that fails costs one warning, or is an error with `--strict-plugins`."""
        from ddpm_core.registry import Registry

        return Registry.discover(strict=self.strict_plugins, warn=self.warn)

    def _tell(self, level: str, line: str) -> None:
        from ddpm_core.config.redact import redact

        if self.logs_json:
            getattr(_logger(), level)("%s", line)
        else:
            _to_stderr(redact(f"ddpm: warning: {line}" if level == "warning" else line))


def global_options() -> list[click.Parameter]:
    """The options that every command takes, before its name or after it."""
    return [
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error, and log everything.", **_sets("debug")),
        click.Option(["--quiet", "-q"], is_flag=True, help="Print nothing but results asked for and errors.", **_sets("quiet")),
        click.Option(
            ["--log-format"],
            type=click.Choice(["text", "json"]),
            help="Standard error as text for people, or one JSON object a line.  [default: text]",
            **_sets("log_format"),
        ),
        click.Option(
            ["--log-level"],
            type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
            help="What is logged.  [default: warning; info with --log-format json]",
            **_sets("log_level"),
        ),
        click.Option(
            ["--strict-plugins"], is_flag=True, help="A plugin that does not load is an error.", **_sets("strict_plugins")
        ),
    ]


def _sets(name: str) -> dict[str, Any]:
    """Click's arguments for an option that fills this field of Settings."""

    def keep(ctx: click.Context, _: click.Parameter, value: object) -> None:
        if value:  # Not given here: it may have been given at the other place.
            setattr(ctx.ensure_object(Settings), name, value)

    callback: Callable[..., None] = keep
    return {"expose_value": False, "callback": callback}


def _logger() -> Any:
    import logging

    return logging.getLogger("ddpm.cli")


def _to_stderr(text: str) -> None:
    from ddpm_core.cli.output import printable_lines

    # Not click.echo, which would go around the progress bar and break its line.
    try:
        print(printable_lines(text), file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return

"""How a command ends: exit codes, and what an error looks like."""

from __future__ import annotations

import traceback
from enum import IntEnum

from ddpm_core.config.redact import redact
from ddpm_core.errors import ConfigError, DdpmError, PluginError


class ExitCode(IntEnum):
    """What the shell gets. Promised in docs/cli.md."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DEAD_LETTERS = 3
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143


def exit_code_of(error: BaseException) -> ExitCode:
    """2 when the request is wrong, else 1."""
    return ExitCode.USAGE if isinstance(error, ConfigError) else ExitCode.FAILED


def error_lines(error: BaseException, *, where: str = "", debug: bool = False) -> list[str]:
    """What to print for this error: one line for each problem, one for what to do, and with `debug` the whole traceback first.

    Args:
        where: What the error belongs to (a document's name), unless the message begins with it.
        debug: Put the traceback, with its causes, in front.
    """
    lines = "".join(traceback.format_exception(error)).rstrip("\n").split("\n") if debug else []
    if isinstance(error, DdpmError):
        for message in error.message.split("\n"):
            named = f"{where}: {message}" if where and not message.startswith(where) else message
            lines.append(f"ddpm: error: {named}{_whose(error)}")
        lines += [f"  {line}" for line in error.hint.split("\n") if line]
    else:
        said = " ".join(str(error).split())
        lines.append(f"ddpm: internal error: {type(error).__name__}{': ' if said else ''}{said}")
        lines.append("  Please report this, with what --debug shows." if debug else "  Run with --debug, and please report this.")
    return [redact(line) for line in lines]


def error_dict(error: BaseException) -> dict[str, object]:
    """An error for machines: `type`, `message`, `hint`, `problems` (each with `where`, `what`, `hint`)."""
    problems = error.problems if isinstance(error, ConfigError) else ()
    return {
        "type": type(error).__name__,
        "message": redact(error.message if isinstance(error, DdpmError) else str(error)),
        "hint": redact(error.hint) if isinstance(error, DdpmError) else "",
        "problems": [{"where": redact(p.where), "what": redact(p.what), "hint": redact(p.hint)} for p in problems],
    }


def is_panic(error: BaseException) -> bool:
    """Whether a Rust library panicked: such exceptions derive from BaseException and are nobody's wish to exit."""
    return type(error).__name__ == "PanicException"


def _whose(error: DdpmError) -> str:
    if not isinstance(error, PluginError):
        return ""
    return f" ({error.distribution})" if error.distribution and error.distribution not in error.message else ""

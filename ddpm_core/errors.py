"""The errors of DDPM. Each class says what the engine does next; there are no others to raise.

A plugin turns whatever its libraries throw into one of these, panics of Rust libraries (which derive from
`BaseException`) included. An exception of any other type that escapes a plugin is reported as a `PluginError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ddpm_core.values import dataclass


class DdpmError(Exception):
    """Base of every error that DDPM shows to a person.

    Args:
        message: One line: what happened, and where.
        hint: What to do about it, or an empty string when the message already says so.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: where it is, what is wrong, what to write instead."""

    where: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.hint})" if self.hint else text


class ConfigError(DdpmError):
    """The request cannot be carried out as written. The engine stops before any I/O; exit code 2.

    Every mistake found is in `problems`, not only the first one.
    """

    def __init__(self, problems: str | Problem | Iterable[Problem], *, hint: str = "") -> None:
        if isinstance(problems, str):
            problems = [Problem("", problems)]
        elif isinstance(problems, Problem):
            problems = [problems]
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint=hint)


class PluginError(DdpmError):
    """A plugin is broken: it failed at import, at build, or in the middle with an error of its own.

    The engine stops and names the distribution and its version.
    """

    def __init__(self, message: str, *, plugin: str = "", distribution: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.plugin = plugin
        self.distribution = distribution


class DataError(DdpmError):
    """This payload, or the rest of this document, cannot be decoded. It is never retried.

    Raised for a single payload it becomes a dead letter. Raised in the middle of a document it ends that document: what was
    parsed before stays, the position stops there, the other documents go on.

    Args:
        message: What is wrong with the data.
        reason: A stable code in snake case, such as `json_invalid`; users filter dead letters by it.
        hint: What to do.
    """

    def __init__(self, message: str, *, reason: str = "invalid", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class RetryableError(DdpmError):
    """The environment failed, the data did not: wait, recover, write again.

    Nothing is dead-lettered for it and no position moves.

    Args:
        message: What is not available, and where.
        hint: What to do if waiting does not help.
        after: Seconds to wait before the next try, or None to leave it to the engine's backoff.
    """

    def __init__(self, message: str, *, hint: str = "", after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.after = after


class FencedError(DdpmError):
    """Another instance has claimed these partitions (not generations); what this one holds of them must not be written."""

    def __init__(self, partitions: Sequence[str], *, hint: str = "") -> None:
        self.partitions = tuple(partitions)
        super().__init__(f"another ddpm process has taken over {', '.join(self.partitions)}", hint=hint)


class FatalError(DdpmError):
    """Waiting cannot help and the data is not at fault: stop, say why, leave the positions where they are; exit code 1."""

"""The log: what ddpm, its plugins and their libraries say through standard logging, on standard error through loguru.

As a library DDPM is silent: every logger of it is named `ddpm` or `ddpm.something`, and nothing is printed until `configure` is called.
loguru is imported when the first record is written, so a command with nothing to say does not pay for it.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

from ddpm_core.config.redact import redact

if TYPE_CHECKING:
    from loguru import Logger, Message, Record

LogFormat: TypeAlias = Literal["text", "json"]

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

logging.getLogger("ddpm").addHandler(logging.NullHandler())


def configure(level: str = "warning", log_format: LogFormat = "text", stream: TextIO | None = None, *, debug: bool = False) -> None:
    """Print the log from now on. Called once by the command line; called again, it replaces what was set before.

    Passwords in URLs are masked, in messages, fields and tracebacks alike.

    Args:
        level: Records below it are dropped: `debug`, `info`, `warning`, `error`, `critical`.
        log_format: `text` for people, `json` for one object a line: `time` (ISO 8601, UTC), `level`, `logger`, `message`, `extra`,
            `exception` (null or the traceback as text).
        stream: Where to write; standard error, as it is at each record, when None.
        debug: Tracebacks go on above the frame that caught the error.
    """
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, InterceptHandler)]:
        root.removeHandler(handler)
    number = logging.getLevelNamesMapping()[level.upper()]
    root.addHandler(InterceptHandler(number, log_format, stream, debug=debug))
    root.setLevel(number)
    logging.getLogger("ddpm").setLevel(number)


class InterceptHandler(logging.Handler):
    """Passes records of standard logging on to loguru."""

    def __init__(self, level: int, log_format: LogFormat, stream: TextIO | None, *, debug: bool) -> None:
        super().__init__(level)
        self._log_format = log_format
        self._stream = stream
        self._debug = debug
        self._logger: Logger | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. A stream that is closed loses it: a log can never stop the run."""
        logger = self._logger or self._start()
        fields = {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        level: str | int = record.levelname if record.levelname in _LOGURU_LEVELS else record.levelno
        bound = logger.bind(logger=record.name, fields=fields).opt(exception=record.exc_info)
        bound.log(level, "{}", record.getMessage())

    def _start(self) -> Logger:
        from loguru import logger

        logger.remove()
        logger.add(
            self._write,
            level=0,
            format=_text_template if self._log_format == "text" else _json_template,
            diagnose=False,  # It would print the values of local variables, passwords among them.
            backtrace=self._debug,
            catch=False,
            colorize=False,
        )
        self._logger = logger
        return logger

    def _write(self, message: Message) -> None:
        stream = self._stream or sys.stderr
        line = redact(str(message)) if self._log_format == "text" else _json_line(message)
        try:
            stream.write(line)
            stream.flush()
        except (OSError, ValueError):
            return


_LOGURU_LEVELS = frozenset({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"})


def _text_template(record: Record) -> str:
    fields = "".join(f" {name}={value}" for name, value in record["extra"]["fields"].items())
    # loguru formats what is returned here once more: braces of the fields are kept from it.
    fields = fields.replace("{", "{{").replace("}", "}}").replace("<", r"\<")
    return "{time:HH:mm:ss} {level: <7} {extra[logger]}: {message}" + fields + "\n{exception}"


def _json_template(_: Record) -> str:
    # A function, since loguru puts the traceback behind any template that is a string.
    return "{message}\n{exception}"


def _json_line(message: Message) -> str:
    from datetime import UTC

    import orjson

    record = message.record
    said = record["message"]
    # The traceback, as loguru has laid it out behind the message.
    trace = str(message).removeprefix(said).strip("\n") if record["exception"] is not None else None
    entry: dict[str, Any] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name.lower(),
        "logger": record["extra"]["logger"],
        "message": redact(said),
        "extra": _redacted(record["extra"]["fields"]),
        "exception": redact(trace) if trace else None,
    }
    return orjson.dumps(entry, default=lambda value: redact(str(value)), option=orjson.OPT_NON_STR_KEYS).decode() + "\n"


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: _redacted(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value

"""The parser that asks the user's function."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ddpm_core import BuildContext, DataError, DdpmError, Messages, Parsed, Parser
from ddpm_custom.loading import Function, described, load
from ddpm_custom.options import CustomOptions

_MORE_ROWS = "If that is right, raise the option max_rows."


def build(options: CustomOptions, context: BuildContext) -> CustomParser:
    """The parser for a run. This imports the user's code.

    Raises:
        ConfigError: The function cannot be used.
    """
    return CustomParser(load(*options.place), options)


class CustomParser(Parser):
    """Gives the function one payload after the other. What it raises costs that payload only.

    Errors of DDPM that the function raises keep their meaning: a `DataError` its reason and message, a `RetryableError` waits.
    """

    def __init__(self, function: Function, options: CustomOptions) -> None:
        self.framing = options.framing  # type: ignore[misc]
        self.resumable = options.framing == "lines"  # type: ignore[misc]
        self.max_record_bytes = options.max_record_bytes
        self._max_rows = options.max_rows
        self._function = function
        self._text = options.text
        self._called = options.place[1]
        self._file = (
            inspect.getsourcefile(inspect.unwrap(function))
            if inspect.isroutine(function) and not inspect.isbuiltin(function)
            else None
        )

    def parse_messages(self, messages: Messages) -> Parsed:
        values = messages.values
        long = {index for index, value in enumerate(values) if value is not None and len(value) > self.max_record_bytes}
        if not long:
            return super().parse_messages(messages)
        kept = list(values)
        for index in long:
            kept[index] = None
        parsed = super().parse_messages(
            Messages(kept, messages.partitions, messages.offsets, messages.first, messages.next, nbytes=messages.nbytes)
        )
        parsed.raw = values.__getitem__
        for reject in parsed.rejects:
            value = values[reject.index]
            if reject.index in long and value is not None:
                reject.reason, reject.raw = "too_large", value
                reject.message = f"the record has {len(value):,} bytes, more than the {self.max_record_bytes:,} allowed"
        return parsed

    def parse_payload(self, payload: bytes) -> list[Mapping[str, Any]]:
        given = self._decoded(payload) if self._text else payload
        try:
            result = self._function(given)
            rows = self._given(result)
        except DdpmError:
            raise
        except MemoryError as error:
            raise DataError(f"{self._called} needs more memory than there is{self._place(error)}", reason="memory") from error
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | GeneratorExit):
                raise
            raise DataError(f"{self._called} raised {described(error)}{self._place(error)}", reason="plugin_error") from error
        return rows

    def _decoded(self, payload: bytes) -> str:
        try:
            return payload.decode()
        except UnicodeDecodeError as error:
            raise DataError(f"it is not valid utf-8: byte {error.start + 1:,} of it", reason="encoding") from None

    def _given(self, result: Any) -> list[Mapping[str, Any]]:
        if result is None:
            return []
        if isinstance(result, Mapping):
            return [result] if result else []
        if isinstance(result, str | bytes | bytearray) or not isinstance(result, Iterable):
            raise self._nonsense(f"gave {_kind(result)}")
        rows = list(islice(result, self._max_rows + 1))
        if len(rows) > self._max_rows:
            raise DataError(f"{self._called} gave more than {self._max_rows:,} rows", reason="collection_limit", hint=_MORE_ROWS)
        for number, row in enumerate(rows, start=1):
            if not isinstance(row, Mapping):
                raise self._nonsense(f"gave {_kind(row)} as row {number}")
        return rows

    def _nonsense(self, what: str) -> DataError:
        wanted = "a row is a dict; several are a list of dicts; none is None"
        return DataError(f"{self._called} {what}, and {wanted}", reason="plugin_error")

    def _place(self, error: BaseException) -> str:
        """Where in the user's file it was raised, or in what the function called when that has no file."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if self._file and frame.filename == self._file]
        return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"

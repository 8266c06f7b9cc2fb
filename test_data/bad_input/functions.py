"""Functions for the format `custom` that do what functions of users should not do."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from typing import Any


def good(payload: bytes) -> Any:
    return {"n": int(payload)}


def raises_now_and_then(payload: bytes) -> Any:
    if payload == b"2":
        raise ValueError(f"no {payload!r}, please\nand no second line")
    return {"n": int(payload)}


def recurses_for_ever(payload: bytes) -> Any:
    return recurses_for_ever(payload) if payload == b"2" else {"n": int(payload)}


def exits(payload: bytes) -> Any:
    return sys.exit("enough") if payload == b"2" else {"n": int(payload)}


def is_cancelled(payload: bytes) -> Any:
    if payload == b"2":
        raise asyncio.CancelledError
    return {"n": int(payload)}


class _OwnError(BaseException):
    def __str__(self) -> str:
        raise RuntimeError("an exception that cannot be shown")


def raises_what_cannot_be_shown(payload: bytes) -> Any:
    if payload == b"2":
        raise _OwnError
    return {"n": int(payload)}


def stops_iterating(payload: bytes) -> Any:
    if payload == b"2":
        raise StopIteration
    return {"n": int(payload)}


def gives_nonsense(payload: bytes) -> Any:
    nonsense = (
        42,
        "text",
        b"bytes",
        [1, 2],
        [{"n": 1}, None],
        object(),
        {1: 2},
        {"n": object()},
        {"": 1},
        {"n": {1, 2}},
        good,
        Any,
    )
    return nonsense[int(payload)] if int(payload) < len(nonsense) else {"n": int(payload)}


def breaks_after_a_row(payload: bytes) -> Iterator[dict[str, int]]:
    yield {"n": int(payload)}
    if payload == b"2":
        raise KeyError("missing")


def gives_ten_million_rows(payload: bytes) -> Any:
    return ({"n": n} for n in range(10_000_000)) if payload == b"2" else {"n": int(payload)}


def gives_rows_for_ever(payload: bytes) -> Iterator[dict[str, int]]:
    yield {"n": int(payload)}
    while payload == b"2":
        yield {"n": 2}


def gives_many_rows_for_each(payload: bytes) -> Any:
    return [{"n": n} for n in range(10_000)]


def gives_long_texts(payload: bytes) -> Any:
    return {"text": "x" * 1_000_000 + payload.decode()}


def gives_deep_values(payload: bytes) -> Any:
    deep: Any = 1
    for _ in range(100_000 if payload == b"2" else 1):
        deep = [deep]
    return {"n": deep}


def gives_itself(payload: bytes) -> Any:
    row: dict[str, Any] = {"n": int(payload)}
    if payload == b"2":
        row["self"] = row
    return row


def gives_many_keys(payload: bytes) -> Any:
    return {f"k{n}": n for n in range(100_000 if payload == b"2" else 3)}


def gives_a_giant_number(payload: bytes) -> Any:
    return {"n": 10**50_000 if payload == b"2" else int(payload)}


def takes_all_memory(payload: bytes) -> Any:
    """Of its address space only: untouched pages take none of the machine's."""
    held = []
    while payload == b"2":
        held.append(bytes(1 << 28))
    return {"n": int(payload)}


def asks_for_more_than_there_is(payload: bytes) -> Any:
    return {"n": len(bytes(1 << 60)) if payload == b"2" else int(payload)}

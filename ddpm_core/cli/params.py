"""Values of options: durations, shares, lists of names, names of plugins."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ddpm_core.config import quantities

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from ddpm_core.plugin.specs import Kind

T = TypeVar("T")


class Duration(click.ParamType[float]):
    """`90`, `90s`, `5m`, `1h`: seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        return _parsed(self, quantities.seconds, value, param, ctx)


class Share(click.ParamType[float]):
    """`5%` or `0.05`: a number from 0 to 1."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        return _parsed(self, quantities.share, value, param, ctx)


class ByteSize(click.ParamType[int]):
    """`1000000`, `16MiB`, `1GB`: bytes, at least one."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        return _parsed(self, quantities.nbytes, value, param, ctx)


class OffsetOrTime(click.ParamType["int | datetime"]):
    """`1500`, or `2026-11-21T10:00` with or without a zone (UTC): an offset, or a time."""

    name = "OFFSET|TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | datetime:
        if isinstance(value, int | datetime):
            return value
        return _parsed(self, quantities.bound, value, param, ctx)


class WorkerOf(click.ParamType[tuple[int, int]]):
    """`0/4`: the first of four processes that share the work."""

    name = "N/COUNT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(value), re.ASCII)
        if found is None or int(found[1]) >= int(found[2]):
            self.fail(f"{value!r} is no worker; write 0/4 for the first of four", param, ctx)
        return int(found[1]), int(found[2])


class NameList(click.ParamType[tuple[str, ...]]):
    """`a,b`; a name that holds a comma goes into double quotes."""

    name = "NAME[,NAME]..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        import csv

        names = tuple(name.strip() for name in next(csv.reader([str(value)], skipinitialspace=True), []))
        if not names or "" in names:
            self.fail(f"{value!r} has an empty name in it", param, ctx)
        return names


class PluginName(click.ParamType[str]):
    """The name of an installed plugin, completed by the shell. Whether it exists is checked where it is used."""

    name = "NAME"

    def __init__(self, *kinds: Kind) -> None:
        self._kinds = kinds

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from ddpm_core.errors import DdpmError
        from ddpm_core.registry import Registry

        try:
            plugins = Registry.discover().all()
        except DdpmError:
            return []
        wanted = [p.spec for p in plugins if not self._kinds or p.spec.kind in self._kinds]
        return [CompletionItem(s.name, help=s.summary) for s in wanted if s.name.startswith(incomplete)]


def _parsed(
    kind: click.ParamType[T], parse: Callable[[str], T], value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> T:
    try:
        return parse(str(value))
    except ValueError as error:
        kind.fail(f"{value!r} {error}", param, ctx)

"""Values of options: durations, shares, lists of names, names of plugins."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from ddpm_core.plugin.specs import Kind

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = r"\d+(?:\.\d+)?"


class Duration(click.ParamType[float]):
    """`90`, `90s`, `5m`, `1h`: seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(rf"({_NUMBER})\s*(ms|s|m|h|)", str(value).strip().lower())
        if found is None:
            self.fail(f"{value!r} is no duration; write 90, 90s, 5m or 1h", param, ctx)
        return float(found[1]) * _SECONDS[found[2]]


class Share(click.ParamType[float]):
    """`5%` or `0.05`: a number from 0 to 1."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(rf"({_NUMBER})\s*(%?)", str(value).strip())
        share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is no share; write 5% or 0.05", param, ctx)
        return share


_BYTES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class ByteSize(click.ParamType[int]):
    """`1000000`, `16MiB`, `1GB`: bytes, at least one."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(rf"({_NUMBER})\s*([kmg]i?b|b|)", str(value).strip().lower())
        size = round(float(found[1]) * _BYTES[found[2]]) if found else 0
        if size < 1:
            self.fail(f"{value!r} is no size; write 1000000, 16MiB or 1GB", param, ctx)
        return size


class NameList(click.ParamType[tuple[str, ...]]):
    """`a,b`; a name that holds a comma goes into double quotes."""

    name = "NAME[,NAME]..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
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
        from ddpm_core.errors import DdpmError
        from ddpm_core.registry import Registry

        try:
            plugins = Registry.discover().all()
        except DdpmError:
            return []
        wanted = [p.spec for p in plugins if not self._kinds or p.spec.kind in self._kinds]
        return [CompletionItem(s.name, help=s.summary) for s in wanted if s.name.startswith(incomplete)]

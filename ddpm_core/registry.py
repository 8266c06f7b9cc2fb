"""What is installed: finds plugins through their entry points, checks what they hand over, and says whose each one is.

The only user of pluggy's manager. pluggy finds plugins and is never in the data path.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Any, cast

import pluggy

from ddpm_core.errors import ConfigError, PluginError
from ddpm_core.plugin.hookspecs import PROJECT, HookSpecs
from ddpm_core.plugin.names import data_name, scheme_of
from ddpm_core.plugin.spec_problem import spec_problem
from ddpm_core.plugin.specs import FormatSpec, Kind, Plugin, PluginSpec, ProcessorSpec, SinkSpec, SourceSpec
from ddpm_core.values import dataclass

if TYPE_CHECKING:
    from ddpm_core.plugin.events import Event

DISABLE = "DDPM_DISABLE_PLUGINS"
"""Environment variable: entry points not to load, by entry-point or distribution name, separated by commas."""

_HOOKS = tuple(name for name in vars(HookSpecs) if name.startswith("ddpm_"))
_SPECS: dict[Kind, tuple[str, type[PluginSpec]]] = {
    "source": ("ddpm_sources", SourceSpec),
    "format": ("ddpm_formats", FormatSpec),
    "processor": ("ddpm_processors", ProcessorSpec),
    "sink": ("ddpm_sinks", SinkSpec),
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a plugin module came from."""

    entry_point: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A plugin that is installed and does not work, or is switched off."""

    origin: Origin
    status: str
    why: str


class Registry:
    """The plugins of one process. An object, so that tests make their own.

    `Registry.discover()` is what the command line uses; `Registry()` is empty, and `add` fills it by hand.
    """

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._origins: dict[str, Origin] = {}
        self._plugins: dict[Kind, dict[str, Plugin[Any]]] = {kind: {} for kind in _SPECS}
        self.broken: list[Broken] = []

    @classmethod
    def discover(
        cls,
        *,
        strict: bool = False,
        warn: Callable[[str], None] = lambda _: None,
        entry_points: Iterable[metadata.EntryPoint] | None = None,
    ) -> Registry:
        """A registry of all that is installed.

        A plugin that fails costs one warning and is left out. What is named in `DDPM_DISABLE_PLUGINS` is not even imported, so
        that a broken plugin can always be switched off.

        Args:
            strict: A plugin that fails is an error.
            warn: Called with one line for each plugin that fails.
            entry_points: Instead of those of the installed distributions.

        Raises:
            PluginError: With `strict`, the first plugin that failed.
            ConfigError: Two distributions claim one name.
        """
        registry = cls()
        disabled = {_plain(name) for name in os.environ.get(DISABLE, "").split(",") if name.strip()}
        found = metadata.entry_points(group=PROJECT) if entry_points is None else entry_points
        origins = _Origins()
        for entry_point in sorted(found, key=lambda e: (e.name, e.value)):
            origin = origins.of(entry_point)
            if {_plain(origin.entry_point), _plain(origin.distribution)} & disabled:
                registry.broken.append(Broken(origin, "disabled", f"named in {DISABLE}"))
                continue
            try:
                registry._load(entry_point, origin)
            except ConfigError:
                raise
            except Exception as error:
                why = error.message if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
                message = f"plugin {origin.entry_point!r} of {origin} does not work and is left out: {why}"
                registry.broken.append(Broken(origin, "broken", why))
                if strict:
                    raise PluginError(
                        message, plugin=origin.entry_point, distribution=str(origin), hint=_how_to_disable(origin)
                    ) from error
                warn(f"{message} ({_how_to_disable(origin)})")
        return registry

    def add(self, module: object, *, entry_point: str, distribution: str, version: str) -> None:
        """Add a plugin module or object that implements hooks.

        Raises:
            PluginError: It implements a hook that does not exist, or hands over something that is no valid spec.
            ConfigError: A name is taken by another distribution.
        """
        origin = Origin(entry_point, distribution, version)
        key = f"{distribution}:{entry_point}"
        try:
            self._manager.register(module, name=key)
            self._manager.check_pending()
            _refuse_misspelt(module)
            specs = list(self._specs_of(module, origin))
            for spec in specs:
                self._refuse_taken(spec, origin)
        except pluggy.PluginValidationError as error:
            self._manager.unregister(name=key)
            raise PluginError(_hook_problem(error), plugin=entry_point, distribution=str(origin)) from error
        except BaseException:
            if self._manager.get_plugin(key) is not None:
                self._manager.unregister(name=key)
            raise
        self._origins[key] = origin
        for spec in specs:
            self._plugins[spec.kind][spec.name] = Plugin(spec, origin.distribution, origin.version)

    def _load(self, entry_point: metadata.EntryPoint, origin: Origin) -> None:
        try:
            module = entry_point.load()
        except BaseException as error:
            if isinstance(error, Exception | SystemExit) or type(error).__name__ == "PanicException":
                raise PluginError(f"{type(error).__name__}: {error}") from error
            raise
        self.add(module, entry_point=origin.entry_point, distribution=origin.distribution, version=origin.version)

    def _specs_of(self, module: object, origin: Origin) -> Iterator[PluginSpec]:
        """Everything this module yields, checked. Called directly, not through pluggy, so that the culprit is known."""
        for hook, wanted in _SPECS.values():
            implementation = getattr(module, hook, None)
            if implementation is None:
                continue
            seen: set[str] = set()
            for spec in _given(hook, implementation()):
                if not isinstance(spec, wanted):
                    raise PluginError(f"{hook} yielded {spec!r}, which is no {wanted.__name__}")
                problem = spec_problem(spec)
                if problem:
                    raise PluginError(f"{hook} yielded {problem}")
                if spec.name in seen:
                    raise PluginError(f"{hook} yielded {spec.kind} {spec.name!r} twice")
                seen.add(spec.name)
                yield spec

    def _refuse_taken(self, spec: PluginSpec, origin: Origin) -> None:
        taken = self._plugins[spec.kind].get(spec.name)
        if taken is None:
            return
        raise ConfigError(
            f"{spec.kind} {spec.name!r} is claimed by two distributions: {taken.distribution} {taken.version} and {origin}",
            hint=f"Uninstall one of them, or set {DISABLE} to the one not to use.",
        )

    # What the engine and the command line ask.

    def names(self, kind: Kind) -> list[str]:
        """Names of this kind, sorted."""
        return sorted(self._plugins[kind])

    def all(self) -> list[Plugin[Any]]:
        """Every plugin, by kind and name."""
        return [self._plugins[kind][name] for kind in _SPECS for name in self.names(kind)]

    def source(self, name: str) -> Plugin[SourceSpec]:
        """The source of this name. Raises `ConfigError` with the nearest name and what is installed."""
        return cast(Plugin[SourceSpec], self._get("source", name))

    def format(self, name: str) -> Plugin[FormatSpec]:
        """The format of this name; errors as in `source`."""
        return cast(Plugin[FormatSpec], self._get("format", name))

    def processor(self, name: str) -> Plugin[ProcessorSpec]:
        """The processor of this name; errors as in `source`."""
        return cast(Plugin[ProcessorSpec], self._get("processor", name))

    def sink(self, name: str) -> Plugin[SinkSpec]:
        """The sink of this name; errors as in `source`."""
        return cast(Plugin[SinkSpec], self._get("sink", name))

    def format_for(self, name: str) -> Plugin[FormatSpec] | None:
        """The format whose suffix this file name or URL ends with, compressed or not; the longest wins. None when no format has it."""
        return self._by_suffix("format", data_name(name))

    def source_for(self, path: str) -> Plugin[SourceSpec] | None:
        """The source for a URL, by its scheme. None for plain paths, and when no source has the scheme."""
        scheme = scheme_of(path)
        return next((p for p in self._of("source") if scheme in p.spec.schemes), None) if scheme else None

    def sink_for(self, address: str) -> Plugin[SinkSpec] | None:
        """The sink for a URL (by its scheme), a word, a folder, or a file (by its suffix). None when none is meant."""
        scheme = scheme_of(address)
        if scheme:
            return next((p for p in self._of("sink") if scheme in p.spec.schemes), None)
        for plugin in self._of("sink"):
            if address in plugin.spec.addresses:
                return plugin
        named = None if address.endswith("/") else self._by_suffix("sink", address)
        if named is None and (address.endswith("/") or os.path.isdir(address)):
            return next((p for p in self._of("sink") if p.spec.folders), None)
        return named

    def format_by_magic(self, beginning: bytes) -> Plugin[FormatSpec] | None:
        """The format whose documents begin like this. None when no format knows it."""
        return next((p for p in self._of("format") if any(beginning.startswith(m) for m in p.spec.magic)), None)

    def observe(self, event: Event, *, failed: Callable[[str, Exception], None]) -> None:
        """Tell every observer plugin. One that raises is passed to `failed`, and the others are told all the same."""
        for key, origin in self._origins.items():
            observer = getattr(self._manager.get_plugin(key), "ddpm_event", None)
            if observer is not None:
                try:
                    observer(event=event)
                except Exception as error:  # noqa: BLE001 - an observer can never affect the run
                    failed(str(origin), error)

    def observers(self) -> list[Origin]:
        """Whose plugins are told of every event of a run."""
        return [origin for key, origin in self._origins.items() if hasattr(self._manager.get_plugin(key), "ddpm_event")]

    @property
    def has_observers(self) -> bool:
        """Whether any plugin wants events."""
        return bool(self.observers())

    def _of(self, kind: Kind) -> Sequence[Plugin[Any]]:
        return [self._plugins[kind][name] for name in self.names(kind)]

    def _get(self, kind: Kind, name: str) -> Plugin[Any]:
        plugin = self._plugins[kind].get(name)
        if plugin is not None:
            return plugin
        import difflib

        near = difflib.get_close_matches(name, self.names(kind), n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        broken = [b for b in self.broken if name in (b.origin.entry_point, b.origin.distribution)]
        hint += "".join(f"{b.origin} is installed but {b.status}: {b.why}. " for b in broken)
        raise ConfigError(f"there is no {kind} {name!r}", hint=f"{hint}Installed: {', '.join(self.names(kind)) or 'none'}.")

    def _by_suffix(self, kind: Kind, name: str) -> Plugin[Any] | None:
        lower = name.lower()
        best: tuple[int, Plugin[Any]] | None = None
        for plugin in self._of(kind):
            for suffix in plugin.spec.suffixes:
                if lower.endswith(suffix) and (best is None or len(suffix) > best[0]):
                    best = (len(suffix), plugin)
        return best[1] if best else None


def _given(hook: str, specs: object) -> Iterable[object]:
    """What a hook yielded or returned."""
    if specs is None:
        return ()
    if not isinstance(specs, Iterable):
        raise PluginError(f"{hook} returned a {type(specs).__name__}, and should yield or return several")
    return specs


def _refuse_misspelt(module: object) -> None:
    """pluggy looks only at what is marked; a hook that is misspelt and not marked would go unnoticed."""
    for name, thing in vars(module).items() if inspect.ismodule(module) else ():
        if name.startswith("ddpm_") and name not in _HOOKS and inspect.isroutine(thing):
            raise PluginError(_no_such_hook(name))


def _no_such_hook(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, _HOOKS, n=1)
    return f"there is no hook {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; hooks: {', '.join(_HOOKS)}")


class _Origins:
    """Whose each entry point is. The metadata of a distribution with a dozen plugins is read once, not a dozen times."""

    def __init__(self) -> None:
        self._known: dict[metadata.Distribution, tuple[str, str]] = {}

    def of(self, entry_point: metadata.EntryPoint) -> Origin:
        dist = entry_point.dist
        if dist is None:
            return Origin(entry_point.name, "unknown", "?")
        if dist not in self._known:
            found = dist.metadata  # Read anew each time that it is asked for, also by `dist.name` and `dist.version`.
            self._known[dist] = found["Name"], found["Version"]
        return Origin(entry_point.name, *self._known[dist])


def _plain(name: str) -> str:
    """Distribution names compare as pip compares them."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _how_to_disable(origin: Origin) -> str:
    return f"to go without it: {DISABLE}={origin.entry_point}"


def _hook_problem(error: pluggy.PluginValidationError) -> str:
    """pluggy's message without the module's repr."""
    name = re.search(r"unknown hook '(\w+)'", str(error))
    if name:
        return _no_such_hook(name[1])
    argument = re.search(r"hookimpl definition: (\w+)\(.*Argument\(s\) \{(.*)\} are", str(error), re.DOTALL)
    if argument:
        wanted = [name for name in inspect.signature(getattr(HookSpecs, argument[1])).parameters if name != "self"]
        return f"{argument[1]} is called with {', '.join(wanted) or 'no arguments'}, and takes {argument[2]}"
    return " ".join(str(error).split())

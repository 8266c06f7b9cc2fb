"""What the kit asserts of every plugin, whatever its kind."""

from __future__ import annotations

import functools
import importlib
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import pytest
from pydantic import SecretBytes, SecretStr

from ddpm_core.config.options import PluginOptions, check_options
from ddpm_core.errors import ConfigError
from ddpm_core.plugin.specs import BuildContext, Kind, Lazy, PluginSpec, resolve
from ddpm_core.registry import Registry

T = TypeVar("T")

HEAVY = ("pyarrow", "duckdb", "psycopg2", "fastavro", "pydantic", "numpy", "pandas", "polars", "sqlalchemy", "confluent_kafka", "requests", "httpx", "boto3")  # fmt: skip
"""Libraries that take tens of milliseconds to import."""

_SOUNDS_SECRET = re.compile(r"passw|secret|token|credential|api_?key|private_?key|access_?key", re.IGNORECASE)
_MEASURE = """
import sys, time
sys.path[:0] = {path!r}
import pluggy
from ddpm_core import FormatSpec, ProcessorSpec, SinkSpec, SourceSpec, hookimpl
before = set(sys.modules)
started = time.process_time()
import importlib
module = importlib.import_module({module!r})
for hook in ("ddpm_sources", "ddpm_formats", "ddpm_processors", "ddpm_sinks"):
    list(getattr(module, hook, tuple)() or ())
spent = time.process_time() - started
print(spent, *sorted(name for name in {heavy!r} if name in sys.modules and name not in before))
"""


class PluginConformance:
    """The part of the kit that is the same for all kinds. Inherit the class of your kind, which inherits this one.

    Attributes:
        plugin: The module that your entry point names.
        name: The name of the plugin in it that is tested.
        options: Options to build it with. Needed where an option has no default.
        import_budget: CPU seconds that importing the module and calling its hooks may take, on top of `ddpm_core`.
    """

    kind: ClassVar[Kind]
    plugin: ClassVar[str]
    name: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    import_budget: ClassVar[float] = 0.05

    def spec(self) -> Any:
        """The spec under test, as the registry hands it out."""
        return _spec(self.plugin, self.kind, self.name)

    def made(self, builder: Lazy[Any], options: Mapping[str, Any] | None = None, context: BuildContext | None = None) -> Any:
        """What a builder of the spec makes of these options, or of those of the class."""
        spec: PluginSpec = self.spec()
        values = self.options if options is None else options
        checked = check_options(spec.options_model(), values, owner=f"{self.kind} {self.name}")
        return resolve(builder)(checked, context or BuildContext())

    def options_for_checks(self) -> Mapping[str, Any]:
        """Options that are valid, for the checks of the options model. Override it where they depend on a fixture."""
        return self.options

    # What is asserted.

    def test_the_hook_hands_over_this_plugin(self) -> None:
        spec = self.spec()
        assert spec.kind == self.kind
        assert re.fullmatch(r"[a-z][a-z0-9_]*", spec.name), f"the name {spec.name!r} is not lower-case letters, digits and _"

    def test_the_summary_is_one_line_without_a_full_stop(self) -> None:
        summary = self.spec().summary
        assert summary.strip() == summary != "", "the summary is empty, or has space around it"
        assert "\n" not in summary, "the summary is longer than a line"
        assert not summary.endswith("."), "the summary ends with a full stop"
        assert len(summary) <= 100, "the summary is longer than 100 characters"

    def test_there_is_an_example(self) -> None:
        spec = self.spec()
        shows = (spec.name, "ddpm ", *_ways_to_pick(spec))
        assert any(way in spec.example for way in shows), "the example does not show how to use the plugin"

    def test_every_option_is_described(self) -> None:
        model = self.spec().options_model()
        assert issubclass(model, PluginOptions), f"{model.__name__} is no subclass of PluginOptions"
        bare = [name for name, field in model.model_fields.items() if not (field.description or "").strip()]
        assert not bare, f"options without a description: {', '.join(bare)}"

    def test_the_defaults_are_valid(self) -> None:
        model = self.spec().options_model()
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        given = self.options_for_checks()
        assert required <= set(given), f"options needed to build it: {', '.join(sorted(required - set(given)))}"
        check_options(model, {name: given[name] for name in required}, owner=self.name)
        check_options(model, given, owner=self.name)

    def test_an_unknown_option_is_refused_by_its_name(self) -> None:
        with pytest.raises(ConfigError, match="no_such_option_at_all"):
            check_options(self.spec().options_model(), {**self.options_for_checks(), "no_such_option_at_all": 1}, owner=self.name)

    def test_options_mean_the_same_as_text(self) -> None:
        """A command line gives nothing but text: `-o format.NAME=false`."""
        model = self.spec().options_model()
        given = self.options_for_checks()
        plain = check_options(model, given, owner=self.name)
        for name in model.model_fields:
            value = getattr(plain, name)
            if type(value) in (bool, int, float, str):
                texts = {**given, name: str(value).lower() if isinstance(value, bool) else str(value)}
                assert getattr(check_options(model, texts, owner=self.name), name) == value, (
                    f"option {name}: text means another value"
                )

    def test_secrets_are_masked(self) -> None:
        model = self.spec().options_model()
        plain = [
            name for name, field in model.model_fields.items() if _SOUNDS_SECRET.search(name) and not _is_secret(field.annotation)
        ]
        assert not plain, f"options that sound secret and are no SecretStr: {', '.join(plain)}"
        secrets = {name: f"hunter2-{name}" for name, field in model.model_fields.items() if _is_secret(field.annotation)}
        made = model.model_construct(**{name: SecretStr(value) for name, value in secrets.items()})
        assert "hunter2" not in repr(made) + str(made), "a secret is printed"

    def test_importing_the_plugin_is_cheap(self) -> None:
        heavy, spent = _import_cost(self.plugin, self.import_budget)
        assert not heavy, f"importing {self.plugin} imports {', '.join(heavy)}; import them where they are used"
        assert spent <= self.import_budget, f"importing took {spent:.3f} s of CPU; {self.import_budget} s are allowed"


@functools.cache
def _spec(plugin: str, kind: Kind, name: str) -> Any:
    """Once for all tests: they build plugins again and again, and a registry looks at everything in the module."""
    registry = Registry()
    registry.add(importlib.import_module(plugin), entry_point=name, distribution="under-test", version="0")
    return getattr(registry, kind)(name).spec


@functools.cache
def _import_cost(module: str, budget: float) -> tuple[list[str], float]:
    """Heavy libraries that a plugin's module imports, and its CPU seconds: the best of three, as a busy machine is not its fault."""
    code = _MEASURE.format(path=[p for p in sys.path if p], module=module, heavy=HEAVY)
    spent = 1e9
    heavy: list[str] = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
        assert done.returncode == 0, done.stderr
        seconds, *heavy = done.stdout.split()
        spent = min(spent, float(seconds))
        if heavy or spent <= budget:
            break
    return heavy, spent


def _is_secret(annotation: Any) -> bool:
    return annotation in (SecretStr, SecretBytes) or "Secret" in str(annotation)


def _ways_to_pick(spec: Any) -> list[str]:
    """What else in a command line means this plugin: its schemes and suffixes."""
    return [f"{scheme}://" for scheme in getattr(spec, "schemes", ())] + list(getattr(spec, "suffixes", ()))

"""For plugin authors: conformance classes to inherit, doubles to test against, and data that breaks careless code.

Works with pytest alone. A plugin's tests inherit the class of its kind and say what they need:

    class TestLogline(FormatConformance):
        plugin = "ddpm_logline.plugin"
        name = "logline"
        samples = (Sample(b"...", rows=[...]),)
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpm_core.testing.data import TYPE_FAMILIES as TYPE_FAMILIES
    from ddpm_core.testing.data import all_types as all_types
    from ddpm_core.testing.data import hostile_names as hostile_names
    from ddpm_core.testing.data import hostile_texts as hostile_texts
    from ddpm_core.testing.data import nasty_json_lines as nasty_json_lines
    from ddpm_core.testing.doubles import FailingProcessor as FailingProcessor
    from ddpm_core.testing.doubles import LineParser as LineParser
    from ddpm_core.testing.doubles import RecordingProcessor as RecordingProcessor
    from ddpm_core.testing.format import FormatCapabilities as FormatCapabilities
    from ddpm_core.testing.format import FormatConformance as FormatConformance
    from ddpm_core.testing.format import Sample as Sample
    from ddpm_core.testing.golden import GoldenMessage as GoldenMessage
    from ddpm_core.testing.golden import GoldenMessages as GoldenMessages
    from ddpm_core.testing.golden import golden_messages_of as golden_messages_of
    from ddpm_core.testing.harness import FormatHarness as FormatHarness
    from ddpm_core.testing.harness_services import HarnessServices as HarnessServices
    from ddpm_core.testing.list_source import Call as Call
    from ddpm_core.testing.list_source import Crash as Crash
    from ddpm_core.testing.list_source import ListDocument as ListDocument
    from ddpm_core.testing.list_source import ListRows as ListRows
    from ddpm_core.testing.list_source import ListSource as ListSource
    from ddpm_core.testing.list_source import Pause as Pause
    from ddpm_core.testing.memory_sink import Blockade as Blockade
    from ddpm_core.testing.memory_sink import ForgetfulMemorySink as ForgetfulMemorySink
    from ddpm_core.testing.memory_sink import MemorySink as MemorySink
    from ddpm_core.testing.memory_sink import MemoryStore as MemoryStore
    from ddpm_core.testing.plugin import PluginConformance as PluginConformance
    from ddpm_core.testing.processor import ProcessorCapabilities as ProcessorCapabilities
    from ddpm_core.testing.processor import ProcessorConformance as ProcessorConformance
    from ddpm_core.testing.processor import Step as Step
    from ddpm_core.testing.sink import SinkCapabilities as SinkCapabilities
    from ddpm_core.testing.sink import SinkConformance as SinkConformance
    from ddpm_core.testing.source import Content as Content
    from ddpm_core.testing.source import SourceCapabilities as SourceCapabilities
    from ddpm_core.testing.source import SourceConformance as SourceConformance
    from ddpm_core.testing.streams import PieceStream as PieceStream
    from ddpm_core.testing.streams import SimulatedCrash as SimulatedCrash
    from ddpm_core.testing.streams import dribble as dribble

_HOME = {
    "data": ("TYPE_FAMILIES", "all_types", "hostile_names", "hostile_texts", "nasty_json_lines"),
    "doubles": ("FailingProcessor", "LineParser", "RecordingProcessor"),
    "format": ("FormatCapabilities", "FormatConformance", "Sample"),
    "golden": ("GoldenMessage", "GoldenMessages", "golden_messages_of"),
    "harness": ("FormatHarness",),
    "harness_services": ("HarnessServices",),
    "list_source": ("Call", "Crash", "ListDocument", "ListRows", "ListSource", "Pause"),
    "memory_sink": ("Blockade", "ForgetfulMemorySink", "MemorySink", "MemoryStore"),
    "plugin": ("PluginConformance",),
    "processor": ("ProcessorCapabilities", "ProcessorConformance", "Step"),
    "sink": ("SinkCapabilities", "SinkConformance"),
    "source": ("Content", "SourceCapabilities", "SourceConformance"),
    "streams": ("PieceStream", "SimulatedCrash", "dribble"),
}  # fmt: skip
_MODULE_OF = {name: f"ddpm_core.testing.{module}" for module, names in _HOME.items() for name in names}
_ASSERTING = tuple(
    f"ddpm_core.testing.{module}"
    for module in (
        "plugin", "processor",
        "format", "format_bench", "format_golden", "format_reading", "format_resuming", "format_writing",
        "sink", "sink_target", "sink_rows", "sink_rounds", "sink_positions", "sink_modes",
        "source", "source_bench", "source_reading", "source_resuming",
    )
)  # fmt: skip

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def _rewrite_assertions() -> None:
    """Without it a failing assertion of the kit would not show its values. It must come before any of these modules is imported."""
    import pytest

    pytest.register_assert_rewrite(*_ASSERTING)


if "pytest" in sys.modules:
    _rewrite_assertions()


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'ddpm_core.testing' has no attribute {name!r}")
    if module in _ASSERTING and not any(known in sys.modules for known in _ASSERTING):
        _rewrite_assertions()
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)

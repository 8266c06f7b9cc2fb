"""The whole public API of DDPM for plugin authors. Plugins import from here, and from `ddpm_core.testing` in their tests.

Names are imported on first use, so that a plugin's light module costs no time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpm_core.config.options import NoOptions as NoOptions
    from ddpm_core.config.options import PluginOptions as PluginOptions
    from ddpm_core.config.options import one_format as one_format
    from ddpm_core.errors import ConfigError as ConfigError
    from ddpm_core.errors import DataError as DataError
    from ddpm_core.errors import DdpmError as DdpmError
    from ddpm_core.errors import FatalError as FatalError
    from ddpm_core.errors import FencedError as FencedError
    from ddpm_core.errors import PluginError as PluginError
    from ddpm_core.errors import Problem as Problem
    from ddpm_core.errors import RetryableError as RetryableError
    from ddpm_core.expressions.evaluate import Expressions as Expressions
    from ddpm_core.plugin.database import Database as Database
    from ddpm_core.plugin.database import DeadLetterFilter as DeadLetterFilter
    from ddpm_core.plugin.dead_letters import DeadLetterStore as DeadLetterStore
    from ddpm_core.plugin.dead_letters import supersedes as supersedes
    from ddpm_core.plugin.dialect import Dialect as Dialect
    from ddpm_core.plugin.events import BreakerChanged as BreakerChanged
    from ddpm_core.plugin.events import ChunkCommitted as ChunkCommitted
    from ddpm_core.plugin.events import ChunkRead as ChunkRead
    from ddpm_core.plugin.events import DocumentEnded as DocumentEnded
    from ddpm_core.plugin.events import DocumentStarted as DocumentStarted
    from ddpm_core.plugin.events import Event as Event
    from ddpm_core.plugin.events import PartitionsChanged as PartitionsChanged
    from ddpm_core.plugin.events import Recovered as Recovered
    from ddpm_core.plugin.events import RunEnded as RunEnded
    from ddpm_core.plugin.events import RunStarted as RunStarted
    from ddpm_core.plugin.events import Waiting as Waiting
    from ddpm_core.plugin.evolving_table import TargetTable as TargetTable
    from ddpm_core.plugin.format import DocumentWriter as DocumentWriter
    from ddpm_core.plugin.format import Parser as Parser
    from ddpm_core.plugin.format import Serializer as Serializer
    from ddpm_core.plugin.framing import BLOCK_BYTES as BLOCK_BYTES
    from ddpm_core.plugin.framing import KEPT_BYTES as KEPT_BYTES
    from ddpm_core.plugin.framing import LineBlock as LineBlock
    from ddpm_core.plugin.framing import cut_blocks as cut_blocks
    from ddpm_core.plugin.framing import read_fully as read_fully
    from ddpm_core.plugin.framing import too_large_reject as too_large_reject
    from ddpm_core.plugin.hookspecs import hookimpl as hookimpl
    from ddpm_core.plugin.isolate import Refusal as Refusal
    from ddpm_core.plugin.isolate import isolate as isolate
    from ddpm_core.plugin.kept_letters import LetterSpelling as LetterSpelling
    from ddpm_core.plugin.kept_letters import LetterTables as LetterTables
    from ddpm_core.plugin.names import split_table as split_table
    from ddpm_core.plugin.processor import Processed as Processed
    from ddpm_core.plugin.processor import Processor as Processor
    from ddpm_core.plugin.sink import AtLeastOnceSink as AtLeastOnceSink
    from ddpm_core.plugin.sink import SchemaChange as SchemaChange
    from ddpm_core.plugin.sink import Sink as Sink
    from ddpm_core.plugin.source import Source as Source
    from ddpm_core.plugin.specs import BuildContext as BuildContext
    from ddpm_core.plugin.specs import FormatSpec as FormatSpec
    from ddpm_core.plugin.specs import OutputFormat as OutputFormat
    from ddpm_core.plugin.specs import ProcessorSpec as ProcessorSpec
    from ddpm_core.plugin.specs import ReadBounds as ReadBounds
    from ddpm_core.plugin.specs import SinkSpec as SinkSpec
    from ddpm_core.plugin.specs import SourceSpec as SourceSpec
    from ddpm_core.plugin.table_options import TableOptions as TableOptions
    from ddpm_core.plugin.table_sink import TableSink as TableSink
    from ddpm_core.plugin.whole_messages import WholeMessages as WholeMessages
    from ddpm_core.records import Assigned as Assigned
    from ddpm_core.records import Batch as Batch
    from ddpm_core.records import DeadLetter as DeadLetter
    from ddpm_core.records import Document as Document
    from ddpm_core.records import EndOfSource as EndOfSource
    from ddpm_core.records import Failed as Failed
    from ddpm_core.records import Item as Item
    from ddpm_core.records import Messages as Messages
    from ddpm_core.records import Parsed as Parsed
    from ddpm_core.records import Position as Position
    from ddpm_core.records import Positions as Positions
    from ddpm_core.records import Reject as Reject
    from ddpm_core.records import Rows as Rows
    from ddpm_core.records import Skipped as Skipped
    from ddpm_core.schema.conform import Conformed as Conformed
    from ddpm_core.schema.conform import conform as conform
    from ddpm_core.schema.rows import RowBuilder as RowBuilder
    from ddpm_core.schema.sizes import large_rows as large_rows

_HOME = {
    "config.options": ("NoOptions", "PluginOptions", "one_format"),
    "errors": (
        "ConfigError", "DataError", "DdpmError", "FatalError", "FencedError", "PluginError", "Problem", "RetryableError",
    ),
    "expressions.evaluate": ("Expressions",),
    "plugin.database": ("Database", "DeadLetterFilter"),
    "plugin.dead_letters": ("DeadLetterStore", "supersedes"),
    "plugin.dialect": ("Dialect",),
    "plugin.events": (
        "BreakerChanged", "ChunkCommitted", "ChunkRead", "DocumentEnded", "DocumentStarted", "Event", "PartitionsChanged", "Recovered",
        "RunEnded", "RunStarted", "Waiting",
    ),
    "plugin.format": ("DocumentWriter", "Parser", "Serializer"),
    "plugin.framing": ("BLOCK_BYTES", "KEPT_BYTES", "LineBlock", "cut_blocks", "read_fully", "too_large_reject"),
    "plugin.hookspecs": ("hookimpl",),
    "plugin.isolate": ("Refusal", "isolate"),
    "plugin.kept_letters": ("LetterSpelling", "LetterTables"),
    "plugin.names": ("split_table",),
    "plugin.processor": ("Processed", "Processor"),
    "plugin.sink": ("AtLeastOnceSink", "SchemaChange", "Sink"),
    "plugin.source": ("Source",),
    "plugin.specs": ("BuildContext", "FormatSpec", "OutputFormat", "ProcessorSpec", "ReadBounds", "SinkSpec", "SourceSpec"),
    "plugin.evolving_table": ("TargetTable",),
    "plugin.table_options": ("TableOptions",),
    "plugin.table_sink": ("TableSink",),
    "plugin.whole_messages": ("WholeMessages",),
    "records": (
        "Assigned", "Batch", "DeadLetter", "Document", "EndOfSource", "Failed", "Item", "Messages", "Parsed", "Position",
        "Positions", "Reject", "Rows", "Skipped",
    ),
    "schema.conform": ("Conformed", "conform"),
    "schema.rows": ("RowBuilder",),
    "schema.sizes": ("large_rows",),
}  # fmt: skip
_MODULE_OF = {name: f"ddpm_core.{module}" for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'ddpm_core' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""What the kit asserts of a source: the parts about reading and about going on in one class."""

from __future__ import annotations

from ddpm_core.testing.source_bench import Content as Content
from ddpm_core.testing.source_bench import SourceCapabilities as SourceCapabilities
from ddpm_core.testing.source_reading import SourceReading
from ddpm_core.testing.source_resuming import SourceResuming


class SourceConformance(SourceReading, SourceResuming):
    """Inherit it, name your plugin, and override the fixture `content`. Every test method is one promise of `Source`'s contract."""

"""What the kit asserts of a format: the parts about reading, steps and writing in one class."""

from __future__ import annotations

from ddpm_core.testing.format_bench import FormatCapabilities as FormatCapabilities
from ddpm_core.testing.format_bench import Sample as Sample
from ddpm_core.testing.format_golden import FormatGolden
from ddpm_core.testing.format_reading import FormatReading
from ddpm_core.testing.format_resuming import FormatResuming
from ddpm_core.testing.format_writing import FormatWriting


class FormatConformance(FormatReading, FormatResuming, FormatWriting, FormatGolden):
    """Inherit it, name your plugin, and give samples. Every test method is one promise of the contract of `Parser`.

    Attributes:
        samples: Documents with their rows. Small; the first should be good from beginning to end.
        capabilities: What your format can do.
        seed: Of everything random.
    """

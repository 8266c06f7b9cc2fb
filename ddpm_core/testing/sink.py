"""What the kit asserts of a sink: the parts about rows, rounds, positions and modes in one class."""

from __future__ import annotations

from ddpm_core.testing.sink_modes import SinkModes
from ddpm_core.testing.sink_positions import SinkPositions
from ddpm_core.testing.sink_rounds import SinkRounds
from ddpm_core.testing.sink_rows import SinkRows
from ddpm_core.testing.sink_target import SinkCapabilities as SinkCapabilities
from ddpm_core.testing.sink_target import dead_letter as dead_letter


class SinkConformance(SinkRows, SinkRounds, SinkPositions, SinkModes):
    """Inherit it, name your plugin, and override `target_options`, `read_rows`, and `read_dead_letter_ids` if it keeps them.

    The readers go past the sink, with the database's own client, so that what is written is not judged by what wrote it.
    """

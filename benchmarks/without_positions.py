"""`ddpm` whose databases keep no positions: what these cost is the difference. For benchmarks alone; rows may come twice.

`python -m benchmarks.without_positions run pipeline.yaml --until-end`
"""

from __future__ import annotations

from ddpm_core.cli.start import main
from ddpm_core.plugin.ledger import Ledger, Reached
from ddpm_core.records import Positions


def _advance(_: Ledger, __: Positions) -> Reached:
    return Reached({}, {})


if __name__ == "__main__":
    Ledger.advance = _advance  # type: ignore[assignment, method-assign]
    main()

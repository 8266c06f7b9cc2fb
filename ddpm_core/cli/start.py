"""The entry point of the console script: what has to be so before anything else is imported."""

from __future__ import annotations

import gc
import os

from ddpm_core.collector import STARTING
from ddpm_core.memory import start_compact


def main() -> None:
    """Run the command line, and end the process with its code."""
    gc.set_threshold(*STARTING)
    start_compact()
    # pydantic looks for plugins of its own in every installed distribution, 12 ms. Who has one sets this to something else.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from ddpm_core.cli.main import run

    run()


if __name__ == "__main__":
    main()

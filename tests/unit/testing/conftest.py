"""Puts the reference plugins and the broken ones, which are not installed, on the path."""

from __future__ import annotations

import sys
from pathlib import Path

REFERENCE = str(Path(__file__).parent / "reference")
BROKEN = str(Path(__file__).parent / "broken")
for folder in (REFERENCE, BROKEN):
    if folder not in sys.path:
        sys.path.insert(0, folder)

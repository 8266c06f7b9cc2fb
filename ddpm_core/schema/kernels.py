"""Arrow's functions on arrays, those of `pyarrow.compute`, which takes 40 ms to import: it is, with the first function that is asked for.

Most batches have the types of their target already, and are passed on without any.
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import pyarrow.compute

    found = getattr(pyarrow.compute, name)
    globals()[name] = found
    return found

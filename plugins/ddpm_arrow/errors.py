"""What pyarrow says of a file, in DDPM's errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ddpm_core import DataError, DdpmError, FatalError

AGAIN = "Fetch the file again from where it came from."


@contextmanager
def translated(name: str, where: Callable[[], str] = str) -> Iterator[None]:
    """Run a piece of work of pyarrow on the document called `name`.

    Args:
        name: The document, as people call it.
        where: Says which part of it was read when it failed: ` in record batch 3`.

    Raises:
        DataError: The document is at fault.
        FatalError: It could not be read at all: the disk, not the data.
    """
    try:
        yield
    except DdpmError:
        raise
    except Exception as error:
        raise _said(name, where(), error) from error


def invalid(name: str, what: str, where: str = "") -> DataError:
    """The error of a document that makes no sense."""
    return DataError(f"{name} cannot be read as Arrow{where}: {what}", reason="arrow_invalid", hint=AGAIN)


def truncated(name: str, what: str, where: str = "") -> DataError:
    """The error of a document whose end is missing."""
    return DataError(
        f"{name} is not complete{where}: {what}",
        reason="arrow_truncated",
        hint=f"{AGAIN} If something still writes it, wait until that has closed it.",
    )


def too_much(name: str, what: str, where: str = "", *, option: str = "max_batch_bytes") -> DataError:
    """The error of a document that asks for more than this option allows."""
    return DataError(
        f"{name}{where}: {what}",
        reason="decompressed_size",
        hint=f"It may be damaged, or made to exhaust memory; if it is neither, raise the option {option}.",
    )


def _said(name: str, where: str, error: Exception) -> DdpmError:
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return too_much(name, f"it needs more memory than there is: {_short(text)}", where)
    # pyarrow's own complaints about content are OSErrors without a number; those of the system have one.
    if isinstance(error, OSError) and error.errno is not None:
        return FatalError(f"{name} cannot be read: {(error.strerror or text).lower()}")
    return invalid(name, _short(text), where)


def _short(text: str) -> str:
    text = text or "the reader gave no reason"
    return text if len(text) <= 200 else f"{text[:200]}…"

"""What pyarrow says of a file, in DDPM's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ddpm_core import DataError, DdpmError, FatalError

AGAIN = "Fetch the file again from where it came from."


@contextmanager
def translated(name: str, where: str = "", *, max_depth: int = 0) -> Iterator[None]:
    """Run a piece of work of pyarrow on the file called `name`.

    Args:
        name: The document, as people call it.
        where: Which part of it is read: ` in row group 3, after record 12,000`, or an empty string.
        max_depth: How deep columns may be nested, where that is found out.

    Raises:
        DataError: The file is at fault.
        FatalError: It could not be read at all: the disk, not the data.
    """
    try:
        yield
    except DdpmError:
        raise
    except Exception as error:
        raise _said(name, where, error, max_depth) from error


def _said(name: str, where: str, error: Exception, max_depth: int) -> DdpmError:
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        message = f"{name} needs more memory{where} than there is: {_short(text)}"
        return DataError(message, reason="decompressed_size", hint="It may be damaged, or made to do harm.")
    # pyarrow's own complaints about content are OSErrors without a number; those of the system have one.
    if isinstance(error, OSError) and error.errno is not None:
        return FatalError(f"{name} cannot be read: {(error.strerror or text).lower()}")
    lower = text.lower()
    if "checksum verification failed" in lower:
        return DataError(f"{name} is damaged{where}: a page does not match its checksum", reason="checksum", hint=AGAIN)
    if "encrypt" in lower or "decrypt" in lower:
        return encrypted(name)
    if "too deeply nested" in lower:
        return DataError(
            f"{name} has columns nested more than {max_depth} levels deep",
            reason="depth",
            hint="Flatten them where the file is made, or raise the option max_depth.",
        )
    return DataError(f"{name} cannot be read as Parquet{where}: {_short(text)}", reason="parquet_invalid", hint=AGAIN)


def encrypted(name: str) -> DataError:
    """What is said of a file that needs keys."""
    return DataError(f"{name} is encrypted", reason="encrypted", hint="Decrypt it first: DDPM has no keys for Parquet files.")


def _short(text: str) -> str:
    text = text or "the reader gave no reason"
    return text if len(text) <= 200 else f"{text[:200]}…"

"""One object of an object store: what it is, and its bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ddpm_core import ConfigError, DataError, DdpmError, FatalError, RetryableError
from ddpm_files.content import Content
from ddpm_files.remote import Place
from ddpm_files.remote_errors import translated
from ddpm_files.remote_file import RemoteFile
from ddpm_files.repeated import repeated
from ddpm_files.streams import changed

if TYPE_CHECKING:
    from obstore import GetOptions

GO_ON = "What landed stays. Run again to go on from there."


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """An object as it was when it was looked at.

    Attributes:
        name: Its URL as users write it.
        partition: What its rows are committed under.
        content: Its identity: an object is never changed, only replaced.
        file: Its bytes; another content at the same place raises `DataError` (reason `changed`).
    """

    name: str
    partition: str
    content: Content
    file: RemoteFile


def look_at(place: Place, key: str) -> RemoteObject:
    """The object under this key.

    Raises:
        ConfigError: There is none, or it may not be read.
        RetryableError: The server fails or cannot be reached.
    """
    import obstore

    name = place.url(key)
    try:
        meta: Any = translated(place, name, lambda: obstore.head(place.store, key))
    except ConfigError:
        # The answer to this request cannot say why; that to another one can.
        translated(place, name, lambda: obstore.get(place.store, key, options={"range": (0, 1)}).bytes())
        raise
    size, seen = int(meta["size"]), _validator(meta)
    # A key is a name, and `#` separates a partition from its generation.
    partition = f"{place.identity}/{key}"
    fetch = _fetcher(place, key, name, meta)
    return RemoteObject(name, partition, Content(size, seen, ""), RemoteFile(fetch, size))


def while_reading(error: DdpmError, name: str) -> DdpmError:
    """What an error means in the middle of an object: it is not the request that is wrong, and its source cannot be opened anew."""
    match error:
        case ConfigError():
            return DataError(
                f"{name} cannot be read on: {error.problems[0].what}", reason="changed", hint="It was deleted or closed meanwhile."
            )
        case RetryableError():
            return FatalError(error.message, hint=f"{error.hint}. {GO_ON}" if error.hint else GO_ON)
    return error


def _fetcher(place: Place, key: str, name: str, meta: Any) -> Callable[[int, int], bytes]:
    import obstore

    tag = meta["e_tag"]
    strong = tag if tag and not tag.startswith("W/") else None

    def fetch(start: int, end: int) -> bytes:
        def call() -> bytes | None:
            try:
                asked: GetOptions = {"range": (start, end), "if_match": strong}
                result = obstore.get(place.store, key, options=asked)
            except obstore.exceptions.PreconditionError:
                return None
            return bytes(result.bytes()) if _validator(result.meta) == _validator(meta) else None

        try:
            # A connection that is cut in the middle of an answer is not repeated by the store's own retries.
            data = repeated(lambda: translated(place, name, call), place.retry_for)
        except DdpmError as error:
            raise while_reading(error, name) from error
        if data is None:
            raise changed(name)
        if len(data) != end - start:
            raise FatalError(f"{name}: {len(data):,} bytes came where {end - start:,} were asked for", hint=GO_ON)
        return data

    return fetch


def _validator(meta: Any) -> str:
    """What tells one content of an object from another: the store's tag, else when it was written."""
    return f"etag {meta['e_tag']}" if meta["e_tag"] else f"modified {meta['last_modified'].isoformat()}"

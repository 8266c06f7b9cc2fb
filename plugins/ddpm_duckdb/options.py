"""Options of the sink `duckdb`."""

from __future__ import annotations

from urllib.parse import unquote

from pydantic import Field, field_validator

from ddpm_core import TableOptions

DEFAULT_PATH = "./ddpm.duckdb"
IN_MEMORY = ":memory:"


class DuckDbOptions(TableOptions):
    """Which file, and how much memory DuckDB may take."""

    path: str = Field(
        default=DEFAULT_PATH,
        description="The database file, as a path or as `duckdb:relative/path` or `duckdb:///absolute/path`; it is created when it is "
        "missing, its folder is not. `:memory:` is a database that is gone at the end",
    )
    memory_limit: str | None = Field(
        default=None,
        pattern=r"^\d+(\.\d+)? ?([KMGT]i?)B$",
        description="The most memory DuckDB may take, such as `500MB`; by default 80 % of the machine's",
    )

    transaction_seconds: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="How long a transaction may stay open for more rows, up to 64 MB (24 MB with mode upsert, or where rows have more than "
        "about 500 bytes): large ones take less time. With 0, what is there is committed at once",
    )

    @field_validator("path")
    @classmethod
    def _as_path(cls, address: str) -> str:
        return path_of(address)


def path_of(address: str) -> str:
    """The path that an address names: itself, or what follows `duckdb:`, with its percent signs decoded.

    Raises:
        ValueError: It names a host, or nothing, or holds a NUL character.
    """
    path = address
    if address.startswith("duckdb:"):
        path = unquote(address.removeprefix("duckdb:"))
        if path.startswith("//"):
            host, slash, rest = path[2:].partition("/")
            if host not in ("", "localhost"):
                raise ValueError(f"a DuckDB file has no host: write duckdb:{host}{slash}{rest} or duckdb:///absolute/path")
            path = slash + rest
    if not path:
        raise ValueError("it names no file")
    if "\x00" in path:
        raise ValueError("a path cannot hold a NUL character")
    return path

"""Options of the sink `postgres`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from ddpm_core import TableOptions


class PostgresOptions(TableOptions):
    """Where the server is, and how long to wait for it. What the URL leaves out comes from libpq's environment and files."""

    url: SecretStr = Field(
        description="Address of the database, `postgresql://user:password@host:port/database`, with libpq's parameters such as "
        "`?sslmode=verify-full`; what is left out comes from `PGHOST`, `PGPASSWORD`, `~/.pgpass` and their like"
    )
    connect_timeout: int = Field(default=10, ge=2, le=600, description="Seconds to wait for a connection")
    lock_timeout: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Seconds to wait for a lock that another session holds, before it is tried again as any other outage",
    )
    statement_timeout: float | None = Field(
        default=None, gt=0, description="Seconds that one statement may take; by default what the server says for this user"
    )

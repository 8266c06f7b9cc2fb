"""Options of the sink `sql`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from ddpm_core import TableOptions


class SqlOptions(TableOptions):
    """Which database, and how long to wait for it."""

    url: SecretStr = Field(
        description="Address of the database, as SQLAlchemy writes it: `sqlite:///relative.db`, `sqlite:////absolute.db`, "
        "`mariadb://user:password@host:3306/database`, `mssql://…`, or `dialect+driver://…`; `sql+` may stand before it"
    )
    connect_timeout: int = Field(default=10, ge=1, le=600, description="Seconds to wait for a connection")
    lock_timeout: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Seconds to wait for a lock that another session holds, before it is tried again as any other outage",
    )

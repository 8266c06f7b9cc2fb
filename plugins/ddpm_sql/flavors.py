"""Which database speaks which way."""

from __future__ import annotations

from sqlalchemy.engine import Dialect

from ddpm_sql.connect import Address
from ddpm_sql.generic import Generic
from ddpm_sql.mariadb import MariaDb
from ddpm_sql.mssql import Mssql
from ddpm_sql.sqlite import Sqlite

_KNOWN: dict[str, type[Generic]] = {"sqlite": Sqlite, "mysql": MariaDb, "mssql": Mssql}


def flavor_of(to: Address, dialect: Dialect) -> Generic:
    """How to speak with the database at this address.

    Args:
        to: Where.
        dialect: SQLAlchemy's for it.
    """
    return _KNOWN.get(to.family, Generic)(dialect, to.title)

"""What the connected role may do, asked before it is tried: for `ddpm validate --live`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Fetch = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

FOR_MODE: Mapping[str, tuple[str, ...]] = {
    "append": ("INSERT",),
    "upsert": ("SELECT", "INSERT", "UPDATE"),
    "replace": ("INSERT", "DELETE"),
}
"""What each mode does to the target."""

FOR_OWN: tuple[str, ...] = ("SELECT", "INSERT", "UPDATE")
"""What is done to DDPM's own tables."""


def missing_rights(fetch: Fetch, schema: str, needed: Mapping[str, Sequence[str]], *, optional: Sequence[str] = ()) -> list[str]:
    """Sentences about what the role lacks.

    Args:
        fetch: Runs a statement.
        schema: Where the tables lie, or will.
        needed: Table -> the rights on it that are needed where it exists. One that is missing has to be created,
        optional: unless it is one of these.
    """
    [(role, database, exists, usable, may_create)] = fetch(
        "SELECT current_user::text, current_database()::text, n.oid IS NOT NULL, "
        "coalesce(has_schema_privilege(n.oid, 'USAGE'), true), "
        "coalesce(has_schema_privilege(n.oid, 'CREATE'), has_database_privilege(current_database(), 'CREATE')) "
        "FROM (SELECT) AS one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = %s",
        [schema],
    )
    if not usable:
        return [f"the role {role} lacks USAGE on the schema {schema}"]
    there: dict[str, int] = dict(
        fetch(
            "SELECT c.relname::text, c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relname::text = ANY(%s)",
            [schema, list(needed)],
        )
    )
    found = []
    absent = [table for table in needed if table not in there and table not in optional]
    if absent and not may_create:
        where = f"schema {schema}" if exists else f"database {database}"
        found.append(f"the role {role} lacks CREATE on the {where}, where {' and '.join(absent)} would have to be made")
    for table, oid in there.items():
        lacking = [right for right in needed[table] if not _has(fetch, oid, right)]
        if lacking:
            found.append(f"the role {role} lacks {' and '.join(lacking)} on {schema}.{table}")
    return found


def _has(fetch: Fetch, oid: int, right: str) -> bool:
    # Rights on single columns may do; which ones, only the rows will tell.
    function = "has_table_privilege" if right == "DELETE" else "has_any_column_privilege"
    return bool(fetch(f"SELECT {function}(%s::oid, %s)", [oid, right])[0][0])

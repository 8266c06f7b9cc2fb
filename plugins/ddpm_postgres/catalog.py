"""What the server's catalogue says of a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ddpm_core import ConfigError
from ddpm_postgres.types import Column, ServerType, column

Fetch = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]

_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "i": "an index",
    "I": "an index",
    "S": "a sequence",
    "c": "a composite type",
    "t": "a TOAST table",
}


def find_table(fetch: Fetch, schema: str, table: str) -> tuple[int, str] | None:
    """OID and comment of the table, or None when there is none.

    Raises:
        ConfigError: Something else has this name. Plain, partitioned and foreign tables can be written.
    """
    rows = fetch(
        "SELECT c.oid, c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), '') FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = %s",
        [schema, table],
    )
    if not rows:
        return None
    oid, kind, comment = rows[0]
    if kind not in ("r", "p", "f"):
        raise ConfigError(f"{schema}.{table} is {_KINDS.get(kind, 'not a table')}, and rows can only be written into tables")
    return int(oid), str(comment)


# Domains are followed to what they are made of, whose modifier and binary form are theirs too.
_COLUMNS = """
WITH RECURSIVE wanted AS (
  SELECT a.attnum, a.attname, a.atttypid AS type, a.atttypmod AS typmod, format_type(a.atttypid, a.atttypmod) AS name,
         a.attnotnull AS not_null, a.atthasdef OR a.attidentity <> '' AS filled
  FROM pg_catalog.pg_attribute a
  WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'
), made AS (
  SELECT w.attnum, w.type, w.typmod, false AS not_null, false AS filled FROM wanted w
  UNION ALL
  SELECT m.attnum, t.typbasetype, CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE m.typmod END,
         m.not_null OR t.typnotnull, m.filled OR t.typdefault IS NOT NULL
  FROM made m JOIN pg_catalog.pg_type t ON t.oid = m.type WHERE t.typtype = 'd'
)
SELECT w.attname, w.name, w.not_null OR m.not_null, w.filled OR m.filled,
       m.type, m.typmod, t.typreceive::pg_catalog.regproc::text, e.oid, e.typreceive::pg_catalog.regproc::text
FROM wanted w
JOIN made m USING (attnum)
JOIN pg_catalog.pg_type t ON t.oid = m.type AND t.typtype <> 'd'
LEFT JOIN pg_catalog.pg_type e ON t.typcategory = 'A' AND t.typlen = -1 AND e.oid = t.typelem AND e.typtype <> 'd'
ORDER BY w.attnum
"""


def columns(fetch: Fetch, oid: int) -> list[Column]:
    """The columns that can be written, in their order: not generated ones, nor identities that are always generated.

    A column that the server fills by itself counts as nullable: rows may leave it out.
    """
    found = []
    for name, type_name, not_null, filled, type_oid, typmod, receive, element, element_receive in fetch(_COLUMNS, [oid]):
        inner = None if element is None else ServerType(int(element), typmod, "", _function(element_receive))
        server = ServerType(int(type_oid), typmod, type_name, _function(receive), inner)
        found.append(column(name, server, nullable=filled or not not_null))
    return found


def _function(name: str) -> str:
    """A function's name without its schema, which depends on the search path."""
    return name.rpartition(".")[2].strip('"')


def unique_keys(fetch: Fetch, oid: int) -> tuple[frozenset[str], ...]:
    """The column sets that `ON CONFLICT` can name: of whole, immediate, valid unique indexes on plain columns."""
    rows = fetch(
        "SELECT i.indexrelid, array_agg(a.attname::text) FROM pg_catalog.pg_index i "
        "CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
        "WHERE i.indrelid = %s AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL "
        "AND i.indexprs IS NULL AND k.place <= i.indnkeyatts GROUP BY i.indexrelid",
        [oid],
    )
    return tuple(frozenset(names) for _, names in rows)

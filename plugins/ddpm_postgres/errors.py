"""What the server and libpq say, turned into DDPM's errors: wait, stop, or set the row aside.

Two facts shape this file (psycopg2 2.9, measured). An error while connecting never has a SQLSTATE, so there the text decides, and
what is not recognised is worth waiting for. A connection lost in COPY or COMMIT has none either: without a SQLSTATE an error is
always one of the environment, never of the data.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg2

from ddpm_core import DdpmError, FatalError, Refusal, RetryableError

MAX_MESSAGE = 1000


_REASONS = {
    "23502": "not_null_violation",
    "23503": "foreign_key_violation",
    "23505": "unique_violation",
    "23514": "check_violation",
    "23P01": "exclusion_violation",
    "22001": "too_long",
    "22003": "out_of_range",
    "22007": "invalid_text",
    "22008": "out_of_range",
    "22021": "invalid_character",
    "22P02": "invalid_text",
    "22P05": "invalid_character",
    "54000": "too_large",
}
# 21 a key twice, 22 data, 23 constraints, 38/39/P0 a trigger's function, 44 a view's check option, 54 the row is too large.
_DATA_CLASSES = ("21", "22", "23", "38", "39", "44", "54", "P0")
# The binary format itself: the columns are not what they were taken for. Never the row's fault. (08P01 is "insufficient data left in
# message", for too few bytes, and no fault of the connection.)
MISFIT = frozenset({"08P01", "22P03", "22P04", "42804"})

_RETRY_HINTS = {
    "08": "",
    "25006": "The server may have become a standby; writing goes on when it takes writes again.",
    "25P03": "",
    "40": "",
    "42701": "",
    "42703": "Its columns changed while rows were being written; they are looked at again.",
    "42P01": "It was dropped while rows were being written; it is looked for again.",
    "42P06": "",
    "42P07": "",
    "53": "Make room on the server, or raise its limit.",
    "53100": "Make room on the server's disk.",
    "53300": "Close other connections, or raise max_connections.",
    "55006": "",
    "55P03": "Another session holds a lock: see pg_locks and pg_stat_activity.",
    "57": "",
    "57014": "It was cancelled, or took longer than statement_timeout.",
    "58": "See the server's log.",
}
_FATAL_HINTS = {
    "28": "Check the user and the password in the address; PGPASSWORD and ~/.pgpass work too.",
    "3D000": "Create the database, or correct its name in the address.",
    "42501": "Ask the owner for the privilege (GRANT), or connect as another user.",
}


def of_statement(error: psycopg2.Error, where: str) -> DdpmError:
    """What to raise when a statement failed that has nothing to do with a row's values.

    Args:
        error: psycopg2's.
        where: The server, for the message.
    """
    state = error.pgcode
    text = _primary(error)
    if state is None:
        if isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.DatabaseError)):
            return RetryableError(f"the connection to {where} was lost: {text}")
        return FatalError(f"{where}: {text}")
    if _lost_a_race(error):
        return RetryableError(f"{where}: {text}", hint="Another process was making the same; it is looked at again.")
    if "row-level security" in text:  # The server's own hint is to use INSERT.
        return FatalError(f"{where}: {text}", hint="Connect as the table's owner, or as a role with BYPASSRLS.")
    for table, make in ((_RETRY_HINTS, RetryableError), (_FATAL_HINTS, FatalError)):
        for key in (state, state[:2]):
            if key in table:
                return make(f"{where}: {text}", hint=table[key] or _server_hint(error))
    return FatalError(f"{where}: {text} (SQLSTATE {state})", hint=_server_hint(error))


def refusal(error: psycopg2.Error, table: str) -> Refusal | None:
    """What is wrong with a row, or None when the error is not about a row's values. Its code is the SQLSTATE.

    Args:
        error: What COPY or INSERT raised.
        table: The unquoted name of the table that COPY wrote into; its error context names the line after it.
    """
    state = error.pgcode or ""
    if state[:2] not in _DATA_CLASSES or state in MISFIT or _lost_a_race(error):
        return None
    message = _primary(error)
    if error.diag.message_detail:
        message = f"{message}: {error.diag.message_detail}"
    return Refusal(state, _REASONS.get(state, "refused"), message[:MAX_MESSAGE], _row(error.diag.context, table))


def _row(context: str | None, table: str) -> int | None:
    # "COPY events, line 7, column at" is the last line but where the server speaks another language.
    found = re.findall(rf"^COPY {re.escape(table)}, line (\d+)", context or "", re.MULTILINE)
    return int(found[-1]) - 1 if found else None


def _lost_a_race(error: psycopg2.Error) -> bool:
    """Two sessions made the same table at once: the catalogue's own unique index, or its row, says so."""
    if error.pgcode == "23505":
        return error.diag.schema_name == "pg_catalog"
    return error.pgcode == "XX000" and "tuple concurrently" in str(error)


def _primary(error: psycopg2.Error) -> str:
    text = error.diag.message_primary or _first_lines(str(error))
    return text[:MAX_MESSAGE]


def _server_hint(error: psycopg2.Error) -> str:
    return (error.diag.message_hint or "").replace("\n", " ")[:MAX_MESSAGE]


# What libpq and the server say while connecting. The text is the server's English; in another language it is waited for and then shown.
_FATAL_TEXTS: tuple[tuple[str, str], ...] = (
    (r"password authentication failed|no password supplied|fe_sendauth|authentication failed", _FATAL_HINTS["28"]),
    (r'database ".*" does not exist', _FATAL_HINTS["3D000"]),
    (r'role ".*" does not exist', _FATAL_HINTS["28"]),
    (r"no pg_hba\.conf entry", "The server's pg_hba.conf must allow this user, database and host."),
    (r"is not permitted to log in", "Give the role LOGIN, or connect as another user."),
    (r"permission denied for database", _FATAL_HINTS["42501"]),
    (r"certificate verify failed|root certificate file|server certificate for", "Check sslmode and sslrootcert in the address."),
    (r"server does not support SSL", "Use another sslmode in the address, or turn TLS on at the server."),
    (r"private key file|authentication method .* not supported", "Check the TLS and authentication parameters in the address."),
    (r"invalid .* value: |invalid integer value|invalid port number", "Correct the address."),
)

_RETRY_TEXTS: tuple[tuple[str, str], ...] = (
    (r"too many (connections|clients)|remaining connection slots", _RETRY_HINTS["53300"]),
    (r"could not translate host name", "Correct the host in the address, or see why its name cannot be resolved."),
    (r"Connection refused|No such file or directory|timeout expired|timed out|No route to host|Network is unreachable",
     "Start the server, or correct host and port in the address."),
)  # fmt: skip


def of_connecting(error: psycopg2.Error, where: str) -> DdpmError:
    """What to raise when no connection could be made."""
    text = _first_lines(str(error))
    text = re.sub(r"^connection to server (at|on socket) .*? failed: ", "", text)
    text = text.removeprefix("FATAL:").strip()
    for pattern, hint in _FATAL_TEXTS:
        if re.search(pattern, text):
            return FatalError(f"cannot connect to {where}: {text}", hint=hint)
    hint = next((hint for pattern, hint in _RETRY_TEXTS if re.search(pattern, text)), "")
    return RetryableError(f"cannot connect to {where}: {text}", hint=hint)


def _first_lines(text: str) -> str:
    """The first line that says something; libpq adds one paragraph for each address that a name resolves to."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return (lines or ["no reason given"])[0][:MAX_MESSAGE]


def plain(error: Any) -> str:
    """The server's own message for people who typed a statement."""
    return _primary(error)

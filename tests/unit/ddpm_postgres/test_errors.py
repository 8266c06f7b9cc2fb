"""What the server says, and what it means. The texts here are those of real servers."""

from __future__ import annotations

import psycopg2
import pytest

from ddpm_core import FatalError, RetryableError
from ddpm_postgres.errors import MISFIT, of_connecting, of_statement, refusal

WHERE = "Postgres at h:5432/d"


def _error(state: str | None, text: str = "the words\nLINE 1: more") -> psycopg2.Error:
    error = psycopg2.errors.lookup(state)(text) if state else psycopg2.OperationalError(text)
    error.__setstate__({"pgcode": state, "pgerror": text})  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    "state",
    ["40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "08006", "53300", "53100", "53200", "58030", "25006", "25P03",
     "42P01", "42703", "42P07", "42701", None],
)  # fmt: skip
def test_what_waiting_can_help_is_tried_again(state: str | None) -> None:
    error = of_statement(_error(state), WHERE)
    assert isinstance(error, RetryableError)
    assert error.message == (f"{WHERE}: the words" if state else f"the connection to {WHERE} was lost: the words")


@pytest.mark.parametrize("state", ["28P01", "28000", "3D000", "42501", "0A000", "42601", "XX001", "23505", "3F000"])
def test_what_waiting_cannot_help_stops(state: str) -> None:
    error = of_statement(_error(state), WHERE)
    assert isinstance(error, FatalError)
    assert error.message.startswith(f"{WHERE}: the words")


def test_row_level_security_has_a_way_out() -> None:
    assert str(of_statement(_error("0A000", "COPY FROM not supported with row-level security"), WHERE)) == (
        f"{WHERE}: COPY FROM not supported with row-level security\nConnect as the table's owner, or as a role with BYPASSRLS."
    )


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("23505", "unique_violation"),
        ("23502", "not_null_violation"),
        ("23503", "foreign_key_violation"),
        ("23514", "check_violation"),
        ("23P01", "exclusion_violation"),
        ("22P02", "invalid_text"),
        ("22003", "out_of_range"),
        ("22008", "out_of_range"),
        ("22001", "too_long"),
        ("22021", "invalid_character"),
        ("22P05", "invalid_character"),
        ("22012", "refused"),
        ("P0001", "refused"),
        ("54000", "too_large"),
        ("21000", "refused"),
    ],
)
def test_a_row_that_is_refused_has_a_stable_reason(state: str, reason: str) -> None:
    found = refusal(_error(state), "t")
    assert found is not None
    assert (found.reason, found.message, found.row) == (reason, "the words", None)


@pytest.mark.parametrize("state", [None, "53100", "57014", "40P01", "42501", "42P01", "25006", "08006", "XX000", *sorted(MISFIT)])
def test_the_environment_and_our_own_defects_are_never_a_rows_fault(state: str | None) -> None:
    assert refusal(_error(state), "t") is None


def _server_error(context: str) -> psycopg2.Error:
    class Diagnosed(psycopg2.DataError):
        pgcode = "22P02"  # type: ignore[assignment]

        class diag:  # noqa: N801
            message_primary = "bad"
            message_detail = None
            schema_name = None

    Diagnosed.diag.context = context  # type: ignore[attr-defined]
    return Diagnosed("bad")


@pytest.mark.parametrize(
    ("table", "context", "row"),
    [
        ("t", 'COPY t, line 7, column c: "x, line 9"', 6),
        ("t", "JSON data, line 1: {\nCOPY t, line 3, column c", 2),
        ("a, line 5", "COPY a, line 5, line 2", 1),
        ("a.*b", "COPY a.*b, line 2", 1),
        ("t", "COPY other, line 2", None),
        ("t", "COPY t, Zeile 2", None),
        ("t", 'SQL statement "SELECT 1"', None),
    ],
)
def test_the_row_is_read_from_the_context_of_copy(table: str, context: str, row: int | None) -> None:
    found = refusal(_server_error(context), table)
    assert found is not None
    assert found.row == row


CONNECTING = [
    ('connection to server at "h" (10.0.0.1), port 5432 failed: FATAL:  password authentication failed for user "u"\n', FatalError,
     'password authentication failed for user "u"\nCheck the user and the password in the address; PGPASSWORD and ~/.pgpass work too.'),
    ('connection to server at "h" (10.0.0.1), port 5432 failed: fe_sendauth: no password supplied\n', FatalError,
     "fe_sendauth: no password supplied\nCheck the user and the password in the address; PGPASSWORD and ~/.pgpass work too."),
    ('connection to server at "h" (10.0.0.1), port 5432 failed: FATAL:  database "d" does not exist\n', FatalError,
     'database "d" does not exist\nCreate the database, or correct its name in the address.'),
    ('connection to server at "h" (10.0.0.1), port 5432 failed: Connection refused\n\tIs the server running?\nconnection to server …',
     RetryableError, "Connection refused\nStart the server, or correct host and port in the address."),
    ('connection to server at "h" (10.0.0.1), port 5432 failed: FATAL:  the database system is starting up\n', RetryableError,
     "the database system is starting up"),
    ('connection to server at "h" (10.0.0.1), port 5432 failed: FATAL:  sorry, too many clients already\n', RetryableError,
     "sorry, too many clients already\nClose other connections, or raise max_connections."),
    ('could not translate host name "h" to address: Name or service not known\n', RetryableError,
     'could not translate host name "h" to address: Name or service not known\nCorrect the host in the address, or see why its name cannot be resolved.'),
    ('connection to server on socket "/tmp/.s.PGSQL.5432" failed: No such file or directory\n\tIs the server …', RetryableError,
     "No such file or directory\nStart the server, or correct host and port in the address."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "expected"), CONNECTING)
def test_a_connection_that_fails_says_why_and_what_to_do(text: str, kind: type[Exception], expected: str) -> None:
    error = of_connecting(psycopg2.OperationalError(text), WHERE)
    assert type(error) is kind
    assert str(error) == f"cannot connect to {WHERE}: {expected}"

"""The sink `postgres` against a real server."""

from __future__ import annotations

import datetime as dt
import io
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import psycopg2
import pyarrow as pa
import pytest

from ddpm_core import (
    Batch,
    BuildContext,
    ConfigError,
    DeadLetter,
    Document,
    FatalError,
    FencedError,
    Position,
    Reject,
    RetryableError,
)
from ddpm_postgres import session
from ddpm_postgres.options import PostgresOptions
from ddpm_postgres.sink import PostgresSink, build
from tests.proxy import Proxy
from tests.services import PostgresServer

FILE = "file:/data/events.ndjson"

Ask = Callable[..., list[tuple[Any, ...]]]
Make = Callable[..., PostgresSink]


@pytest.fixture
def ask(postgres_database: str) -> Iterator[Ask]:
    """Runs statements as the superuser, past the sink."""
    connection = psycopg2.connect(postgres_database)
    connection.autocommit = True

    def run(sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []

    yield run
    connection.close()


@pytest.fixture
def make(postgres_database: str) -> Iterator[Make]:
    """Makes opened sinks, and closes them at the end."""
    made: list[PostgresSink] = []

    def sink(table: str = "t", *, url: str = postgres_database, columns: Any = None, **options: Any) -> PostgresSink:
        made.append(build(PostgresOptions(url=url, table=table, **options), BuildContext(columns=columns)))
        made[-1].open()
        made[-1].claim([FILE])
        return made[-1]

    yield sink
    for one in made:
        one.close()


def until(true: Callable[[], Any], *threads: threading.Thread) -> None:
    """Wait until something is so, for as long as these threads run."""
    deadline = time.monotonic() + 120
    while not true():
        assert time.monotonic() < deadline
        assert all(thread.is_alive() for thread in threads)
        time.sleep(0.005)


def _somebody_waits(ask: Ask) -> bool:
    """Whether a session of this database waits for a lock."""
    return bool(ask("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))


def _batch(**columns: Any) -> Batch:
    return Batch(pa.record_batch(columns))


def _land(sink: PostgresSink, *batches: Batch, offset: int = 1) -> list[Reject]:
    rejects = [reject for batch in batches for reject in sink.write(batch)]
    sink.commit({FILE: Position(offset)}, [])
    return rejects


# Types.

MOMENT = dt.datetime(2024, 2, 29, 23, 59, 59, 123456)  # noqa: DTZ001 (naive on purpose)
UTC = dt.UTC
ALL_TYPES: list[tuple[str, pa.DataType, list[Any], list[Any]]] = [
    ("boolean", pa.bool_(), [True, False, None], [True, False, None]),
    ("smallint", pa.int16(), [-32768, 32767, None], [-32768, 32767, None]),
    ("smallint", pa.uint8(), [255], [255]),
    ("integer", pa.int32(), [-(2**31), 2**31 - 1], [-(2**31), 2**31 - 1]),
    ("bigint", pa.int64(), [-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
    ("numeric(20,0)", pa.uint64(), [2**64 - 1, 0], [2**64 - 1, 0]),
    ("real", pa.float32(), [1.5, float("-inf")], [1.5, float("-inf")]),
    ("double precision", pa.float64(), [0.1, 1e308, float("inf")], [0.1, 1e308, float("inf")]),
    ("numeric(12,2)", pa.decimal128(12, 2), [Decimal("-0.01"), Decimal("9999999999.99")], [Decimal("-0.01"), Decimal("9999999999.99")]),
    ("numeric(38,10)", pa.decimal128(38, 10), [Decimal("1234567890123456789012345678.0123456789")], [Decimal("1234567890123456789012345678.0123456789")]),
    ("text", pa.string(), ["", "żółć", 'a"b\\c\n', None], ["", "żółć", 'a"b\\c\n', None]),
    ("text", pa.large_string(), ["x"], ["x"]),
    ("bytea", pa.binary(), [b"", b"\x00\xff"], [b"", b"\x00\xff"]),
    ("bytea", pa.binary(3), [b"abc"], [b"abc"]),
    ("date", pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)], [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    ("time without time zone", pa.time64("us"), [dt.time(23, 59, 59, 999999)], [dt.time(23, 59, 59, 999999)]),
    ("timestamp without time zone", pa.timestamp("us"), [MOMENT], [MOMENT]),
    ("timestamp without time zone", pa.timestamp("ms"), [MOMENT.replace(microsecond=0)], [MOMENT.replace(microsecond=0)]),
    ("timestamp with time zone", pa.timestamp("us", "Europe/Warsaw"), [MOMENT.replace(tzinfo=UTC)], [MOMENT.replace(tzinfo=UTC)]),
    ("interval", pa.duration("us"), [dt.timedelta(days=-3, microseconds=7)], [dt.timedelta(days=-3, microseconds=7)]),
    ("uuid", pa.uuid(), [uuid.UUID(int=5).bytes], [str(uuid.UUID(int=5))]),
    ("jsonb", pa.list_(pa.int64()), [[1, None], []], [[1, None], []]),
    ("jsonb", pa.struct([("a", pa.string())]), [{"a": 'q"'}], [{"a": 'q"'}]),
    ("text", pa.dictionary(pa.int8(), pa.string()), ["a", "b"], ["a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "arrow", "values", "expected"), ALL_TYPES, ids=[f"{t[1]}".replace(" ", "") for t in ALL_TYPES])
def test_every_arrow_type_gets_a_column_and_comes_back_as_it_was(
    make: Make, ask: Ask, sql: str, arrow: pa.DataType, values: list[Any], expected: list[Any]
) -> None:
    numbers = list(range(len(values)))
    rejects = _land(make(), _batch(n=pa.array(numbers), v=pa.array(values, arrow)))
    assert rejects == []
    assert ask("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'") == [
        (sql,)
    ]
    found = [bytes(v) if isinstance(v, memoryview) else v for (v,) in ask("SELECT v FROM t ORDER BY n")]
    assert found == expected


EXISTING: list[tuple[str, pa.Array, list[str | None]]] = [
    ("mood", pa.array(["sad", None, "ok"]), ["sad", None, "ok"]),
    ("positive", pa.array([1, 2]), ["1", "2"]),
    ("numeric", pa.array([1, -(2**63)]), ["1", "-9223372036854775808"]),
    ("numeric", pa.array([0.1, 1e300, None]), ["0.1", f"1{'0' * 300}", None]),
    ("numeric", pa.array([Decimal("1.50")]), ["1.50"]),
    ("numeric(40,2)", pa.array(["12345678901234567890123456789012345678.25"]), ["12345678901234567890123456789012345678.25"]),
    ("inet", pa.array(["10.0.0.1", "::1"]), ["10.0.0.1/32", "::1/128"]),
    ("interval", pa.array(["1 day 02:03", "P1M"]), ["1 day 02:03:00", "1 mon"]),
    ("interval", pa.array([90_000_000], pa.duration("us")), ["00:01:30"]),
    ("varchar(3)", pa.array(["abc", ""]), ["abc", ""]),
    ("char(3)", pa.array(["a"]), ["a"]),
    ("int4range", pa.array(["[1,5)"]), ["[1,5)"]),
    ("bit(3)", pa.array(["101"]), ["101"]),
    ("money", pa.array(["12.5"]), ["$12.50"]),
    ("timetz", pa.array(["01:02:03+02"]), ["01:02:03+02"]),
    ("json", pa.array(['{"a":  1}']), ['{"a":  1}']),
    ("int[]", pa.array([[1, None], [], None], pa.list_(pa.int64())), ["{1,NULL}", "{}", None]),
    ("varchar(9)[]", pa.array([['a"\\,{}', None, ""], ["NULL"]]), ['{"a\\"\\\\,{}",NULL,""}', '{"NULL"}']),
    ("timestamptz[]", pa.array([[MOMENT.replace(tzinfo=UTC)]]), ['{"2024-02-29 23:59:59.123456+00"}']),
    ("uuid[]", pa.array([[str(uuid.UUID(int=5)), None]]), [f"{{{uuid.UUID(int=5)},NULL}}"]),
    ("numeric(5,2)[]", pa.array([[Decimal("1.5")]]), ["{1.50}"]),
    ("mood[]", pa.array([["sad"]]), ["{sad}"]),
]


@pytest.mark.parametrize(("sql", "values", "expected"), EXISTING, ids=[f"{t[0]}-{t[1].type}".replace(" ", "") for t in EXISTING])
def test_columns_of_an_existing_table_take_what_fits_their_type(
    make: Make, ask: Ask, sql: str, values: pa.Array, expected: list[str | None]
) -> None:
    ask("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS integer CHECK (value > 0)")
    ask(f"CREATE TABLE t (n bigint, v {sql}, raw bytea, at timestamptz, id uuid)")
    n = len(values)
    same = _batch(
        n=pa.array(range(n)), v=values, raw=[b"\x00\x01"] * n, at=[MOMENT.replace(tzinfo=UTC)] * n, id=[str(uuid.UUID(int=7))] * n
    )  # fmt: skip
    assert _land(make(), same) == []
    assert ask("SET timezone = 'UTC'; SELECT v::text FROM t ORDER BY n") == [(v,) for v in expected]
    assert ask(
        "SELECT DISTINCT raw = '\\x0001'::bytea, at = '2024-02-29 23:59:59.123456+00', id = %s FROM t", [str(uuid.UUID(int=7))]
    ) == [(True, True, True)]


def test_columns_that_the_server_fills_are_left_to_it(make: Make, ask: Ask) -> None:
    ask(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, a int NOT NULL, twice int GENERATED ALWAYS AS (a * 2) STORED, "
        "d text NOT NULL DEFAULT 'here', s serial)"
    )
    sink = make()
    assert sink.expected_schema() == pa.schema([pa.field("a", pa.int32(), False), ("d", pa.string()), ("s", pa.int32())])
    assert _land(sink, _batch(a=[1, 2])) == []
    assert ask("SELECT * FROM t ORDER BY a") == [(1, 1, 2, "here", 1), (2, 2, 4, "here", 2)]


def test_a_number_may_go_where_only_postgres_knows_the_type(make: Make, ask: Ask) -> None:
    ask("CREATE TABLE t (n numeric, i inet, a bigint)")
    assert make().expected_schema() == pa.schema([("a", pa.int64())])
    declared = pa.schema([("n", pa.decimal128(9, 2))])
    assert make(columns=declared).expected_schema() == pa.schema([("n", pa.decimal128(9, 2)), ("a", pa.int64())])


def test_rows_find_their_way_into_partitions_and_strays_are_refused(make: Make, ask: Ask) -> None:
    ask("CREATE TABLE t (a int) PARTITION BY RANGE (a); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10)")
    rejects = _land(make(), _batch(a=[1, 50, 2]))
    assert rejects == [
        Reject(
            1,
            "check_violation",
            'no partition of relation "t" found for row: Partition key of the failing row contains (a) = (50).',
        )
    ]
    assert ask("SELECT a FROM t1 ORDER BY a") == [(1,), (2,)]


def test_a_view_is_no_target(make: Make, ask: Ask) -> None:
    ask("CREATE VIEW t AS SELECT 1 AS a")
    with pytest.raises(ConfigError, match=r"^public\.t is a view, and rows can only be written into tables$"):
        make()


# Names.

HOSTILE = [
    'a"b',
    "a;drop table t;--",
    "100%s",
    "%(x)s",
    "żółć",
    "Käse und Brot",
    "x" * 63,
    "$1",
    "a'b",
    "new\nline",
    "select",
    "\\",
    "a{b}",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_names(make: Make, ask: Ask, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    sink = make(f"{quoted}.{quoted}", mode="upsert", key=(name,))
    before = ask("SELECT count(*) FROM pg_class")[0][0]
    for offset, value in ((1, "old"), (2, "new")):
        assert _land(sink, _batch(**{name: [1, 2], f"{name[:50]}v": [value, value]}), offset=offset) == []
    sink.write(_batch(**{name: [3], "later": ["x"]}))
    sink.commit({FILE: Position(3)}, [_letter(name)])
    statement = f"SELECT * FROM {quoted}.{quoted} ORDER BY 1"
    assert ask(statement) == [(1, "new", None), (2, "new", None), (3, None, "x")]
    assert ask(f"SELECT count(*) FROM {quoted}._ddpm_dead_letters") == [(1,)]
    # The table and the dead letters: each with its key, its TOAST table and that one's index.
    assert ask("SELECT count(*) FROM pg_class")[0][0] - before == 8


def test_a_name_too_long_for_postgres_is_said_before_connecting() -> None:
    with pytest.raises(ConfigError) as caught:
        build(PostgresOptions(url="postgresql://nowhere", table="ż" * 32), BuildContext())
    assert str(caught.value) == f"'{'ż' * 32}' cannot be a name in Postgres: it is 64 bytes long, and Postgres takes 63"


def test_without_a_schema_the_table_lies_where_psql_would_make_it(make: Make, ask: Ask, postgres_database: str) -> None:
    ask("CREATE SCHEMA app")
    sink = make(url=f"{postgres_database}&options=-csearch_path%3Dapp,public")
    assert sink.target_name == "app.t"
    _land(sink, _batch(a=[1]))
    assert ask("SELECT target, partition FROM app._ddpm_positions") == [("app.t", FILE)]
    assert ask("SELECT a FROM app.t") == [(1,)]


# Refused rows.


def _filled(n: int, **bad: Any) -> Batch:
    """Rows that fit the table of `refusing`, with single values replaced: `b={3: "x"}`."""
    columns = {
        "id": pa.array(range(n), pa.int64()),
        "a": pa.array([1] * n, pa.int64()),
        "b": pa.array(["ok"] * n),
        "r": pa.array([1] * n, pa.int64()),
        "m": pa.array(["sad"] * n),
    }
    for name, values in bad.items():
        column = columns[name].to_pylist()
        for row, value in values.items():
            column[row] = value
        columns[name] = pa.array(column, columns[name].type)
    return _batch(**columns)


@pytest.fixture
def refusing(ask: Ask) -> None:
    ask(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE ref (id int PRIMARY KEY); INSERT INTO ref VALUES (1), (2);"
        "CREATE TABLE t (id bigint PRIMARY KEY, a int CHECK (a <> 13), b varchar(5), r int REFERENCES ref DEFERRABLE INITIALLY DEFERRED, m mood);"
        "CREATE FUNCTION no_bob() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.b = 'bob' THEN RAISE EXCEPTION 'no bobs' USING DETAIL = 'by order'; END IF; RETURN NEW; END $$;"
        "CREATE TRIGGER no_bob BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no_bob()"
    )


REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"id": {7: 3}}, "unique_violation", 'duplicate key value violates unique constraint "t_pkey": Key (id)=(3) already exists.'),
    ({"a": {7: 13}}, "check_violation", 'new row for relation "t" violates check constraint "t_a_check": Failing row contains (7, 13, ok, 1, sad).'),
    ({"b": {7: "too long"}}, "too_long", "value too long for type character varying(5)"),
    ({"b": {7: "bob"}}, "refused", "no bobs: by order"),
    ({"m": {7: "glad"}}, "invalid_text", 'invalid input value for enum mood: "glad"'),
    (
        {"r": {7: 99}},
        "foreign_key_violation",
        'insert or update on table "t" violates foreign key constraint "t_r_fkey": Key (r)=(99) is not present in table "ref".',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "reason", "message"), REFUSALS, ids=[r[1] for r in REFUSALS])
@pytest.mark.usefixtures("refusing")
def test_a_row_that_the_server_refuses_does_not_cost_its_neighbours(
    make: Make, ask: Ask, bad: dict[str, Any], reason: str, message: str
) -> None:
    assert _land(make(), _filled(10, **bad)) == [Reject(7, reason, message)]
    assert ask("SELECT count(*), count(*) FILTER (WHERE id = 7) FROM t") == [(9, 0)]


@pytest.mark.usefixtures("refusing")
def test_many_refused_rows_of_all_kinds_are_found_in_one_batch(make: Make, ask: Ask) -> None:
    bad = {
        "a": {0: 13, 50: 13, 51: 13},
        "b": {99: "too long", 30: "bob"},
        "r": {10: 99, 11: 99, 70: 99},
        "id": {20: 19},
        "m": {98: "glad"},
    }
    sink = make()
    rejects = sink.write(_filled(100, **bad))
    assert sorted((r.index, r.reason) for r in rejects) == [
        (0, "check_violation"), (10, "foreign_key_violation"), (11, "foreign_key_violation"), (20, "unique_violation"),
        (30, "refused"), (50, "check_violation"), (51, "check_violation"), (70, "foreign_key_violation"), (98, "invalid_text"),
        (99, "too_long"),
    ]  # fmt: skip
    assert sink.write(_filled(0)) == []
    sink.commit({FILE: Position(100)}, [])
    assert ask("SELECT count(*) FROM t") == [(90,)]


def test_text_with_line_breaks_does_not_mislead_the_search_for_the_culprit(make: Make, ask: Ask) -> None:
    ask("CREATE TABLE t (b text, i inet)")
    rows = _batch(b=["a\nb\r\nc", '"\n', "\\.", ""] * 5, i=["10.0.0.1"] * 13 + ["nonsense"] + ["10.0.0.1"] * 6)
    assert _land(make(), rows) == [Reject(13, "invalid_text", 'invalid input syntax for type inet: "nonsense"')]
    kept = [("a\nb\r\nc",)] * 5 + [('"\n',)] * 4 + [("\\.",)] * 5 + [("",)] * 5
    assert sorted(ask("SELECT b FROM t")) == sorted(kept)


def test_a_date_that_postgres_does_not_have_is_refused_alone(make: Make, ask: Ask) -> None:
    ask("CREATE TABLE t (d date)")
    sink = make()
    days = pa.array([0, 2**31 - 1, -(2**31), 1], pa.int32()).cast(pa.date32())
    rejects = _land(sink, _batch(d=days))
    assert [(r.index, r.reason) for r in rejects] == [(1, "invalid_text"), (2, "invalid_text")]
    assert ask("SELECT d FROM t ORDER BY d") == [(dt.date(1970, 1, 1),), (dt.date(1970, 1, 2),)]


@pytest.mark.parametrize("where", [0, 1234, 5000, 9999])
@pytest.mark.parametrize("column", ["a", "r"])
@pytest.mark.usefixtures("refusing")
def test_one_bad_row_in_ten_thousand_costs_fewer_than_twenty_statements(make: Make, column: str, where: int) -> None:
    sink = make()
    sink.write(_filled(1))
    sink.rollback()
    sink.begin()
    sink.describe()
    statements = []
    once = sink._copy_as
    sink._copy_as = lambda *arguments: (statements.append(1), once(*arguments))[1]  # type: ignore[method-assign]
    data = _filled(10_000, **{column: {where: 13 if column == "a" else 99}}).data
    data = data.set_column(1, "a", data["a"].cast(pa.int32())).set_column(3, "r", data["r"].cast(pa.int32()))
    assert [r.index for r in sink.insert(data)] == [where]
    assert len(statements) <= 20


def test_text_with_nul_is_set_aside_and_kept_as_a_dead_letter(make: Make, ask: Ask) -> None:
    sink = make()
    rejects = sink.write(_batch(a=["fine", "a\x00b"]))
    assert [(r.index, r.reason) for r in rejects] == [(1, "nul_char")]
    sink.commit({FILE: Position(2)}, [_letter("a\x00b", view=json.dumps({"a": "a\x00b", "s": "\ud800"}))])
    ((message, payload, view),) = ask("SELECT message, payload, view::text FROM _ddpm_dead_letters")
    assert (message, bytes(payload), view) == ("about a\\x00b", b"a\x00b", '{"a": "a\\u0000b", "s": "\\ud800"}')


def _letter(text: str, view: str | None = None) -> DeadLetter:
    return DeadLetter(
        id=f"id-{text}".replace("\x00", ""), pipeline="ingest", source="events.ndjson", partition=FILE, offset=1, byte_offset=None,
        stage="sink", reason="nul_char", message=f"about {text}", plugin="postgres", plugin_version="1", sink="postgres",
        payload=text.encode(), payload_kind="bytes", view=view, attempts=1, created_at=MOMENT.replace(tzinfo=UTC),
    )  # fmt: skip


# Upsert.


def test_upsert_adds_new_keys_and_replaces_old_ones(make: Make, ask: Ask) -> None:
    sink = make(mode="upsert", key=("id",))
    _land(sink, _batch(id=[1, 2, 2], v=["a", "b", "c"]), offset=1)
    _land(sink, _batch(id=[3, 4], v=["d", "e"]), offset=2)
    assert not sink._keys_exist, "new keys go straight in"
    _land(sink, _batch(id=[5, 2, 1], v=["f", "C", "A"]), _batch(id=[6, 1], v=["g", "AA"]), _batch(id=[6], w=["x"]), offset=3)
    assert ask("SELECT * FROM t ORDER BY id") == [
        (1, "AA", None), (2, "C", None), (3, "d", None), (4, "e", None), (5, "f", None), (6, "g", "x"),
    ]  # fmt: skip


@pytest.mark.parametrize("exists", [False, True])
def test_rows_refused_by_an_upsert_do_not_cost_their_neighbours(make: Make, ask: Ask, exists: bool) -> None:
    ask(
        "CREATE TABLE ref (id int PRIMARY KEY); INSERT INTO ref VALUES (1);"
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(5) CHECK (v <> 'bad'), u int UNIQUE, r int REFERENCES ref)"
    )
    if exists:
        ask("INSERT INTO t VALUES (5, 'old', 5, 1)")
    sink = make(mode="upsert", key=("id",))
    rows = _batch(id=[1, 2, 3, 4, 5, 6], v=["a", "bad", "toolong", "d", "e", "f"], u=[1, 2, 3, 1, 5, 6], r=[1, 1, 1, 1, 1, 99])
    assert sorted((r.index, r.reason) for r in _land(sink, rows)) == [
        (1, "check_violation"), (2, "too_long"), (3, "unique_violation"), (5, "foreign_key_violation"),
    ]  # fmt: skip
    assert ask("SELECT id, v FROM t ORDER BY id") == [(1, "a"), (5, "e")]


def test_a_table_of_keys_alone_can_be_upserted(make: Make, ask: Ask) -> None:
    sink = make(mode="upsert", key=("a", "b"))
    for offset in (1, 2):
        _land(sink, _batch(a=[1, 1], b=["x", "y"]), offset=offset)
    assert ask("SELECT * FROM t ORDER BY b") == [(1, "x"), (1, "y")]


def test_upsert_needs_a_unique_index_that_on_conflict_can_use(make: Make, ask: Ask) -> None:
    ask(
        "CREATE TABLE t (a int UNIQUE DEFERRABLE, b int); CREATE UNIQUE INDEX ON t (a) WHERE b > 0; CREATE UNIQUE INDEX ON t ((a + 1))"
    )
    with pytest.raises(ConfigError) as caught:
        make(mode="upsert", key=("a",))
    assert str(caught.value) == (
        "table public.t has no primary key or unique index on (a), which upsert needs\n"
        'Make one: CREATE UNIQUE INDEX "t_key" ON "public"."t" ("a")'
    )
    ask("CREATE UNIQUE INDEX ON t (a) INCLUDE (b)")
    assert make(mode="upsert", key=("a",)).describe().keys == (frozenset({"a"}),)  # type: ignore[union-attr]


# Positions.


def test_positions_and_rows_land_together_or_not_at_all(make: Make, ask: Ask) -> None:
    sink = make()
    sink.write(_batch(a=[1]))
    sink.rollback()
    assert ask("SELECT to_regclass('t')") == [(None,)]
    _land(sink, _batch(a=[1]), offset=7)
    assert sink.claim([FILE]) == {FILE: Position(7)}
    assert ask("SELECT next_offset, epoch FROM _ddpm_positions") == [(7, 2)]


def test_a_sink_whose_partition_was_claimed_by_another_is_fenced(make: Make, ask: Ask) -> None:
    first = make()
    _land(first, _batch(a=[1]), offset=1)
    second = make()
    first.write(_batch(a=[2]))
    with pytest.raises(FencedError, match=f"^another ddpm process has taken over {FILE}$"):
        first.commit({FILE: Position(2)}, [])
    first.rollback()
    _land(second, _batch(a=[3]), offset=2)
    assert ask("SELECT a FROM t ORDER BY a") == [(1,), (3,)]


def test_of_two_first_commits_one_is_fenced(make: Make, ask: Ask) -> None:
    ask("CREATE TABLE t (a int)")
    first, second = make(), make()
    first.write(_batch(a=[1]))
    second.write(_batch(a=[2]))
    first.commit({FILE: Position(1)}, [])
    with pytest.raises(FencedError):
        second.commit({FILE: Position(1)}, [])
    second.rollback()
    assert ask("SELECT a FROM t") == [(1,)]


@pytest.mark.parametrize(("fault", "happened"), [("commit_reply_lost", True), ("commit_lost", False)])
def test_a_lost_commit_is_found_out_by_claiming_again(
    make: Make, ask: Ask, postgres_proxy: Proxy, postgres_server: PostgresServer, postgres_database: str, fault: Any, happened: bool
) -> None:
    ask("CREATE TABLE t (a int)")
    name = postgres_database.rpartition("/")[2].partition("?")[0]
    sink = make(url=postgres_server.database_url(name, port=postgres_proxy.port))
    _land(sink, _batch(a=[1]), offset=1)
    sink.write(_batch(a=[2]))
    postgres_proxy.fault = fault
    with pytest.raises(RetryableError, match=r"^the connection to Postgres at 127\.0\.0\.1:\d+/test_\w+ was lost: "):
        sink.commit({FILE: Position(2)}, [])
    assert postgres_proxy.happened.wait(60)
    sink.rollback()
    sink.close()
    sink.open()
    assert sink.claim([FILE]) == {FILE: Position(2 if happened else 1)}
    if not happened:
        _land(sink, _batch(a=[2]), offset=2)
    assert ask("SELECT a FROM t ORDER BY a") == [(1,), (2,)]


def test_a_connection_cut_in_the_middle_of_a_copy_leaves_nothing(
    make: Make, ask: Ask, postgres_proxy: Proxy, postgres_server: PostgresServer, postgres_database: str
) -> None:
    ask("CREATE TABLE t (a text)")
    name = postgres_database.rpartition("/")[2].partition("?")[0]
    sink = make(url=postgres_server.database_url(name, port=postgres_proxy.port))
    postgres_proxy.cut_after = 500_000
    with pytest.raises(RetryableError, match="was lost: "):
        sink.write(_batch(a=["x" * 1000] * 10_000))
    sink.rollback()
    sink.close()
    sink.open()
    assert sink.claim([FILE]) == {}
    assert ask("SELECT count(*) FROM t") == [(0,)]


# Replace.


def test_replace_swaps_the_rows_at_commit_and_not_before(make: Make, ask: Ask) -> None:
    _land(make(), _batch(a=[1, 2]))
    sink = make(mode="replace")
    sink.write(_batch(a=[3]))
    assert ask("SELECT a FROM t ORDER BY a") == [(1,), (2,)]
    sink.commit({FILE: Position(1)}, [])
    assert ask("SELECT a FROM t") == [(3,)]


def _idle_limit(sink: PostgresSink) -> str:
    return str(sink.fetch("SHOW idle_in_transaction_session_timeout")[0][0])


def test_only_rounds_that_last_as_long_as_the_run_may_be_idle(make: Make) -> None:
    document = Document("stdin", "stdin", io.BytesIO(), atomic=True)
    sink = make()
    sink.write(_batch(a=[1]))
    assert _idle_limit(sink) == "45s"
    sink.write(Batch(pa.record_batch({"a": [1]}), src=document))
    assert _idle_limit(sink) == "0"
    sink.commit({FILE: Position(1)}, [])
    assert _idle_limit(sink) == "45s"
    replacing = make("other", mode="replace")
    replacing.write(_batch(a=[1]))
    assert _idle_limit(replacing) == "0"


# The environment.


def _server(url: str) -> str:
    return url.rpartition("@")[2].partition("?")[0]


def _error(make: Make, url: str, kind: type[Exception], table: str = "t", **options: Any) -> str:
    with pytest.raises(kind) as caught:
        make(table, url=url, **options)
    assert "secret" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def guest(ask: Ask, postgres_database: str) -> Iterator[str]:
    """The URL of a user without rights, whose password is `secret`."""
    ask("CREATE ROLE guest LOGIN PASSWORD 'secret'; REVOKE CREATE ON SCHEMA public FROM public")
    yield postgres_database.replace("postgres:ddpm-test", "guest:secret")
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'guest'; DROP OWNED BY guest; DROP ROLE guest")


def test_wrong_password_missing_database_and_no_server_say_what_to_do(make: Make, postgres_database: str) -> None:
    at = _server(postgres_database)
    assert _error(make, postgres_database.replace("ddpm-test", "secret"), FatalError) == (
        f'cannot connect to Postgres at {at}: password authentication failed for user "postgres"\n'
        "Check the user and the password in the address; PGPASSWORD and ~/.pgpass work too."
    )
    assert _error(make, postgres_database.replace("/test_", "/secre_"), FatalError).endswith(
        " does not exist\nCreate the database, or correct its name in the address."
    )
    host = at.partition("/")[0]
    assert _error(make, postgres_database.replace(host, "127.0.0.1:1"), RetryableError) == (
        f"cannot connect to Postgres at {at.replace(host, '127.0.0.1:1')}: Connection refused\n"
        "Start the server, or correct host and port in the address."
    )
    assert _error(make, "postgresql://u:sec%ret@h/d", ConfigError) == (
        "the address is not a valid Postgres URL\n"
        "Write postgresql://user:password@host:5432/database; special characters in the password as %XX."
    )


def test_a_user_without_the_right_to_create_is_told_so(make: Make, guest: str) -> None:
    assert _error(make, guest, FatalError) == (
        f"Postgres at {_server(guest)}: permission denied for schema public\n"
        "Ask the owner for the privilege (GRANT), or connect as another user."
    )


def test_a_user_who_may_only_insert_needs_no_more(make: Make, ask: Ask, guest: str) -> None:
    _land(make(), _batch(a=[1]))
    owner = make("other")
    owner.write(_batch(a=[1]))
    owner.commit({FILE: Position(1)}, [_letter("x")])
    ask(
        "GRANT INSERT ON t TO guest; GRANT SELECT, INSERT, UPDATE ON _ddpm_positions TO guest; GRANT SELECT, INSERT, UPDATE ON _ddpm_dead_letters TO guest"
    )
    sink = make(url=guest)
    sink.write(_batch(a=[2]))
    sink.commit({FILE: Position(2)}, [_letter("y")])
    assert ask("SELECT a FROM t ORDER BY a") == [(1,), (2,)]


def _problems(url: str, *, columns: Any = None, **options: Any) -> list[str]:
    sink = build(PostgresOptions(url=url, table="t", **options), BuildContext(columns=columns))
    try:
        sink.inspect()
        return sink.problems()
    finally:
        sink.close()


def test_rights_that_are_missing_are_told_before_anything_is_written(make: Make, ask: Ask, guest: str) -> None:
    assert _problems(guest) == [
        "the role guest lacks CREATE on the schema public, where t and _ddpm_positions would have to be made"
    ]
    owner = make()
    owner.write(_batch(a=[1]))
    owner.commit({FILE: Position(1)}, [_letter("x")])
    ask("GRANT INSERT (a), SELECT ON t TO guest; GRANT SELECT, UPDATE ON _ddpm_positions TO guest; ALTER TABLE t ADD UNIQUE (a)")
    letters = "the role guest lacks SELECT and INSERT and UPDATE on public._ddpm_dead_letters"
    positions = "the role guest lacks INSERT on public._ddpm_positions"
    assert sorted(_problems(guest)) == [positions, letters]
    assert sorted(_problems(guest, mode="upsert", key=["a"])) == [positions, letters, "the role guest lacks UPDATE on public.t"]
    assert sorted(_problems(guest, mode="replace")) == [
        "the role guest lacks DELETE on public.t",
        f"{positions.removesuffix(' on public._ddpm_positions')} and DELETE on public._ddpm_positions",
        letters,
    ]
    ask("GRANT INSERT ON _ddpm_positions TO guest; GRANT SELECT, INSERT, UPDATE ON _ddpm_dead_letters TO guest")
    assert _problems(guest) == []
    assert _problems(guest, columns=[pa.field("a", pa.bool_())]) == [
        "column 'a' is declared boolean, and the table has bigint: no value fits"
    ]
    ask("REVOKE USAGE ON SCHEMA public FROM public")
    assert _problems(guest) == ["the role guest lacks USAGE on the schema public"]


def test_a_server_that_only_reads_is_waited_for(make: Make, ask: Ask, postgres_database: str) -> None:
    assert _error(make, f"{postgres_database}&options=-cdefault_transaction_read_only%3Don", RetryableError) == (
        f"Postgres at {_server(postgres_database)}: cannot execute CREATE TABLE in a read-only transaction\n"
        "The server may have become a standby; writing goes on when it takes writes again."
    )


def test_a_locked_table_is_waited_for_and_not_for_ever(make: Make, ask: Ask, postgres_database: str) -> None:
    ask("CREATE TABLE t (a int)")
    sink = make(lock_timeout=0.1)
    with psycopg2.connect(postgres_database) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE t")
        with pytest.raises(RetryableError) as caught:
            sink.write(_batch(a=[1]))
        assert str(caught.value) == (
            f"Postgres at {_server(postgres_database)}: canceling statement due to lock timeout\n"
            "Another session holds a lock: see pg_locks and pg_stat_activity."
        )
        sink.rollback()
    other.close()
    assert _land(sink, _batch(a=[1])) == []


def test_too_many_connections_are_waited_for(make: Make, ask: Ask, guest: str) -> None:
    ask("ALTER ROLE guest CONNECTION LIMIT 0")
    assert _error(make, guest, RetryableError) == (
        f'cannot connect to Postgres at {_server(guest)}: too many connections for role "guest"\n'
        "Close other connections, or raise max_connections."
    )


def test_a_statement_that_takes_too_long_is_tried_again(make: Make, ask: Ask) -> None:
    ask(
        "CREATE TABLE t (a int); CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;"
        "CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()"
    )
    sink = make(statement_timeout=90)
    assert sink.fetch("SHOW statement_timeout") == [("90s",)]
    sink.fetch("SET statement_timeout = '100ms'")  # Only now: what it did to get here may take longer on a busy machine.
    with pytest.raises(RetryableError, match="canceling statement due to statement timeout"):
        sink.write(_batch(a=[1]))


def test_a_blocked_write_can_be_cancelled_from_another_thread(
    make: Make, ask: Ask, postgres_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "CANCEL_SECONDS", 60.0)  # Else a busy server is cut off before it has cancelled.
    ask("CREATE TABLE t (a int)")
    sink = make(lock_timeout=200)
    with psycopg2.connect(postgres_database) as other, other.cursor() as cursor:
        cursor.execute("LOCK TABLE t")
        failed: list[BaseException] = []

        def write() -> None:
            try:
                sink.write(_batch(a=[1]))
            except RetryableError as error:
                failed.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        until(lambda: _somebody_waits(ask), thread)
        sink.cancel()
        thread.join(60)
        assert not thread.is_alive()
        assert [str(error).splitlines()[0].partition(": ")[2] for error in failed] == ["canceling statement due to user request"]
    other.close()


def test_a_session_that_the_server_ends_is_opened_again(make: Make, ask: Ask) -> None:
    sink = make()
    _land(sink, _batch(a=[1]), offset=1)
    sink.write(_batch(a=[2]))
    ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ddpm' AND datname = current_database()")
    with pytest.raises(RetryableError, match=r"terminating connection due to administrator command|was lost"):
        sink.commit({FILE: Position(2)}, [])
    sink.rollback()
    sink.close()
    sink.open()
    assert sink.claim([FILE]) == {FILE: Position(1)}
    _land(sink, _batch(a=[2]), offset=2)
    assert ask("SELECT a FROM t ORDER BY a") == [(1,), (2,)]


def test_a_round_that_froze_was_ended_by_the_server_and_leaves_nothing(make: Make, ask: Ask) -> None:
    ask("CREATE TABLE t (a int)")
    sink = make()
    sink.write(_batch(a=[1]))
    sink.fetch("SET idle_in_transaction_session_timeout = '20ms'")
    until(lambda: not ask("SELECT 1 FROM pg_stat_activity WHERE application_name = 'ddpm' AND datname = current_database()"))
    with pytest.raises(RetryableError, match=r"idle-in-transaction timeout|was lost"):
        sink.commit({FILE: Position(1)}, [])
    sink.rollback()
    sink.close()
    sink.open()
    assert sink.claim([FILE]) == {}
    assert ask("SELECT count(*) FROM t") == [(0,)]


def test_a_server_that_crashes_and_returns_has_every_row_once(
    make: Make, postgres_server: PostgresServer, postgres_database: str
) -> None:
    if not postgres_server.managed:
        pytest.skip("the server is not ours to stop")
    sink = make()
    _land(sink, _batch(a=[1]), offset=1)
    sink.write(_batch(a=[2]))
    postgres_server.stop("immediate")
    try:
        with pytest.raises(RetryableError):
            sink.commit({FILE: Position(2)}, [])
        sink.rollback()
        sink.close()
        with pytest.raises(RetryableError, match="Connection refused"):
            sink.open()
    finally:
        postgres_server.start()
    sink.open()
    assert sink.claim([FILE]) == {FILE: Position(1)}
    _land(sink, _batch(a=[2]), offset=2)
    name = postgres_database.rpartition("/")[2].partition("?")[0]
    assert postgres_server.psql("SELECT a FROM t ORDER BY a", database=name) == [(1,), (2,)]


def test_a_table_that_changes_while_rows_are_written_is_looked_at_again(make: Make, ask: Ask) -> None:
    ask("CREATE TABLE t (a int, b int)")
    sink = make()
    _land(sink, _batch(a=[1], b=[1]), offset=1)
    ask("ALTER TABLE t ALTER a TYPE bigint")
    with pytest.raises(RetryableError, match=r"^the columns of public\.t changed while rows were being written$"):
        sink.write(_batch(a=[2], b=[2]))
    sink.rollback()
    _land(sink, _batch(a=[2], b=[2]), offset=2)
    ask("ALTER TABLE t DROP b")
    with pytest.raises(RetryableError, match='column "b" of relation "t" does not exist\nIts columns changed'):
        sink.write(_batch(a=[3], b=[3]))
    sink.rollback()
    ask("DROP TABLE t")
    sink.close()
    sink.open()
    assert sink.claim([FILE]) == {FILE: Position(2)}, "no rows were counted under it"
    _land(sink, _batch(a=[3]), offset=3)
    assert ask("SELECT a FROM t") == [(3,)]


def test_closing_is_always_safe(postgres_database: str) -> None:
    sink = build(PostgresOptions(url=postgres_database, table="t"), BuildContext())
    sink.rollback()
    sink.cancel()
    sink.close()
    sink.close()
    with pytest.raises(RetryableError, match="there is no connection to"):
        sink.fetch("SELECT 1")


def test_two_processes_that_make_the_same_table_do_not_harm_each_other(make: Make, ask: Ask) -> None:
    first, second = make(), make()
    first.write(_batch(a=[1]))
    failed: list[str] = []

    def write() -> None:
        try:
            second.write(_batch(a=[2]))
        except RetryableError as error:
            failed.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    until(lambda: _somebody_waits(ask), thread)
    first.commit({"file:/one": Position(1)}, [])
    thread.join(60)
    assert [text.partition("\n")[2] for text in failed] == ["Another process was making the same; it is looked at again."]
    second.rollback()
    second.close()
    second.open()
    second.claim(["file:/two"])
    second.write(_batch(a=[2]))
    second.commit({"file:/two": Position(1)}, [])
    assert ask("SELECT a FROM t ORDER BY a") == [(1,), (2,)]
    assert ask("SELECT count(*) FROM _ddpm_positions") == [(2,)]


def test_of_two_runs_that_replace_a_table_at_once_the_rows_of_one_are_left(ask: Ask, make: Make) -> None:
    _land(make(), _batch(n=[0]))
    first, second = (make(mode="replace", lock_timeout=200) for _ in range(2))
    first.write(_batch(n=[1]))
    waits = threading.Thread(target=second.write, args=[_batch(n=[2], more=["x"])])
    waits.start()
    until(lambda: _somebody_waits(ask), waits)
    assert ask("SELECT n FROM t") == [(0,)]
    first.commit({"file:a": Position(1)}, [])
    waits.join(60)
    assert not waits.is_alive()
    second.commit({"file:b": Position(1)}, [])
    assert ask("SELECT n, more FROM t") == [(2, "x")]
    assert ask("SELECT partition FROM _ddpm_positions") == [("file:b",)]

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import ConfigError, split_table
from ddpm_core.plugin.names import data_name, scheme_of


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("events", (None, "events")),
        ("analytics.events", ("analytics", "events")),
        ('"weird.name"', (None, "weird.name")),
        ('analytics."weird.name"', ("analytics", "weird.name")),
        ('"a.b".events', ("a.b", "events")),
        ('"say ""hi"""', (None, 'say "hi"')),
        ("Mixed Case; drop table x", (None, "Mixed Case; drop table x")),
        ('in"side', (None, 'in"side')),
        ("größe.ereignisse", ("größe", "ereignisse")),
    ],
)
def test_a_table_is_split_as_it_is_written(text: str, parts: tuple[str | None, str]) -> None:
    assert split_table(text) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "table '' has an empty name in it, and a table is named by `table` or `schema.table`"),
        (".events", "table '.events' has an empty name in it, and a table is named by `table` or `schema.table`"),
        ("analytics.", "table 'analytics.' has an empty name in it, and a table is named by `table` or `schema.table`"),
        ('""', "table '\"\"' has an empty name in it, and a table is named by `table` or `schema.table`"),
        (
            "db.analytics.events",
            (
                "table 'db.analytics.events' has 3 parts, and a table is named by `table` or `schema.table`\n"
                'Put double quotes around a name that holds a dot: "analytics.events"'
            ),
        ),
        ('"events', "table '\"events' opens a double quote and does not close it"),
        ('"events""', 'table \'"events""\' opens a double quote and does not close it'),
        ('"a"b', "table '\"a\"b' goes on after a closing quote; only a dot may follow there"),
    ],
)
def test_a_name_that_is_no_table_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        split_table(text)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1), st.text(min_size=1))
def test_any_two_names_survive_quoting(schema: str, table: str) -> None:
    def quoted(name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    assert split_table(f"{quoted(schema)}.{quoted(table)}") == (schema, table)
    assert split_table(quoted(table)) == (None, table)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b/events.json", "events.json"),
        ("a/events.json.gz", "events.json"),
        ("EVENTS.JSON.GZ", "EVENTS.JSON"),
        ("https://host/x/orders.csv.zst?token=a/b.txt#c", "orders.csv"),
        ("s3://lake/orders.csv.bz2", "orders.csv"),
        ("all.zip/orders.csv.xz", "orders.csv"),
        ("what?.json", "what?.json"),
        ("s3://lake/no#1?.json.gz", "no#1?.json"),
        (".gz", ".gz"),
    ],
)
def test_the_name_of_data_is_the_last_part_without_its_packing(path: str, name: str) -> None:
    assert data_name(path) == name


@pytest.mark.parametrize(
    ("address", "scheme"),
    [("mysql+pymysql://h/db", "mysql"), ("S3://b/k", "s3"), ("a/b.json", ""), ("c:/x", ""), ("sql+crate://h", "sql")],
)
def test_the_scheme_of_a_url_is_without_its_driver(address: str, scheme: str) -> None:
    assert scheme_of(address) == scheme

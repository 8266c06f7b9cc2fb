"""Numbers, names and tables as people read them."""

from __future__ import annotations

import pytest

from ddpm_core.cli.output import aligned, count, duration, fitting, shell, size, sql_name


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (999_949, "999.9 kB"), (999_950, "1.0 MB"),
     (4_700_000, "4.7 MB"), (3_200_000_000, "3.2 GB"), (5_000_000_000_000, "5.0 TB")],
)  # fmt: skip
def test_sizes(nbytes, text):
    assert size(nbytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (80.2, "1 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_counts():
    assert [count(n, "row") for n in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]


@pytest.mark.parametrize(
    ("name", "sql"),
    [("flights", "flights"), ("Flights", '"Flights"'), ("order", '"order"'), ("my.orders", '"my.orders"'), ('a"; drop', '"a""; drop"'),
     ("größe", '"größe"'), ("2024", '"2024"')],
)  # fmt: skip
def test_names_are_quoted_where_sql_needs_it(name, sql):
    assert sql_name(name) == sql


def test_commands_can_be_pasted():
    assert shell("ddpm", "query", "select 1", "--db", "a b.duckdb") == "ddpm query 'select 1' --db 'a b.duckdb'"
    assert shell("x", "it's") == 'x "it\'s"'
    assert shell("x", "it's $HOME") == "x 'it'\"'\"'s $HOME'"


def test_columns_are_aligned_also_with_wide_characters():
    assert aligned(["a", "n"], [["表", "1"], ["xyz", "22"]], right=[False, True]) == "a     n\n表    1\nxyz  22"


@pytest.mark.parametrize(
    ("widths", "room", "fits"),
    [
        ([5, 200, 25], 50, [5, 22, 22]),
        ([5, 10], 50, [5, 10]),
        ([200, 200], 20, None),
        ([10**9], 80, [80]),
    ],
)
def test_the_widest_columns_are_cut_first(widths, room, fits):
    assert fitting(widths, room, [12] * len(widths)) == fits

import re

import pytest

from ddpm_core import ConfigError
from ddpm_core.config.options import check_options
from ddpm_core.plugin.specs import resolve
from ddpm_duckdb.options import DuckDbOptions, path_of
from ddpm_duckdb.plugin import ddpm_sinks


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("events.duckdb", "events.duckdb"),
        ("duckdb:events.duckdb", "events.duckdb"),
        ("duckdb:///data/events.duckdb", "/data/events.duckdb"),
        ("duckdb://localhost/data/events.duckdb", "/data/events.duckdb"),
        ("duckdb:/data/events.duckdb", "/data/events.duckdb"),
        ("duckdb:my%20data/50%25.db", "my data/50%.db"),
        ("50%25.db", "50%25.db"),
        (":memory:", ":memory:"),
        ("duckdb::memory:", ":memory:"),
    ],
)
def test_a_path_and_a_url_name_the_same_file(address: str, path: str) -> None:
    assert path_of(address) == path
    assert DuckDbOptions(table="t", path=address).path == path


def test_without_a_path_it_is_the_file_in_this_folder() -> None:
    assert DuckDbOptions(table="t").path == "./ddpm.duckdb"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": ""}, "sink duckdb, option 'path': it names no file"),
        (
            {"path": "duckdb://server/x.db"},
            "sink duckdb, option 'path': a DuckDB file has no host: write duckdb:server/x.db or duckdb:///absolute/path",
        ),
        ({"path": "a\x00b"}, "sink duckdb, option 'path': a path cannot hold a NUL character"),
        (
            {"memory_limit": "1GB'; DROP TABLE x; --"},
            "sink duckdb, option 'memory_limit': string should match pattern '^\\d+(\\.\\d+)? ?([KMGT]i?)B$'",
        ),
    ],
)
def test_a_wrong_option_is_said_in_words(values: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        check_options(DuckDbOptions, {"table": "t", **values}, owner="sink duckdb")


def test_the_spec_leads_to_what_it_names() -> None:
    (spec,) = ddpm_sinks()
    assert spec.options_model() is DuckDbOptions
    assert callable(resolve(spec.build))
    assert spec.database is not None
    assert callable(resolve(spec.database))
    assert spec.address in DuckDbOptions.model_fields
    assert spec.capabilities() == {
        "guarantee": "exactly once",
        "modes": "append, replace, upsert",
        "URL schemes": "duckdb",
        "suffixes": ".duckdb, .ddb, .db",
        "can be queried": "yes",
    }

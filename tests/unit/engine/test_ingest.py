"""From paths and flags to pipelines: formats by suffix, tables by name, every mistake before any I/O."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import Field

from ddpm_core.config.options import PluginOptions
from ddpm_core.engine.ingest import Ingest, IngestRequest
from ddpm_core.engine.report import Report
from ddpm_core.errors import ConfigError
from ddpm_core.plugin.hookspecs import hookimpl
from ddpm_core.plugin.specs import BuildContext, FormatSpec, Plugin, SinkSpec
from ddpm_core.plugin.table_options import TableOptions
from ddpm_core.registry import Registry
from ddpm_core.testing.doubles import LineParser, MemorySink, MemoryStore


class MemoryOptions(TableOptions):
    url: str = Field(description="Where")


class PlainOptions(PluginOptions):
    url: str = Field(description="Where")


@pytest.fixture
def stores() -> dict[str, MemoryStore]:
    return {}


@pytest.fixture
def registry(stores: dict[str, MemoryStore]) -> Registry:
    """The files source, a format of lines, and sinks in memory: one store for each table."""

    def sink(options: MemoryOptions, context: BuildContext) -> MemorySink:
        return MemorySink(stores.setdefault(options.table, MemoryStore()), replace=options.mode == "replace")

    def plain(options: PlainOptions, context: BuildContext) -> MemorySink:
        return MemorySink(stores.setdefault("plain", MemoryStore()))

    @hookimpl
    def ddpm_formats() -> list[FormatSpec]:
        def build(options: object, context: BuildContext) -> LineParser:
            return LineParser()

        return [FormatSpec(name="lines", summary="Lines", parser=build, suffixes=(".txt", ".lines"))]

    @hookimpl
    def ddpm_sinks() -> list[SinkSpec]:
        return [
            SinkSpec(
                name="memory", summary="Memory", build=sink, options=MemoryOptions, schemes=("memory",), suffixes=(".duckdb",)
            ),
            SinkSpec(name="plain", summary="Plain", build=plain, options=PlainOptions, schemes=("plain",)),
        ]

    from importlib import import_module

    registry = Registry()
    registry.add(import_module("ddpm_files.plugin"), entry_point="files", distribution="ddpm-core", version="0")
    module = SimpleNamespace(ddpm_formats=ddpm_formats, ddpm_sinks=ddpm_sinks)
    registry.add(module, entry_point="test", distribution="ddpm-test", version="1.0")
    return registry


def run(registry: Registry, *paths: Path | str, **more: object) -> Report:
    request = IngestRequest(paths=tuple(map(str, paths)), **more)  # type: ignore[arg-type]
    return Ingest(request, registry).run()


def refused(registry: Registry, *paths: Path | str, **more: object) -> str:
    with pytest.raises(ConfigError) as caught:
        Ingest(IngestRequest(paths=tuple(map(str, paths)), **more), registry)  # type: ignore[arg-type]
    return str(caught.value)


def lines(store: MemoryStore) -> list[str]:
    return [row["line"] for row in store.rows]


def test_each_file_goes_to_the_table_of_its_own_name(registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n")
    (tmp_path / "b.2026-01.txt").write_text("3\n")
    report = run(registry, tmp_path)
    assert {name: lines(store) for name, store in stores.items()} == {"a": ["1", "2"], '"b.2026-01"': ["3"]}
    assert (report.status, report.rows, [d.table for d in report.documents]) == ("landed", 3, ["a", '"b.2026-01"'])


def test_files_for_one_table_are_one_pipeline(registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    (tmp_path / "b.lines").write_text("2\n")
    run(registry, tmp_path, table="events")
    assert lines(stores["events"]) == ["1", "2"]
    assert stores["events"].calls.count("open") == 1


def test_a_finished_file_is_skipped_and_again_takes_it_again(
    registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n")
    run(registry, tmp_path / "a.txt")
    report = run(registry, tmp_path / "a.txt")
    assert [(d.status, d.note) for d in report.documents] == [("skipped", "already landed (2 rows); use --again to take it again")]
    assert run(registry, tmp_path / "a.txt", again=True).rows == 2
    assert lines(stores["a"]) == ["1", "2", "1", "2"]


def test_replace_takes_finished_files_again(registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n2\n")
    run(registry, tmp_path / "a.txt")
    assert run(registry, tmp_path / "a.txt", mode="replace").status == "landed"
    assert lines(stores["a"]) == ["1", "2"]


def test_what_landed_is_reported_when_a_later_table_cannot_take_what_is_asked(
    registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    (tmp_path / "b.txt").write_text("2\n")
    stores["b"] = MemoryStore()
    stores["b"].fail("open", ConfigError("there is no such schema"))
    report = run(registry, tmp_path)
    assert (report.status, report.rows, str(report.error)) == ("failed", 1, "there is no such schema")
    assert [(d.name, d.status) for d in report.documents] == [(str(tmp_path / "a.txt"), "landed")]


def test_replace_is_refused_where_one_pipeline_would_replace_the_rows_of_another(
    registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path
) -> None:
    @hookimpl
    def ddpm_formats() -> list[FormatSpec]:
        return [FormatSpec(name="other", summary="Other", parser=lambda options, context: LineParser(), suffixes=(".other",))]

    registry.add(SimpleNamespace(ddpm_formats=ddpm_formats), entry_point="other", distribution="ddpm-other", version="1.0")
    (tmp_path / "a.txt").write_text("1\n")
    (tmp_path / "A.other").write_text("2\n")
    for table in ("t", None):
        assert refused(registry, tmp_path, table=table, mode="replace") == (
            f"--mode replace cannot fill table {table or 'a'} twice in one run: from {tmp_path}/A.other and from {tmp_path}/a.txt\n"
            "Files of one format and one --table are taken together; replace with those, then append the others."
        )
    assert run(registry, tmp_path, table="t").rows == 2
    assert lines(stores["t"]) == ["2", "1"]


def test_a_file_of_unknown_suffix_in_a_folder_is_skipped_by_name(
    registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    (tmp_path / "readme.md").write_text("hello\n")
    report = run(registry, tmp_path)
    skipped = report.documents[0]
    assert (Path(skipped.name).name, skipped.status) == ("readme.md", "skipped")
    assert skipped.note == "no installed format has its suffix; name one with --format"


def test_a_file_of_unknown_suffix_that_was_named_is_a_mistake(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_text("1\n")
    assert refused(registry, tmp_path / "a.dat") == (
        f"{tmp_path}/a.dat: no installed format has this suffix (name one with --format: lines)"
    )
    assert run(registry, tmp_path / "a.dat", format="lines").rows == 1


def test_standard_input_needs_a_format(registry: Registry) -> None:
    assert refused(registry, "-") == "standard input: has no suffix that tells its format (name it with --format: lines)"


def test_an_unknown_format_tells_the_nearest(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    assert refused(registry, tmp_path / "a.txt", format="line") == (
        "there is no format 'line'\nDid you mean 'lines'? Installed: lines."
    )


def test_an_address_that_no_sink_takes_names_those_that_do(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    assert refused(registry, tmp_path / "a.txt", to="mysql://host/db") == (
        "no installed sink takes mysql:// addresses\nKnown: gs, memory, plain, s3."
    )
    assert refused(registry, tmp_path / "a.txt", to="out.xlsx") == (
        "cannot tell what kind of database 'out.xlsx' is\nUse a URL, a file name that ends in .duckdb, "
        "a folder with a slash at its end, or - for standard output."
    )


def test_options_reach_their_plugin_and_wrong_ones_are_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    assert refused(registry, tmp_path / "a.txt", options=("sink.tabel=x",)) == (
        "sink memory, option 'tabel': there is no such option (did you mean 'table'?)"
    )
    assert refused(registry, tmp_path / "a.txt", options=("table=x", "sink")) == (
        "option 'table': is not of the form KIND.NAME=VALUE (KIND is source, format or sink)\n"
        "option 'sink': is not of the form KIND.NAME=VALUE (KIND is source, format or sink)"
    )


def test_a_key_means_upsert_and_append_with_a_key_is_a_mistake(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    assert run(registry, tmp_path / "a.txt", key=("line",), to="memory://x").status == "landed"
    assert refused(registry, tmp_path / "a.txt", key=("line",), mode="append") == (
        "sink memory: a key is for mode upsert, not for append"
    )
    assert refused(registry, tmp_path / "a.txt", mode="upsert") == (
        "sink memory: mode upsert needs a key: name the columns that identify a row"
    )


def test_a_sink_without_tables_gets_no_table_unless_one_was_asked_for(
    registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    assert run(registry, tmp_path / "a.txt", to="plain://x").rows == 1
    assert refused(registry, tmp_path / "a.txt", to="plain://x", table="t") == (
        "sink plain, option 'table': there is no such option (its options: url)"
    )


def test_missing_files_are_all_named_before_anything_is_opened(
    registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path
) -> None:
    text = refused(registry, tmp_path / "a.txt", tmp_path / "b.txt")
    assert f"{tmp_path}/a.txt" in text
    assert f"{tmp_path}/b.txt" in text
    assert stores == {}


def test_stopping_before_the_run_leaves_everything_alone(
    registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    ingest = Ingest(IngestRequest(paths=(str(tmp_path),)), registry)
    ingest.stop()
    assert ingest.run().status == "stopped"
    assert all(store.rows == [] for store in stores.values())


def test_observer_plugins_are_told(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    seen: list[str] = []

    @hookimpl
    def ddpm_event(event: object) -> None:
        seen.append(type(event).__name__)

    registry.add(SimpleNamespace(ddpm_event=ddpm_event), entry_point="o", distribution="ddpm-o", version="1")
    run(registry, tmp_path / "a.txt")
    assert seen[0] == "RunStarted"
    assert seen[-1] == "RunEnded"
    assert "ChunkCommitted" in seen


def test_a_builder_that_fails_is_named(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    from ddpm_core.engine.build import build_parser
    from ddpm_core.errors import PluginError

    def explode(options: object, context: BuildContext) -> LineParser:
        raise RuntimeError("no such codec")

    broken = Plugin(FormatSpec(name="x", summary="X", parser=explode), "ddpm-x", "2.0")
    with pytest.raises(PluginError, match=r"^format x \(ddpm-x 2\.0\) failed: RuntimeError: no such codec\n"):
        build_parser(broken, {}, BuildContext())


def test_a_compressed_file_is_of_the_format_and_for_the_table_of_what_is_in_it(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "b.dat.zst").write_bytes(b"")
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"1\n2\n"))
    assert refused(registry, tmp_path / "b.dat.zst") == (
        f"{tmp_path}/b.dat.zst: no installed format has this suffix (name one with --format: lines)"
    )
    report = run(registry, tmp_path / "a.txt.gz")
    assert [(document.table, document.rows) for document in report.documents] == [("a", 2)]


def test_an_empty_address_is_not_taken_for_the_default(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    with pytest.raises(ConfigError) as caught:
        run(registry, tmp_path / "a.txt", to="")
    assert str(caught.value) == (
        "the address of the database is empty\nIs a variable of the shell not set? Without one it is ./ddpm.duckdb."
    )


def test_a_record_refused_on_its_way_to_two_tables_is_two_dead_letters(
    registry: Registry, stores: dict[str, MemoryStore], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("1\nbad\n")
    for table in ("one", "two"):
        run(registry, tmp_path / "a.txt", table=table)
    ids = [letter.id for store in stores.values() for letter in store.dead_letters]
    assert (len(ids), len(set(ids))) == (2, 2)


def test_limits_on_records_reach_every_format(tmp_path: Path) -> None:
    """Options where a format has them; the base class' own limit where it has none."""
    (tmp_path / "a.json").write_text('{"id": 1}\n{"id": 2, "pad": "%s"}\n{"id": {"id": {"id": 3}}}\n' % ("x" * 60))
    limits = {"max_record_bytes": 50, "max_depth": 2}
    made = Ingest(IngestRequest(paths=(str(tmp_path / "a.json"),), to=str(tmp_path / "x.duckdb"), **limits), Registry.discover())  # type: ignore[arg-type]
    assert made.run().rejects == {"too_large": 1, "json_depth": 1}


def test_a_limit_on_records_holds_for_a_format_without_options(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("short\n%s\n" % ("x" * 60))
    report = run(registry, tmp_path / "a.txt", max_record_bytes=50)
    assert (report.rows, report.rejects) == (1, {"too_large": 1})


def test_rows_of_a_query_need_a_table_and_no_format(registry: Registry, tmp_path: Path) -> None:
    from ddpm_core.plugin.specs import SourceSpec

    class Options(PluginOptions):
        url: str = Field(description="Where")
        table: str = Field(default="", description="Which")

    spec = SourceSpec(name="base", summary="A base", build="x:y", options=Options, schemes=("base",), decodes=True)
    module = SimpleNamespace(ddpm_sources=hookimpl(lambda: [spec]))
    registry.add(module, entry_point="base", distribution="ddpm-base", version="1.0")
    assert refused(registry, "base://u:secret@h/db") == (
        "source base gives the rows of a query, which has no name that a table could have\nName the table with --table."
    )
    assert refused(registry, "crate://u:secret@h/db") == (
        "crate://u:***@h/db: no installed source takes crate:// addresses (known: base, file, gs, http, https, s3)"
    )


def test_a_second_run_does_not_eat_what_the_first_one_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text('{"id": 1}\nnot json\n')
    for rows in (1, 0):
        report = Ingest(IngestRequest(paths=(".",), to="out/"), Registry.discover()).run()
        assert (report.rows, [document.name for document in report.documents]) == (rows, ["./a.json"])
    assert (tmp_path / "ddpm-dead-letters.ndjson").exists()


def test_what_means_nothing_for_the_target_or_the_source_is_refused(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1\n")
    assert refused(registry, tmp_path / "a.txt", to="plain://x", evolve=False) == (
        "--schema is for tables of databases, and sink plain (ddpm-test 1.0) has none"
    )
    database = tmp_path / "x.sqlite"
    assert refused(Registry.discover(), f"sqlite:///{database}", format="csv", table="t", options=("source.query=select 1",)) == (
        "--format has no meaning here: the rows of a query are decoded already"
    )


def test_dead_letters_in_the_file_say_which_table_they_were_meant_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpm_core.engine.dead_letter_file import DeadLetterFile
    from ddpm_core.plugin.database import DeadLetterFilter

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.json").write_text('{"id": 1}\nnot json\n')
    Ingest(IngestRequest(paths=("a.json",), to="out/", table="orders"), Registry.discover()).run()
    [letter] = DeadLetterFile(tmp_path / "ddpm-dead-letters.ndjson").find(DeadLetterFilter(table="orders"))
    assert (letter.target, letter.reason) == ("orders", "json_invalid")

"""From a pipeline's file to a pipeline: every mistake at once, and plugins that are built with what they have to know."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import Field, SecretStr, field_validator

from ddpm_core import (
    BuildContext,
    ConfigError,
    FormatSpec,
    PluginError,
    PluginOptions,
    ProcessorSpec,
    ReadBounds,
    SchemaChange,
    SinkSpec,
    SourceSpec,
    TableOptions,
    hookimpl,
)
from ddpm_core.config.pipeline_file import load_pipeline
from ddpm_core.engine.build import Pipeline
from ddpm_core.engine.compose import RunRequest, compose
from ddpm_core.engine.dead_letter_file import DeadLetterFile
from ddpm_core.registry import Registry
from ddpm_core.schema.declare import TYPE_NAMES as TYPES
from ddpm_core.testing import ForgetfulMemorySink, LineParser, ListSource, MemorySink, MemoryStore, RecordingProcessor


class StreamOptions(PluginOptions):
    topics: tuple[str, ...] = Field(description="Which")
    limit: int = Field(default=1, ge=1, le=9, description="How many")
    password: SecretStr = Field(default=SecretStr(""), description="Opens it")


class CodeOptions(PluginOptions):
    function: str = Field(default="", description="What runs")

    @field_validator("function")
    @classmethod
    def _talks(cls, value: str) -> str:
        if value.startswith("bad"):
            raise ValueError(f"cannot be {value}")
        if value.startswith("boom"):
            raise ZeroDivisionError(value)
        return value


class SafeOptions(PluginOptions):
    safe_to_build: ClassVar[bool] = True
    of: str = Field(default="", description="What")


class StoreOptions(TableOptions):
    positions: bool = Field(default=True, description="Whether it keeps positions")
    url: SecretStr = Field(default=SecretStr("x"), description="Where")


class TopicOptions(PluginOptions):
    guarantee: Literal["exactly_once", "at_least_once"] = Field(default="exactly_once", description="What it gives")


class LettersOptions(PluginOptions):
    topic: str = Field(description="Where")


class PlannedSink(MemorySink):
    def plan(self, data: Any) -> list[SchemaChange]:
        return []


class Doubles:
    """Plugins that note what they were built with."""

    def __init__(self) -> None:
        self.built: list[tuple[str, Any, BuildContext]] = []

    def made(self, name: str, thing: Any) -> Any:
        def build(options: Any, context: BuildContext) -> Any:
            self.built.append((name, options, context))
            if getattr(options, "function", "").startswith("fail"):
                raise KeyError(options.function)
            if name == "stream":
                context.shared["stream"] = True
            return thing(options) if callable(thing) else thing

        return build

    def of(self, name: str) -> tuple[Any, BuildContext]:
        """What the last one of this name was built with."""
        return next((options, context) for built, options, context in reversed(self.built) if built == name)

    @hookimpl
    def ddpm_sources(self) -> Any:
        yield SourceSpec(name="stream", summary="S", endless=True, options=StreamOptions, build=self.made("stream", ListSource()))
        yield SourceSpec(name="list", summary="S", build=self.made("list", ListSource()))
        yield SourceSpec(name="rows", summary="S", decodes=True, build=self.made("rows", ListSource()))

    @hookimpl
    def ddpm_formats(self) -> Any:
        yield FormatSpec(name="line", summary="F", parser=self.made("line", LineParser()))
        yield FormatSpec(name="code", summary="F", options=CodeOptions, parser=self.made("code", LineParser()))

    @hookimpl
    def ddpm_processors(self) -> Any:
        yield ProcessorSpec(name="map", summary="P", options=SafeOptions, build=self.made("map", RecordingProcessor()))
        yield ProcessorSpec(name="python", summary="P", options=CodeOptions, build=self.made("python", RecordingProcessor()))

    @hookimpl
    def ddpm_sinks(self) -> Any:
        def store(options: StoreOptions) -> Any:
            kind = PlannedSink if options.positions else ForgetfulMemorySink
            return kind(MemoryStore(), replace=options.mode == "replace")

        def topic(options: TopicOptions) -> Any:
            return MemorySink(MemoryStore()) if options.guarantee == "exactly_once" else ForgetfulMemorySink(MemoryStore())

        yield SinkSpec(name="store", summary="S", guarantee="exactly_once", options=StoreOptions, build=self.made("store", store))
        yield SinkSpec(
            name="topic",
            summary="S",
            guarantee="exactly_once",
            options=TopicOptions,
            build=self.made("topic", topic),
            dead_letters=self.made("letters", DeadLetterFile(Path("x"))),
            dead_letter_options=LettersOptions,
        )
        yield SinkSpec(name="out", summary="S", build=self.made("out", lambda _: ForgetfulMemorySink(MemoryStore())))


@pytest.fixture
def doubles() -> Doubles:
    return Doubles()


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, doubles: Doubles):
    monkeypatch.chdir(tmp_path)
    registry = Registry()
    registry.add(doubles, entry_point="doubles", distribution="ddpm-doubles", version="1.0")

    def made(text: str, request: RunRequest | None = None, *, load: bool = True, **variables: str) -> Pipeline:
        Path("p.yaml").write_text(text)
        return compose(load_pipeline("p.yaml", environment=variables), registry, request=request, load=load)

    return made


def told(composed: Any, text: str, request: RunRequest | None = None, **variables: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        composed(text, request, **variables)
    return str(caught.value).split("\n")


STREAM = "name: a\nsource: {stream: {topics: [t]}}\nformat: line\n"


def test_a_pipeline_is_built_of_what_the_file_names(composed, doubles):
    text = STREAM + (
        "processors: [map]\n"
        "sinks:\n"
        "  - store: {table: t}\n"
        "    when: x > 1\n"
        "    schema: evolve\n"
        "  - out\n"
        "dead_letter: {file: {path: letters.ndjson}}\n"
        "columns: {ts: timestamp, 'a=b': 'decimal(12,2)'}\n"
        "linger: 10ms\n"
        "in_flight: 1MB\n"
        "reject_limit: {share: 50%, in_a_row: 3}\n"
        "on_error: fail\n"
    )
    made = composed(text)
    assert made.name == "a"
    assert [(use.name, use.when) for use in made.sinks] == [("store", "x > 1"), ("out", "")]
    assert isinstance(made.dead_letters[0], DeadLetterFile)
    assert (made.dead_letters[0].path, made.dead_letters[1]) == (Path("letters.ndjson"), None)
    assert len(made.processors) == 1
    assert (made.settings.linger, made.settings.in_flight_bytes, made.settings.on_error) == (0.01, 1_000_000, "fail")
    assert (made.settings.reject_share, made.settings.reject_run) == (0.5, 3)
    assert made.table == "t"
    context = doubles.of("store")[1]
    assert str(context.columns) == "ts: timestamp[us]\na=b: decimal128(12, 2)"
    assert (context.pipeline, context.evolve, doubles.of("out")[1].evolve) == ("a", True, None)


def test_a_stream_has_no_end_and_waits_for_ever(composed, doubles):
    made = composed(STREAM + "sink: {store: {table: t}}\n")
    assert (made.settings.endless, made.settings.retry_for) == (True, None)
    assert doubles.of("stream")[1].bounds is None


@pytest.mark.parametrize(
    ("request_", "bounds"),
    [
        (RunRequest(until_end=True), ReadBounds()),
        (RunRequest(start=5, as_name="b"), ReadBounds(start=5)),
        (
            RunRequest(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 2, 1, tzinfo=UTC), as_name="b"),
            ReadBounds(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        ),
    ],
)
def test_a_part_of_a_stream_has_an_end(composed, doubles, request_, bounds):
    made = composed(STREAM + "sink: {store: {table: t, mode: upsert, key: [id]}}\n", request_)
    assert (made.settings.endless, made.settings.retry_for) == (False, 60.0)
    assert doubles.of("stream")[1].bounds == bounds


def test_a_source_that_ends_needs_no_bounds(composed, doubles):
    made = composed("name: a\nsource: list\nformat: line\nsink: out\nretry_for: 5s\n")
    assert (made.settings.endless, made.settings.retry_for) == (False, 5.0)
    assert doubles.of("list")[1].bounds == ReadBounds()


def test_what_was_asked_for_wins_over_the_file(composed, doubles):
    made = composed(STREAM + "sink: out\nretry_for: forever\n", RunRequest(until_end=True, retry_for=7, worker=1, workers=3))
    context = doubles.of("stream")[1]
    assert (made.settings.retry_for, context.retry_for, context.worker, context.workers) == (7, 7, 1, 3)
    assert composed(STREAM + "sink: out\nretry_for: forever\n", RunRequest(until_end=True)).settings.retry_for is None


def test_a_run_under_another_name_keeps_positions_of_its_own(composed, doubles):
    made = composed(STREAM + "sink: {store: {table: t, mode: upsert, key: id}}\n".replace("id}", "[id]}"), RunRequest(as_name="b"))
    context = doubles.of("store")[1]
    assert (made.name, context.beside, context.pipeline) == ("b", "a", "b")


@pytest.mark.parametrize(
    ("sinks", "kept", "builds"),
    [
        ("[{store: {table: t}}]", True, 1),
        ("[{store: {table: t, positions: false}}]", False, 2),
        ("[out]", False, 1),
        ("[out, {store: {table: t}}]", True, 1),
        ("[{topic: , guarantee: at_least_once}]", False, 1),
        ("[{topic: {guarantee: at_least_once}}]", False, 2),
    ],
)
def test_the_source_knows_whether_a_sink_keeps_positions(composed, doubles, sinks, kept, builds):
    composed(STREAM + f"sinks: {sinks}\n")
    assert doubles.of("stream")[1].positions_kept is kept
    assert sum(name == "stream" for name, *_ in doubles.built) == builds


def test_plugins_meet_in_what_they_share_and_the_source_comes_first(composed, doubles):
    composed(STREAM + "processors: [map]\nsinks: [{store: {table: t, positions: false}}]\ndead_letter: {topic: {topic: x}}\n")
    shared = doubles.of("stream")[1].shared
    assert shared == {"stream": True}
    assert all(doubles.of(name)[1].shared is shared for name in ("store", "map", "line", "letters"))
    assert [name for name, *_ in doubles.built] == ["stream", "store", "stream", "store", "line", "map", "letters"]


def test_what_is_asked_of_a_sink_reaches_its_option(composed, doubles):
    composed(STREAM + "sinks: [{topic: , guarantee: at_least_once}]\n")
    assert doubles.of("topic")[0].guarantee == "at_least_once"


def test_every_mistake_of_plugins_and_options_is_told_at_once(composed):
    text = """\
name: a
source:
  stream: {topic: t, limit: 10}
format: lin
processors:
  - mapp: {}
  - map: 5
sinks:
  - stor: {}
  - out: {table: t}
    guarantee: exactly_once
  - store: {tabel: t, mode: upsrt}
dead_letter: out
columns: {ts: timestampp}
"""
    source, out, store = (f"{kind} (ddpm-doubles 1.0)" for kind in ("source stream", "sink out", "sink store"))
    assert told(composed, text) == [
        f"p.yaml:3: source.stream: {source} needs the option 'topics'",
        f"p.yaml:3: source.stream.limit: input should be less than or equal to 9 ({source})",
        f"p.yaml:3: source.stream.topic: {source} has no such option (did you mean 'topics'?)",
        "p.yaml:4: format: there is no format 'lin' (Did you mean 'line'? Installed: code, line.)",
        "p.yaml:6: processors[0].mapp: there is no processor 'mapp' (Did you mean 'map'? Installed: map, python.)",
        "p.yaml:7: processors[1].map: options of processor map (ddpm-doubles 1.0) are a mapping, and this is a number",
        "p.yaml:9: sinks[0].stor: there is no sink 'stor' (Did you mean 'store'? Installed: out, store, topic.)",
        f"p.yaml:10: sinks[1].out.table: {out} has no such option (its options: none)",
        f"p.yaml:12: sinks[2].store: {store} needs the option 'table'",
        f"p.yaml:12: sinks[2].store.mode: input should be 'append', 'replace' or 'upsert' ({store})",
        f"p.yaml:12: sinks[2].store.tabel: {store} has no such option (did you mean 'table'?)",
        "p.yaml:13: dead_letter: sink out (ddpm-doubles 1.0) keeps no dead letters (these do: file, topic)",
        f"p.yaml:14: columns.ts: column 'ts' has the unknown type 'timestampp' (did you mean timestamp? Types: {TYPES})",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nsource: list\nsink: out\n", "p.yaml:1: format: is missing (what the source's bytes are in: code, line)"),
        (
            "name: a\nsource: rows\nformat: line\nsink: out\n",
            "p.yaml:3: format: the rows of source rows (ddpm-doubles 1.0) are decoded already (remove format:)",
        ),
        (
            STREAM + "sink: {out: , guarantee: exactly_once}\n",
            "p.yaml:4: sink.guarantee: sink out (ddpm-doubles 1.0) cannot write exactly once (remove guarantee:, or choose another sink)",
        ),
        (
            STREAM + "sink: {store: {table: t, positions: false}, guarantee: exactly_once}\n",
            "p.yaml:4: sink.guarantee: sink store (ddpm-doubles 1.0) cannot write exactly once with these options (remove guarantee:)",
        ),
        (
            STREAM + "sink: {out: , schema: freeze}\n",
            "p.yaml:4: sink.schema: schema is for tables of databases, and sink out (ddpm-doubles 1.0) has none",
        ),
        (
            STREAM + "sink: {store: {table: t, mode: replace}}\n",
            (
                "p.yaml:4: sink.store: all rows are put in place at the end, and this pipeline has none: they would never be seen "
                "(use another mode, or --until-end)"
            ),
        ),
        (STREAM + "sink: {store: {table: t, key: [id]}}\n", "p.yaml:4: sink.store: a key is for mode upsert, not for append (sink store (ddpm-doubles 1.0))"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told(composed, text, message):
    assert told(composed, text) == [message]


def test_a_condition_is_checked_and_the_source_learns_which_metadata_it_names(composed, doubles):
    text = STREAM + "sinks: [{out: , when: '_topic = $$a$$ and x > 1'}]\n"
    assert told(composed, text.replace("> 1", "> (")) == [
        'p.yaml:4: sinks[0].when: it is no SQL expression: syntax error at or near "("'
    ]
    composed(text)
    assert doubles.of("stream")[1].shared["metadata"] == {"_topic"}


def test_a_condition_is_checked_of_a_sink_with_other_mistakes_too(composed):
    assert told(composed, STREAM + "sinks: [{store: {tabel: t}, when: 'x > ('}]\n") == [
        "p.yaml:4: sinks[0].store: sink store (ddpm-doubles 1.0) needs the option 'table'",
        "p.yaml:4: sinks[0].store.tabel: sink store (ddpm-doubles 1.0) has no such option (did you mean 'table'?)",
        'p.yaml:4: sinks[0].when: it is no SQL expression: syntax error at or near "("',
    ]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            RunRequest(start=5),
            "--start and --end read a part of the source again (run it under a name of its own: --as NAME)",
        ),
        (RunRequest(start=5, end=5, as_name="b"), "--start is not before --end"),
        (RunRequest(as_name="a"), "--as a is the name of another pipeline (choose a name of its own, such as backfill-1)"),
        (
            RunRequest(as_name="ingest"),
            "--as ingest is the name of another pipeline (choose a name of its own, such as backfill-1)",
        ),
        (
            RunRequest(as_name="a b"),
            "--as takes a name of up to 100 letters, digits, _, - and dots, which begins with a letter or digit",
        ),
    ],
)
def test_what_cannot_be_asked_for(composed, request_, message):
    assert told(composed, STREAM + "sink: out\n", request_) == [message]


def test_a_part_of_a_source_that_ends_cannot_be_asked_for(composed):
    message = "--start and --end are for sources that never end, and source list (ddpm-doubles 1.0) does (remove them)"
    assert told(composed, "name: a\nsource: list\nformat: line\nsink: out\n", RunRequest(start=1, as_name="b")) == [message]


def test_a_backfill_adds_no_rows_to_the_table_of_the_live_pipeline(composed):
    message = (
        "p.yaml:4: sink.store.table: with --as b rows would be added to the table that a adds the same rows to "
        "(use mode upsert with a key, or name the table by a variable such as ${TABLE:logins})"
    )
    assert told(composed, STREAM + "sink: {store: {table: t}}\n", RunRequest(as_name="b")) == [message]
    composed(STREAM + "sink: {store: {table: '${TABLE}'}}\n", RunRequest(as_name="b"), TABLE="other")


def test_numbers_are_text_where_text_is_wanted(composed, doubles):
    composed(STREAM.replace("[t]", "[0123, 1.10, true]").replace("]}", "], password: 007}") + "sink: {store: {table: 2026}}\n")
    options = doubles.of("stream")[0]
    assert options.topics == ("0123", "1.10", "true")
    assert options.password.get_secret_value() == "007"
    assert doubles.of("store")[0].table == "2026"


def test_variables_are_typed_by_the_options(composed, doubles):
    composed(STREAM.replace("]}", "], limit: '${N}'}") + "sink: {store: {table: t, positions: '${P}'}}\n", N="7", P="false")
    assert doubles.of("stream")[0].limit == 7
    assert doubles.of("store")[0].positions is False


def test_a_variable_without_content_costs_no_further_message(composed):
    text = "name: a\nsource: {stream: {topics: ['${T}'], limit: '${L}'}}\nformat: '${F}'\nsink: {store: {table: '${U}', mode: '${M}'}}\n"
    assert [line.partition("the variable ")[2][:1] for line in told(composed, text)] == ["T", "L", "F", "U", "M"]


def test_no_code_that_the_file_names_is_loaded_to_check_it(composed, doubles):
    text = STREAM.replace("format: line", "format: {code: {function: evil}}") + "processors: [python, map]\nsink: out\n"
    composed(text, load=False)
    assert {name for name, *_ in doubles.built} == {"stream", "out", "map"}
    composed(text)
    assert {name for name, *_ in doubles.built} == {"stream", "out", "map", "code", "python"}


def test_no_secret_is_in_any_message(composed, tmp_path):
    (tmp_path / "secret").write_text("badcanary1\n")
    variables = {
        "FORMAT": "canary2", "DB_PASSWORD": "badcanary3", "LIMIT": "canary4", "MODE": "canary5", "KIND": "canary6", "NAME": "canary/7",
        "LINGER": "canary8", "TYPE": "canary9", "FN_FILE": "secret", "SINK": "canary0",
    }  # fmt: skip
    text = """\
name: ${NAME}
source: {stream: {topics: [t], limit: "${LIMIT}", password: [canaryA], canaryless: 1}}
format: ${FORMAT}
processors:
  - python: {function: "${FN}"}
  - python: {function: "${DB_PASSWORD}"}
sinks:
  - store: {table: t, mode: "${MODE}", url: "postgresql://u:canaryB@h"}
    schema: ${KIND}
  - ${SINK}
columns: {ts: "${TYPE}"}
linger: ${LINGER}
"""
    lines = told(composed, text, **variables)
    assert len(lines) == 12
    leaking = [line for line in lines if "canary" in line.replace("canaryless", "")]
    assert leaking == []
    assert "p.yaml:5: processors[0].python.function: cannot be *** (processor python (ddpm-doubles 1.0))" in lines


def test_no_secret_is_in_the_error_of_a_plugin_that_fails(composed):
    text = STREAM + "processors: [{python: {function: '${A_TOKEN}'}}]\nsink: out\n"
    for content in ("boom-canary", "fail-canary"):
        with pytest.raises(PluginError) as caught:
            composed(text, A_TOKEN=content)
        assert caught.value.message in (
            "processor python (ddpm-doubles 1.0) failed: ZeroDivisionError: ***",
            "processor python (ddpm-doubles 1.0) failed: KeyError: '***'",
        )
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


def test_a_plugin_that_fails_is_named_with_its_cause(composed):
    with pytest.raises(PluginError) as caught:
        composed(STREAM + "processors: [{python: {function: fail}}]\nsink: out\n")
    assert caught.value.message == "processor python (ddpm-doubles 1.0) failed: KeyError: 'fail'"
    assert isinstance(caught.value.__cause__, KeyError)

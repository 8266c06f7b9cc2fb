"""Rows to standard output: what comes out, when, and what happens when nobody reads any more."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ddpm_core import Batch, BuildContext, ConfigError, DataError, DocumentWriter, FatalError, OutputFormat, Serializer, Sink
from ddpm_core.config.options import check_options
from ddpm_core.plugin.specs import resolve
from ddpm_core.registry import Registry
from ddpm_core.testing import SinkCapabilities, SinkConformance
from ddpm_stdout.options import StdoutOptions
from ddpm_stdout.sink import StdoutSink, build
from ddpm_text.lines_serializer import build as build_lines
from ddpm_text.options import LinesOptions


def output(name: str, options: Mapping[str, Any]) -> OutputFormat:
    """A format as the engine hands it out."""
    registry = Registry()
    registry.add(importlib.import_module(f"ddpm_{name}.plugin"), entry_point=name, distribution="ddpm-core", version="0")
    spec = registry.format(name).spec
    assert spec.serializer is not None
    return OutputFormat(
        name,
        spec.suffixes[0],
        resolve(spec.serializer)(check_options(spec.options_model(), options, owner=name), BuildContext()),
    )


class TextSerializer(Serializer):
    """A format with a header, as csv is; refuses rows with `bad` in them."""

    def serialize_rows(self, data: pa.RecordBatch) -> list[bytes]:
        rows = [",".join("" if value is None else str(value) for value in row.values()) for row in data.to_pylist()]
        if any("bad" in row for row in rows):
            raise DataError("a row is bad", reason="value_unsupported")
        return [f"{row}\n".encode() for row in rows]

    def document_writer(self, stream: Any, schema: pa.Schema) -> DocumentWriter:
        if any(pa.types.is_list(field.type) for field in schema):
            raise DataError("lists cannot be written", reason="type_unsupported")
        return TextWriter(self, stream, schema)


class TextWriter(DocumentWriter):
    def __init__(self, serializer: TextSerializer, stream: Any, schema: pa.Schema) -> None:
        self._serializer, self._stream = serializer, stream
        stream.write((",".join(schema.names) + "\n").encode())

    def write(self, data: pa.RecordBatch) -> None:
        self._stream.write(b"".join(self._serializer.serialize_rows(data)))

    def close(self) -> None:
        self._stream.write(b"end\n")


TEXT = OutputFormat("text", ".txt", TextSerializer())


class TestStdout(SinkConformance):
    plugin = "ddpm_stdout.plugin"
    name = "stdout"
    capabilities = SinkCapabilities(transactional=False, types=("bool", "integers", "text"), refuses_rows=False)

    @pytest.fixture
    def target_options(self) -> Mapping[str, Any]:
        self.stream = io.BytesIO()
        return {}

    def build_sink(self, target_options: Mapping[str, Any]) -> Sink:
        return StdoutSink(output("json", {}), self.stream)

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def opened(made: OutputFormat, stream: Any) -> StdoutSink:
    sink = StdoutSink(made, stream)
    sink.open()
    return sink


def rows(**columns: list[Any]) -> Batch:
    return Batch(pa.RecordBatch.from_pydict(columns))


def test_json_takes_rows_of_any_columns() -> None:
    stream = io.BytesIO()
    sink = opened(output("json", {}), stream)
    assert sink.write(rows(a=[1, 2])) == []
    assert sink.write(rows(b=["x"])) == []
    sink.flush()
    sink.close()
    assert stream.getvalue() == b'{"a":1}\n{"a":2}\n{"b":"x"}\n'


def test_a_format_with_a_header_keeps_the_columns_it_began_with() -> None:
    stream = io.BytesIO()
    sink = opened(TEXT, stream)
    assert sink.write(rows(a=[1], b=["x"])) == []
    assert sink.write(rows(b=["y", None], c=[None, 5])) != []
    rejects = sink.write(rows(a=["7", "no number"], c=[None, 5]))
    assert [(r.index, r.reason) for r in rejects] == [(0, "type_mismatch"), (1, "type_mismatch")]
    assert rejects[0].message.startswith("column 'a' is int64 in the document begun, and string here: ")
    assert sink.write(rows(a=["8"])) == []
    sink.close()
    assert stream.getvalue() == b"a,b\n1,x\n,y\n8,\nend\n"


def test_csv_has_one_header() -> None:
    stream = io.BytesIO()
    sink = opened(output("csv", {}), stream)
    for batch in (rows(a=[1, 2], b=["x", "y"]), rows(b=["z"]), rows(a=[3], b=["w"])):
        assert sink.write(batch) == []
    sink.close()
    assert stream.getvalue().decode().split() == ["a,b", "1,x", "2,y", ",z", "3,w"]


def test_a_value_in_a_further_column_sets_its_row_aside() -> None:
    sink = opened(TEXT, io.BytesIO())
    sink.write(rows(a=[1]))
    rejects = sink.write(rows(a=[2, 3], c=[None, 5]))
    assert [(r.index, r.reason, r.message) for r in rejects] == [(1, "unknown_column", "the document begun has no column 'c'")]


def test_a_row_that_the_format_refuses_does_not_cost_its_neighbours() -> None:
    stream = io.BytesIO()
    sink = opened(TEXT, stream)
    rejects = sink.write(rows(a=["bad", "1", "2", "bad", "3"]))
    assert [(r.index, r.reason, r.message) for r in rejects] == [
        (0, "value_unsupported", "a row is bad"),
        (3, "value_unsupported", "a row is bad"),
    ]
    assert stream.getvalue() == b"a\n1\n2\n3\n"


def test_columns_that_the_format_cannot_write_stop_the_run() -> None:
    stream = io.BytesIO()
    with pytest.raises(ConfigError) as caught:
        opened(TEXT, stream).write(rows(a=[[1], [2]]))
    assert str(caught.value) == (
        f"format {TEXT.name} cannot write these columns: lists cannot be written\n"
        "Choose another format, such as -o sink.format=json."
    )
    assert stream.getvalue() == b""


def test_lines_of_several_columns_say_what_to_do() -> None:
    lines = OutputFormat("lines", ".txt", build_lines(LinesOptions(), BuildContext()))
    with pytest.raises(ConfigError) as caught:
        opened(lines, io.BytesIO()).write(rows(a=["1"], b=["2"]))
    assert str(caught.value) == (
        "format lines cannot write these columns: the format lines writes one column, and the rows have 2: a, b\n"
        "Say which one with the option column. Or choose another format, such as -o sink.format=json."
    )


@pytest.mark.parametrize("name", ["parquet", "avro", "arrow"])
def test_formats_that_write_in_blocks_are_refused(name: str) -> None:
    stream = io.BytesIO()
    with pytest.raises(ConfigError) as caught:
        opened(output(name, {}), stream).write(rows(a=[1]))
    assert str(caught.value) == (
        f"format {name} writes rows in blocks, so it cannot be streamed to standard output\n"
        "Write it to a folder, such as --to out/, or choose another one, such as -o sink.format=json."
    )
    assert stream.getvalue() == b""


def test_a_closed_pipe_ends_the_run_and_says_why() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb", buffering=0) as pipe:
        sink = opened(output("json", {}), pipe)
        with pytest.raises(FatalError) as caught:
            sink.write(rows(a=[1]))
        sink.rollback()
        sink.close()
    assert str(caught.value) == "whoever read standard output has closed it"
    assert isinstance(caught.value.__cause__, BrokenPipeError)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_said() -> None:
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(FatalError) as caught:
        opened(output("json", {}), full).write(rows(a=[1]))
    assert str(caught.value) == "standard output cannot be written: no space left on device\nFree space there."


def test_it_writes_to_standard_output_of_the_process() -> None:
    code = """
import pyarrow as pa
from ddpm_core import Batch, OutputFormat, BuildContext
from ddpm_json.options import JsonOptions
from ddpm_json.serializer import build as serializer
from ddpm_stdout.sink import StdoutSink
sink = StdoutSink(OutputFormat("json", ".json", serializer(JsonOptions(), BuildContext())))
sink.open()
sink.write(Batch(pa.RecordBatch.from_pydict({"a": [1]})))
sink.commit({}, [])
sink.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=240)
    assert done.stdout == b'{"a":1}\n'


def test_the_options_name_a_format() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    def give(name: str, options: Mapping[str, Any]) -> OutputFormat:
        asked.append((name, dict(options)))
        return TEXT

    for given in ("csv", '{"csv": {"delimiter": ";"}}', {"csv": None}, "ndjson"):
        build(check_options(StdoutOptions, {"format": given}, owner="sink stdout"), BuildContext(output=give))
    assert asked == [("csv", {}), ("csv", {"delimiter": ";"}), ("csv", {}), ("json", {})]
    with pytest.raises(ConfigError, match=r"^sink stdout, option 'format': is the name of one format, or a mapping"):
        check_options(StdoutOptions, {"format": {"a": {}, "b": {}}}, owner="sink stdout")
    with pytest.raises(ConfigError, match=r"^sink stdout, option 'format': a format with options is written as JSON, such as "):
        check_options(StdoutOptions, {"format": "{csv"}, owner="sink stdout")

"""What the kit promises of every sink, kept by `files` with formats that keep types, and with one that keeps none."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddpm_core import BuildContext, OutputFormat, Sink
from ddpm_core.config.options import check_options
from ddpm_core.plugin.specs import resolve
from ddpm_core.registry import Registry
from ddpm_core.testing import SinkCapabilities, SinkConformance


def output(name: str, options: Mapping[str, Any]) -> OutputFormat:
    """A format as the engine hands it out."""
    registry = Registry()
    module = importlib.import_module(f"ddpm_{name}.plugin")
    registry.add(module, entry_point=name, distribution="ddpm-core", version="0")
    spec = registry.format(name).spec
    assert spec.serializer is not None
    made = resolve(spec.serializer)(check_options(spec.options_model(), options, owner=name), BuildContext())
    return OutputFormat(name, spec.suffixes[0], made)


def published(folder: Path, suffix: str) -> Iterator[Path]:
    """The files that a reader finds."""
    return (path for path in sorted(folder.rglob(f"*{suffix}")) if "_ddpm" not in path.parts)


class _Files(SinkConformance):
    plugin = "ddpm_files.plugin"
    name = "files"

    @pytest.fixture
    def target_options(self, tmp_path: Path) -> Mapping[str, Any]:
        return {"path": str(tmp_path / "out"), "table": "events", "format": self.format}

    format = "parquet"

    def build_sink(self, target_options: Mapping[str, Any]) -> Sink:
        sink = self.made(self.spec().build, target_options, BuildContext(pipeline="kit", output=output))
        assert isinstance(sink, Sink)
        return sink

    def folder(self, target_options: Mapping[str, Any]) -> Path:
        return Path(target_options["path"], "events")


class TestParquetFiles(_Files):
    capabilities = SinkCapabilities(refuses_rows=False, fills={"target_bytes": 20_000})

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for path in published(self.folder(target_options), ".parquet"):
            rows += pq.ParquetFile(path).read().to_pylist()
        return rows


class TestNdjsonFiles(_Files):
    capabilities = SinkCapabilities(refuses_rows=False, fills={"target_bytes": 20_000}, types=("bool", "integers", "text"))
    format = "ndjson"

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for path in published(self.folder(target_options), ".ndjson")
            for line in path.read_bytes().splitlines()
        ]


class TestPartitionedFiles(TestParquetFiles):
    """The same promises, with every row in a folder of its value."""

    capabilities = SinkCapabilities(refuses_rows=False, fills={"target_bytes": 2_000})

    def read_rows(self, target_options: Mapping[str, Any]) -> list[dict[str, Any]]:
        for path in published(self.folder(target_options), ".parquet"):
            assert path.parent.name.startswith("id="), path
        return super().read_rows(target_options)

    @pytest.fixture
    def target_options(self, tmp_path: Path) -> Mapping[str, Any]:
        return {"path": str(tmp_path / "out"), "table": "events", "partition_by": "id", "keep_partition_columns": True}

    def test_hostile_column_names(self) -> None:  # type: ignore[override]
        pytest.skip("the data of this test has no column to partition by")

    def test_a_batch_as_large_as_they_come_lands(self) -> None:  # type: ignore[override]
        pytest.skip("each of its rows would be a file")


def test_the_helper_sees_no_staged_files(tmp_path: Path) -> None:
    (tmp_path / "_ddpm").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "_ddpm" / "x.parquet")
    assert list(published(tmp_path, ".parquet")) == []

"""The plugin keeps what the contract of a source promises."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ddpm_core.testing import Content, SourceCapabilities, SourceConformance


class TestFilesKeepTheContract(SourceConformance):
    plugin = "ddpm_files.plugin"
    name = "files"
    capabilities = SourceCapabilities(missing={"paths": ("/nowhere/at/all",)})

    @pytest.fixture
    def content(self, tmp_path: Path) -> Content:
        documents = {str(tmp_path / name): name.encode() * 100_000 for name in ("a", "b#2", "c")}
        for name, data in documents.items():
            Path(name).write_bytes(data)
        return Content({"paths": (str(tmp_path),)}, documents)

    def add_to(self, content: Content) -> Content:
        name = str(Path(content.options["paths"][0]) / "d")
        Path(name).write_bytes(b"another file")
        return Content(content.options, {**content.documents, name: b"another file"})


class TestCompressedFilesKeepTheContract(SourceConformance):
    plugin = "ddpm_files.plugin"
    name = "files"
    capabilities = SourceCapabilities(missing={"paths": ("/nowhere/at/all.gz",)})

    @pytest.fixture
    def content(self, tmp_path: Path) -> Content:
        documents = {str(tmp_path / name): name.encode() * 100_000 for name in ("a.gz", "b#2.gz", "c.gz")}
        for name, data in documents.items():
            Path(name).write_bytes(gzip.compress(data))
        return Content({"paths": (str(tmp_path),)}, documents)

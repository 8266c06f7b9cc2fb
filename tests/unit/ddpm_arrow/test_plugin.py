"""The plugin keeps what the contract of a format promises."""

from __future__ import annotations

import io
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_arrow.plugin import ddpm_formats
from ddpm_core.testing import TYPE_FAMILIES, FormatCapabilities, FormatConformance, Sample

ROWS = [{"id": n, "name": f"row {n}", "tags": ["a", None][: n % 3], "at": {"x": n / 2}} for n in range(9)]


def _bytes(make: Any, table: pa.Table, rows: int, **options: Any) -> bytes:
    stream = io.BytesIO()
    with make(stream, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return stream.getvalue()


def _damaged() -> pa.Table:
    texts = pa.Array.from_buffers(pa.string(), 6, pa.array([b"a", b"\xff", b"c"] * 2).buffers())
    return pa.table({"n": range(6), "s": texts})


GOOD = pa.Table.from_pylist(ROWS)
KEPT = [{"n": n, "s": "ac"[n % 3 // 2]} for n in (0, 2, 3, 5)]
CAPABILITIES = FormatCapabilities(keeps_neighbours=True, cuts_at_batch_rows=True, streams=True, round_trip=TYPE_FAMILIES)


class TestFilesKeepTheContract(FormatConformance):
    plugin = "ddpm_arrow.plugin"
    name = "arrow"
    capabilities = CAPABILITIES
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample(_bytes(pa.ipc.new_file, GOOD, 4), ROWS),
        Sample(_bytes(pa.ipc.new_file, GOOD, 4, compression="lz4"), ROWS),
        Sample(_bytes(pa.ipc.new_file, _damaged(), 4), KEPT, rejects=[(1, "encoding"), (4, "encoding")], payloads=()),
    )

    def large_document(self) -> bytes:
        return _bytes(pa.ipc.new_file, pa.table({"n": pc.random(1_600_000, initializer=0)}), 100_000)


class TestStreamsKeepTheContract(FormatConformance):
    plugin = "ddpm_arrow.plugin"
    name = "arrow"
    options: ClassVar[dict[str, Any]] = {"compression": "none"}
    capabilities = CAPABILITIES
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample(_bytes(pa.ipc.new_stream, GOOD, 4), ROWS),
        Sample(_bytes(pa.ipc.new_stream, GOOD, 4, compression="zstd"), ROWS),
        Sample(_bytes(pa.ipc.new_stream, GOOD, 4)[:-8], ROWS),
        Sample(_bytes(pa.ipc.new_stream, GOOD, 4) + b"\0", ROWS, payloads=(), error="trailing_bytes"),
        Sample(_bytes(pa.ipc.new_stream, _damaged(), 4), KEPT, rejects=[(1, "encoding"), (4, "encoding")], payloads=()),
    )

    def large_document(self) -> bytes:
        return _bytes(pa.ipc.new_stream, pa.table({"n": pc.random(1_600_000, initializer=0)}), 100_000)


def test_suffixes_and_magic_lead_to_this_format() -> None:
    (spec,) = ddpm_formats()
    assert spec.suffixes == (".arrow", ".arrows", ".feather", ".ipc")
    assert spec.magic == (b"ARROW1", b"FEA1")

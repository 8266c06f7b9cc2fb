"""The plugin keeps what the contract of a format promises."""

from __future__ import annotations

import io
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ddpm_core.testing import TYPE_FAMILIES, FormatCapabilities, FormatConformance, Sample
from ddpm_parquet.plugin import ddpm_formats


def _file(table: pa.Table, **options: Any) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, write_page_checksum=True, **options)
    return stream.getvalue()


def _damaged() -> tuple[pa.Table, bytes]:
    table = pa.table({"n": range(6), "s": pa.Array.from_buffers(pa.string(), 6, pa.array([b"a", b"\xff", b"c"] * 2).buffers())})
    return table, _file(table, row_group_size=4)


ROWS = [{"id": n, "name": f"row {n}", "tags": ["a", None][: n % 3], "at": {"x": n / 2}} for n in range(9)]


class TestParquetKeepsTheContract(FormatConformance):
    plugin = "ddpm_parquet.plugin"
    name = "parquet"
    samples: ClassVar[tuple[Sample, ...]] = (
        Sample(_file(pa.Table.from_pylist(ROWS), row_group_size=4), ROWS),
        Sample(
            _damaged()[1],
            [{"n": n, "s": "ac"[n % 3 // 2]} for n in (0, 2, 3, 5)],
            rejects=[(1, "encoding"), (4, "encoding")],
            payloads=(),
        ),
    )

    def large_document(self) -> bytes:
        return _file(pa.table({"n": pc.random(1_600_000, initializer=0)}), compression="none", use_dictionary=False)

    capabilities = FormatCapabilities(keeps_neighbours=True, cuts_at_batch_rows=True, streams=True, round_trip=TYPE_FAMILIES)


def test_suffixes_and_magic_lead_to_this_format() -> None:
    (spec,) = ddpm_formats()
    assert spec.suffixes == (".parquet", ".pq", ".parq")
    assert spec.magic == (b"PAR1",)

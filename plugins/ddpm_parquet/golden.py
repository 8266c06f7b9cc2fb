"""Golden messages of the format `parquet`: each one a whole file."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ddpm_core.testing import GoldenMessage, GoldenMessages

_TYPES = {"id": pa.int64(), "name": pa.string(), "amount": pa.float64(), "country": pa.string()}


def golden_messages(_: str) -> GoldenMessages:
    """The golden messages of the one format of this plugin."""
    first = _rows(range(1, 4), ("name", "amount"))
    good = [_message(first), _message(_rows(range(4, 2_000), ("name", "amount")), row_group_size=500), _message([])]
    file = good[0].payload or b""
    return GoldenMessages(
        good=good,
        evolving=[
            _message(_rows(range(2_000, 2_003), ("name", "country"))),
            _message(_rows(range(2_003, 2_005), ("country", "name", "amount"))),
        ],
        bad=[
            GoldenMessage(b"", reason="parquet_truncated"),
            GoldenMessage(b"PAR1", reason="parquet_truncated"),
            GoldenMessage(file[:-30], reason="parquet_truncated"),
            GoldenMessage(b'{"id":1}', reason="wrong_format"),
            GoldenMessage(None, reason="no_value"),
        ],
    )


def _rows(numbers: range, names: tuple[str, ...]) -> list[dict[str, Any]]:
    values = {"name": "żółć {}", "amount": 0.5, "country": "PL"}
    return [
        {"id": n} | {name: values[name].format(n) if name == "name" else values[name] for name in names}  # type: ignore[attr-defined]
        for n in numbers
    ]


def _message(rows: list[dict[str, Any]], **how: Any) -> GoldenMessage:
    names = list(rows[0]) if rows else ["id", "name"]
    table = pa.Table.from_pylist(rows, schema=pa.schema([(name, _TYPES[name]) for name in names]))
    stream = io.BytesIO()
    pq.write_table(table, stream, **how)
    return GoldenMessage(stream.getvalue(), rows)

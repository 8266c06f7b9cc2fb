"""Reading starts with little, and what of pyarrow it relies on is there."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ddpm_parquet.reader import open_reader


def test_a_file_is_read_without_pyarrows_file_systems(tmp_path: Path) -> None:
    """They come with the client of S3 and what TLS needs, a third of what pyarrow takes to start."""
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), tmp_path / "a.parquet")
    code = (
        "import sys\n"
        "from ddpm_core import BuildContext, Document, Position\n"
        "from ddpm_parquet.options import ParquetOptions\n"
        "from ddpm_parquet.parser import build\n"
        "parser = build(ParquetOptions(), BuildContext())\n"
        "with open(sys.argv[1], 'rb') as stream:\n"
        "    steps = list(parser.parse_document(Document('a', 'a', stream, Position(0), 0)))\n"
        "print([step.data.to_pydict() for step in steps], [name for name in sys.argv[2:] if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.parquet"), "pyarrow.fs", "pyarrow.parquet", "ssl", "pyarrow.compute"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)

    assert (done.stdout, done.stderr) == ("[{'a': [1, 2], 'b': ['x', 'y']}] []\n", "")


def test_it_reads_what_pyarrows_own_file_reads() -> None:
    stream = io.BytesIO()
    table = pa.table({"a": pa.array([1, None, 3]), "u": pa.array([b"0" * 16] * 3, pa.uuid()), "t": ["x", "y", None]})
    pq.write_table(table, stream, row_group_size=2)
    ours, theirs = open_reader(stream), pq.ParquetFile(stream)
    assert ours.schema_arrow == theirs.schema_arrow == table.schema
    assert ours.metadata == theirs.metadata
    found = [batch for group in range(2) for batch in ours.iter_batches(1, [group], None, False)]
    assert found == list(theirs.iter_batches(1))

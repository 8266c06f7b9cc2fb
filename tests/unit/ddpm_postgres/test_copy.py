"""The bytes of COPY."""

from __future__ import annotations

import struct
from decimal import Decimal

import pyarrow as pa
import pytest

from ddpm_postgres import copy
from ddpm_postgres.copy import CopyStream, NotEncodableError, encoding_for, stream

SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)


def _all(rows: CopyStream) -> bytes:
    return b"".join(iter(rows.read, b""))


def _fields(data: bytes, columns: int) -> list[list[bytes | None]]:
    """A binary COPY, taken apart by the format's documentation; it must be complete."""
    assert data.startswith(SIGNATURE)
    at, rows = len(SIGNATURE), []
    while True:
        (count,) = struct.unpack_from(">h", data, at)
        at += 2
        if count == -1:
            assert at == len(data)
            return rows
        assert count == columns
        rows.append([])
        for _ in range(count):
            (size,) = struct.unpack_from(">i", data, at)
            at += 4
            rows[-1].append(None if size < 0 else data[at : at + size])
            at += max(size, 0)


def test_binary_copy_is_complete_whatever_the_size_of_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Postgres takes a binary COPY without its end for complete, so nothing but the rows themselves would tell."""
    data = pa.record_batch({"a": pa.array([1, None, 3], pa.int32()), "b": ["x", "", None]})
    expected = [[b"\0\0\0\1", b"x"], [None, b""], [b"\0\0\0\3", None]]
    for piece_bytes in (1, 10, 1 << 20):
        monkeypatch.setattr(copy, "PIECE_BYTES", piece_bytes)
        assert _fields(_all(stream(data, {"a": "binary", "b": "binary"}, "binary")), 2) == expected
        assert _fields(_all(stream(data.slice(1), {"a": "binary", "b": "binary"}, "binary")), 2) == expected[1:]


def test_no_piece_is_empty_before_the_end() -> None:
    assert _all(CopyStream(iter([b"", b"a", b"", b"", b"b"]))) == b"ab"


def test_jsonb_has_its_version_and_json_and_uuid_have_none() -> None:
    data = pa.record_batch(
        [pa.array(["1"], pa.json_()), pa.array(["1"], pa.json_()), pa.array([bytes(16)], pa.uuid())], names=["b", "j", "u"]
    )
    assert _fields(_all(stream(data, {"b": "jsonb", "j": "binary", "u": "binary"}, "binary")), 3) == [[b"\x011", b"1", bytes(16)]]


def test_names_of_columns_do_not_matter() -> None:
    data = pa.record_batch([pa.array([1]), pa.array([Decimal("1.5")])], names=["", 'a"\n'])
    assert len(_fields(_all(stream(data, {"": "binary", 'a"\n': "binary"}, "binary")), 2)) == 1


def test_one_column_that_goes_as_text_makes_the_batch_text() -> None:
    data = pa.record_batch({"a": [1], "b": ["x"]})
    assert encoding_for(data, {"a": "binary", "b": "binary", "elsewhere": "text"}) == "binary"
    assert encoding_for(data, {"a": "binary", "b": "text"}) == "csv"


def test_values_that_cannot_be_encoded_are_said_and_not_swallowed() -> None:
    days = pa.array([-(2**31)], pa.int32()).cast(pa.date32())
    rows = stream(pa.record_batch({"d": days}), {"d": "binary"}, "binary")
    with pytest.raises(NotEncodableError, match="Underflow"):
        _all(rows)
    assert isinstance(rows.error, NotEncodableError)


def test_an_interrupt_while_encoding_stays_one() -> None:
    def pieces():  # type: ignore[no-untyped-def]
        yield b"a"
        raise KeyboardInterrupt

    rows = CopyStream(pieces())
    with pytest.raises(KeyboardInterrupt):
        _all(rows)
    assert isinstance(rows.error, KeyboardInterrupt)

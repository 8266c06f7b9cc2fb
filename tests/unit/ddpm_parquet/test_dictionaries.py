"""The longest text of a dictionary is found, and never a shorter one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, DataError
from ddpm_parquet import pacing
from ddpm_parquet.chunks import Chunk, chunks_of
from ddpm_parquet.dictionaries import longest_text
from ddpm_parquet.errors import translated
from ddpm_parquet.options import ParquetOptions
from ddpm_parquet.pacing import Pacer
from ddpm_parquet.pages import Page, PageError, pages
from tests.examples import examples

CODECS = ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]
TEXTS = st.lists(st.none() | st.text(max_size=40) | st.just("ü" * 3_000), min_size=1, max_size=60)


def file_of(table: pa.Table, **options: Any) -> io.BytesIO:
    out = io.BytesIO()
    pq.write_table(table, out, **{"dictionary_pagesize_limit": 1 << 30, **options})
    return out


def text_chunks(stream: io.BytesIO, group: int = 0) -> list[Chunk]:
    return [chunk for chunk in chunks_of("f.parquet", stream, pq.ParquetFile(stream).metadata, group) if chunk.text]


def longest(stream: io.BytesIO, group: int = 0) -> list[int]:
    """What is found for each column of texts, all of which must have a dictionary."""
    found = text_chunks(stream, group)
    assert [len(chunk.dictionaries) for chunk in found] == [1] * len(found)
    return [longest_text(stream, chunk.dictionaries[0], chunk.codec) for chunk in found]


def by_reading(stream: io.BytesIO, group: int = 0) -> list[int]:
    """The same, by what pyarrow makes of the first row when it reads dictionaries as such."""
    paths = [chunk.path for chunk in text_chunks(stream, group)]
    file = pq.ParquetFile(stream, read_dictionary=paths, arrow_extensions_enabled=False)
    batch = next(file.iter_batches(batch_size=1, row_groups=[group], columns=paths, use_threads=False))
    found = [leaf.dictionary for column in batch.columns for leaf in leaves(column)]
    return [pc.max(pc.binary_length(texts)).as_py() or 0 for texts in found]


def leaves(array: pa.Array) -> Iterator[pa.Array]:
    kind = array.type
    if pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from leaves(array.field(number))
    elif pa.types.is_map(kind):
        yield from leaves(array.keys)
        yield from leaves(array.items)
    elif pa.types.is_nested(kind):
        yield from leaves(array.values)
    else:
        yield array


@settings(max_examples=examples(100), deadline=None)
@given(
    texts=TEXTS,
    binary=st.booleans(),
    codec=st.sampled_from(CODECS),
    version=st.sampled_from(["1.0", "2.0"]),
    checksum=st.booleans(),
)
def test_the_longest_of_all_is_found(texts: list[str | None], binary: bool, codec: str, version: str, checksum: bool) -> None:
    column = pa.array(texts, pa.string())
    table = pa.table({"n": range(len(texts)), "s": column.cast(pa.binary()) if binary else column})
    stream = file_of(table, compression=codec, data_page_version=version, write_page_checksum=checksum)
    assert longest(stream) == [max(len((text or "").encode()) for text in texts)]
    assert longest(stream) == by_reading(stream)


@pytest.mark.parametrize("store_schema", [True, False])
def test_it_is_found_within_every_type(store_schema: bool) -> None:
    texts = ["", "a", "b" * 700, "ä" * 30]
    rows = [[text, text + "!"] for text in texts]
    table = pa.table(
        {
            "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts)),
            "struct": [{"a": text + "12", "n": 1, "b": {"c": [text + "123"]}} for text in texts],
            "list": [[[item + "1234"] for item in row] for row in rows],
            "map": pa.array([[("key", text + "123456")] for text in texts], pa.map_(pa.string(), pa.large_string())),
            "words": pa.array(texts).dictionary_encode(),
        }
    )
    stream = file_of(table, store_schema=store_schema)
    assert longest(stream) == [700, 702, 703, 705, 3, 706, 700]
    assert longest(stream) == by_reading(stream)


def test_each_row_group_has_its_own() -> None:
    stream = file_of(pa.table({"s": ["a" * n for n in range(100)]}), row_group_size=40)
    assert [longest(stream, group) for group in range(3)] == [[39], [79], [99]]


def test_a_dictionary_of_more_texts_than_are_read_at_once() -> None:
    texts = [f"{n:08}" for n in range(150_000)]
    for place in (0, 70_000, -1):
        held = texts.copy()
        held[place] = "x" * 9
        assert longest(file_of(pa.table({"s": held}))) == [9]


def test_a_dictionary_without_texts() -> None:
    assert longest(file_of(pa.table({"s": pa.array([None, None], pa.string()), "e": ["", ""]}))) == [0, 0]


def test_a_column_that_gave_its_dictionary_up_has_that_one() -> None:
    texts = ["x" * 50, *(f"{n:09}" for n in range(3_000)), "y" * 400]
    stream = file_of(pa.table({"s": texts}), dictionary_pagesize_limit=1_000, data_page_size=1_000, write_batch_size=10)
    assert longest(stream) == by_reading(stream) == [50], "the others take no more room than in their pages"


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4_raw"])
def test_files_of_duckdb(codec: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    query = "select repeat('x', n % 90) as s, [repeat('é', n % 50)] as l, encode(repeat('y', n % 7)) as b from range(20000) r(n)"
    with duckdb.connect() as connection:
        connection.execute(f"copy ({query}) to '{path}' (format parquet, compression {codec})")
    stream = io.BytesIO(path.read_bytes())
    assert longest(stream) == by_reading(stream) == [89, 98, 6]


def test_the_older_lz4_has_no_name_and_is_read() -> None:
    data = file_of(pa.table({"s": ["abc" * 100] * 50}), compression="lz4", store_schema=False).getvalue()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    names = {}
    for place in (at for at in range(footer, len(data)) if data[at] == 14):  # 7, LZ4_RAW, as Thrift writes it; 10 is 5, LZ4.
        stream = io.BytesIO(data[:place] + b"\x0a" + data[place + 1 :])
        try:
            names[pq.ParquetFile(stream).metadata.row_group(0).column(0).compression] = stream
        except OSError:
            continue  # It was another 14.
    assert longest(names["UNKNOWN"]) == by_reading(names["UNKNOWN"]) == [300]


def test_a_codec_that_nobody_knows_is_refused() -> None:
    stream = file_of(pa.table({"s": ["a"]}))
    (chunk,) = text_chunks(stream)
    with pytest.raises(PageError, match="unknown codec MIDDLE_OUT"):
        longest_text(stream, chunk.dictionaries[0], "MIDDLE_OUT")


@settings(max_examples=examples(200), deadline=None)
@given(
    place=st.integers(0, 10_000),
    byte=st.integers(0, 255),
    codec=st.sampled_from(CODECS),
    checksum=st.booleans(),
)
def test_damage_is_told_or_leads_to_no_shorter_text(place: int, byte: int, codec: str, checksum: bool) -> None:
    table = pa.table({"s": [f"{n * n:x}" * (n % 5) for n in range(60)]})
    stream = file_of(table, compression=codec, write_page_checksum=checksum)
    (chunk,) = text_chunks(stream)
    (page,) = chunk.dictionaries
    damaged = bytearray(stream.getvalue())
    changed = damaged[page.at + place % page.stored] != byte
    damaged[page.at + place % page.stored] = byte
    found, reason = None, None
    try:
        with translated("f.parquet"):
            found = longest_text(io.BytesIO(damaged), page, chunk.codec)
    except DataError as error:
        reason = error.reason
    if changed and checksum:
        assert reason == "checksum"
    elif changed and reason:
        assert reason == "parquet_invalid"
    else:
        assert [found] == by_reading(io.BytesIO(damaged))


@pytest.mark.parametrize(("values", "expected"), [(10, 9), (60, 59)])
def test_a_header_is_believed_as_pyarrow_does(values: int, expected: int) -> None:
    data = bytearray(file_of(pa.table({"s": ["x" * n for n in range(60)]}), compression="none").getvalue())
    (page,) = text_chunks(io.BytesIO(data))[0].dictionaries
    data[data.rindex(b"\x15\x78", 0, page.at) + 1] = 2 * values
    assert longest(io.BytesIO(data)) == by_reading(io.BytesIO(data)) == [expected]


@pytest.mark.parametrize("values", [61, 10**6, 2**31 - 1])
def test_a_header_that_promises_more_texts_than_there_are_is_damage(values: int) -> None:
    stream = file_of(pa.table({"s": [f"{n:03}" for n in range(60)]}), compression="none")
    (chunk,) = text_chunks(stream)
    with pytest.raises(DataError) as caught, translated("f.parquet"):
        longest_text(stream, chunk.dictionaries[0]._replace(values=values), chunk.codec)
    assert caught.value.reason == "parquet_invalid"


def test_a_page_that_ends_too_early_is_damage() -> None:
    stream = file_of(pa.table({"s": ["abc"] * 5}))
    (chunk,) = text_chunks(stream)
    with pytest.raises(DataError) as caught, translated("f.parquet", " in row group 1"):
        longest_text(stream, chunk.dictionaries[0]._replace(stored=10**9), chunk.codec)
    assert caught.value.reason == "parquet_invalid"
    assert str(caught.value).startswith("f.parquet cannot be read as Parquet in row group 1: a dictionary ends too early\n")


@pytest.mark.parametrize(("checksum", "reason"), [(True, "checksum"), (False, "parquet_invalid")])
def test_a_damaged_dictionary_ends_the_document(checksum: bool, reason: str, reading: Any) -> None:
    stream = file_of(pa.table({"s": ["x" * 4_000] * 50}), write_page_checksum=checksum, compression="none")
    (chunk,) = text_chunks(stream)
    data = bytearray(stream.getvalue())
    data[chunk.dictionaries[0].at : chunk.dictionaries[0].at + 4] = b"\xff\xff\xff\x7f"
    got = reading(bytes(data), max_step_bytes=1 << 10, max_expansion=10**6)
    assert (got.steps, got.error.reason) == ([], reason)
    assert "f.parquet" in str(got.error)
    assert "in row group 1, after record 0" in str(got.error)


def test_of_two_dictionaries_the_worst_that_they_allow_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = file_of(pa.table({"s": ["x" * 100] * 500}), compression="none")
    (chunk,) = text_chunks(stream)
    pacer = Pacer("f.parquet", stream, pq.ParquetFile(stream).metadata, ParquetOptions(max_step_bytes=1 << 10), BuildContext())
    assert pacer.rows_at_once(0) == (1 << 10) // 100
    both = replace(chunk, dictionaries=chunk.dictionaries * 2)
    monkeypatch.setattr(pacing, "chunks_of", lambda *_: [both])
    assert pacer.rows_at_once(0) == (1 << 10) // chunk.encoded


def test_texts_behind_their_lengths_are_read_however_large(reading: Any, written: Callable[..., bytes]) -> None:
    table = pa.table({"s": [f"{n:0500}" for n in range(3_000)]})
    data = written(table, use_dictionary=False, column_encoding={"s": "DELTA_LENGTH_BYTE_ARRAY"})
    got = reading(data, max_step_bytes=1 << 20)
    assert got.table == table
    assert max(step.data.nbytes for step in got.steps) <= 1 << 20


def test_a_page_of_more_than_32_bits_is_refused() -> None:
    header = b"\x15\x04\x15" + b"\x80\x80\x80\x80\x10" + b"\x15\x02\x00"
    with pytest.raises(PageError, match="a page header has a number that is too large"):
        list(pages(io.BytesIO(header), 0, len(header), 1))


@pytest.mark.parametrize(("word", "read"), [("a word", False), ("a text of " * 100, True)])
def test_a_dictionary_is_read_only_where_a_text_of_it_may_be_long(word: str, read: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Page] = []
    monkeypatch.setattr(pacing, "longest_text", lambda stream, page, codec: asked.append(page) or longest_text(stream, page, codec))
    stream = file_of(pa.table({"s": [word, "", "b"] * 2_000}))
    metadata = pq.ParquetFile(stream).metadata
    rows = Pacer("f.parquet", stream, metadata, ParquetOptions(max_step_bytes=1 << 20), BuildContext()).rows_at_once(0)
    assert bool(asked) is read
    assert rows * len(word) <= 1 << 20


def test_a_dictionary_that_promises_more_texts_than_fit_hides_no_other_column(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = file_of(pa.table({"s": ["x"] * 2_000, "t": ["y" * 1_000] * 2_000}), compression="none")
    little, long = text_chunks(stream)
    lying = replace(little, dictionaries=[little.dictionaries[0]._replace(values=10**6)])
    monkeypatch.setattr(pacing, "chunks_of", lambda *_: [lying, long])
    metadata = pq.ParquetFile(stream).metadata
    pacer = Pacer("f.parquet", stream, metadata, ParquetOptions(max_step_bytes=1 << 20), BuildContext())
    with pytest.raises(DataError) as caught, translated("f.parquet"):
        pacer.rows_at_once(0)
    assert caught.value.reason == "parquet_invalid"

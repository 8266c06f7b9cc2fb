"""The fast ways give exactly what the exact ones give, on every input."""

from __future__ import annotations

import csv
import io
import itertools
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ddpm_core import BuildContext, Document, Parsed, Position, conform
from ddpm_csv.blocks import Block, BlockCutter, quotes_are_regular
from ddpm_csv.cells import CellReader, Cells, is_utf8
from ddpm_csv.columns import Columns
from ddpm_csv.dialect import Dialect
from ddpm_csv.options import CsvOptions
from ddpm_csv.parser import build
from ddpm_csv.source_text import Utf8Source
from ddpm_csv.tokens import scan
from ddpm_csv.types import TEXT, TYPE_NAMES, carefully, type_of, typed
from tests.examples import examples

NULLS = ("", "NA", "null")
DIALECT = Dialect(b",")
NASTY = st.lists(
    st.sampled_from(
        ['"', '""', ",", "\n", "\r\n", "\r", "a", "NA", "1", "-0", " ", "é", "\ufeff", "\x00", '",', ',"', '"\n', '\n"', "x,y\n"]
    ),
    max_size=40,
).map("".join)
RAGGED_BYTES = st.builds(
    lambda text, at, bad: text[:at] + bad + text[at:], NASTY.map(str.encode), st.integers(0, 40), st.binary(max_size=2)
)


def block_of(data: bytes, *, exactly: bool) -> Block:
    found = scan(data, DIALECT, final=True, patience=len(data), limit=10**9) if exactly else None
    return Block(data, len(data), 0, Utf8Source(io.BytesIO(), 1), DIALECT, found, len(data))


def shown(cells: Cells) -> Any:
    rows = [] if cells.columns is None else list(zip(*(column.to_pylist() for column in cells.columns), strict=True))
    rejects = [(r.index, r.reason, r.message, r.raw, r.byte_offset) for r in cells.rejects]
    return cells.records, rejects, cells.record_of if rows else None, rows


@settings(max_examples=examples(250), deadline=None)
@given(
    data=NASTY.map(str.encode) | RAGGED_BYTES,
    names=st.sampled_from([["a"], ["a", "b"], ["a", "b", "c"]]),
    quoted_nulls=st.booleans(),
)
@example(data="\ufeffa,b\n".encode(), names=["a", "b"], quoted_nulls=False)
@example(data=b'"",', names=["a", "b"], quoted_nulls=False)
@example(data=b'""x,1\n', names=["a", "b"], quoted_nulls=False)
@example(data=b'a"",b\n', names=["a", "b"], quoted_nulls=False)
@example(data=b'x",abc,"y\n', names=["a", "b", "c"], quoted_nulls=False)
@example(data=b'"a""",""""\n', names=["a", "b"], quoted_nulls=False)
@example(data=b"1,2\n3\n\n4,5,6\n7,8", names=["a", "b"], quoted_nulls=False)
def test_pyarrow_reads_fields_as_the_tokens_say_or_not_at_all(data: bytes, names: list[str], quoted_nulls: bool) -> None:
    reader = CellReader(names, NULLS, quoted_nulls, 1 << 20)
    exact = reader.one_by_one(block_of(data, exactly=True))
    if quotes_are_regular(data, DIALECT):
        for uneven in (False, True)[: 1 + is_utf8(data)]:
            fast = reader.at_once(block_of(data, exactly=False), [TEXT] * len(names), uneven=uneven)
            if fast is not None:
                assert shown(fast) == shown(exact)


ODD_DIALECTS = st.sampled_from([DIALECT, Dialect(b"]", b"^"), Dialect(b"-", b"'"), Dialect(b"\\", b"x"), Dialect(b"\t", b"|")])


@settings(max_examples=examples(150), deadline=None)
@given(data=NASTY.map(str.encode), dialect=ODD_DIALECTS)
def test_regular_quotes_are_those_that_the_exact_way_accepts(data: bytes, dialect: Dialect) -> None:
    data = data.translate(bytes.maketrans(b',"', dialect.delimiter + dialect.quote))
    found = scan(data, dialect, final=True, patience=len(data), limit=10**9)
    if quotes_are_regular(data, dialect):
        assert not found.bad


@settings(max_examples=examples(150), deadline=None)
@given(rows=st.lists(st.lists(st.text('a1",\n\r é\x00', max_size=6), min_size=2, max_size=2), max_size=8), dialect=ODD_DIALECTS)
def test_quotes_of_fields_that_are_all_in_quotes_are_regular(rows: list[list[str]], dialect: Dialect) -> None:
    quote = dialect.quote
    records = [dialect.delimiter.join(quote + text.encode().replace(quote, 2 * quote) + quote for text in row) for row in rows]
    assert quotes_are_regular(b"\r\n".join(records), dialect)


FIELDS = st.lists(st.lists(st.text('a1",\n\r é', max_size=6), min_size=2, max_size=2), min_size=1, max_size=8)


@settings(max_examples=examples(150), deadline=None)
@given(rows=FIELDS, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), end=st.sampled_from(["\n", "\r\n"]))
def test_what_pythons_csv_module_writes_is_read_as_it_was(rows: list[list[str]], quoting: Any, end: str) -> None:
    if end == "\n":  # Then that module puts no quotes around a carriage return.
        rows = [[text.replace("\r", "") for text in row] for row in rows]
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting, lineterminator=end).writerows([["a", "b"], *rows])
    parsed = parse(out.getvalue().encode(), columns={"a": TEXT, "b": TEXT}, nulls=())
    assert [list(row.values()) for row in rows_of(parsed)] == rows


@settings(max_examples=examples(120), deadline=None)
@given(data=NASTY.map(str.encode) | RAGGED_BYTES, size=st.integers(16, 60), rows=st.integers(1, 4), limit=st.integers(4, 60))
def test_blocks_of_any_size_hold_the_same_records(data: bytes, size: int, rows: int, limit: int) -> None:
    def records(size: int, rows: int) -> list[Any]:
        cutter = BlockCutter(Utf8Source(io.BytesIO(data), 1), DIALECT, max_record_bytes=limit, rows=rows, size=size)
        found = []
        for block in cutter.blocks():
            bad = block.found.bad if block.found else {}
            if block.too_long:
                found.append((block.start, block.start + block.too_long, "too long"))
                continue
            for record in range(len(block.spans)):
                start, raw = block.byte_offset(record), block.raw(record)
                assert data[start - 1 : start - 1 + len(raw)] == raw
                long = len(raw) > limit
                found.append((start, start + len(raw), "too long" if long else bool(bad.get(record))))
        assert cutter.at == len(data) + 1
        return found

    assert records(size, rows) == records(1 << 12, 10**6)


KINDS = [
    kind for name, kind in TYPE_NAMES.items() if "," not in name or name in ("decimal(38,1)", "decimal(38,16)", "decimal(38,38)")
]
SPELLINGS = st.sampled_from(
    [
        "0", "-0", "00", "007", "+1", "1", "-5", "12", " 1", "1 ", "0x1F", "1e5", "1E-3", "1.", ".5", "-.5", "0.5", "00.5", "-0.0", "-00.5",
        "nan", "NaN", "inf", "Infinity", "1e400", "1_0", "1,000", "9007199254740991", "9007199254740993", "9223372036854775807",
        "9223372036854775808", "12345678901234567890.1234", "0.1234567890123456", "1.50000000000000000", "1e-999", "123456789012345678901234567890123456789", "true", "True", "TRUE", "tRUE", "false", "t", "yes",
        "2020-01-02", "2020-1-2", " 2020-01-02", "20200102", "2020-13-01", "0000-01-01", "2020-01-02T03", "2020-01-02 03:04",
        "2020-01-02T03:04:05.123456", "2020-01-02T03:04:05.1234567", "2020-01-02T03:04:05Z", "2020-01-02 03:04:05+02", "2020-01-02Z",
        "2020-01-02T03:04:05+0230", "2020-01-02 24:00", "2020-01-02  03:04", "12:30", "é", "", "NA", "abc", "1\n",
    ]
)  # fmt: skip


@settings(max_examples=examples(250), deadline=None)
@given(
    values=st.lists(st.none() | SPELLINGS, max_size=6),
    wanted=st.sampled_from([*KINDS, pa.int16(), pa.float32(), pa.time64("us")]),
)
def test_a_column_is_cast_as_the_rules_of_every_target_say(values: list[str | None], wanted: pa.DataType) -> None:
    if wanted == pa.null():
        return
    texts = pa.array(values, TEXT)
    column, rejects = typed(texts, "c", wanted)
    exact, complaints = carefully(texts, "c", wanted) if len(values) else (pa.nulls(0, wanted), [])
    assert (str(column), rejects) == (str(exact), complaints)
    assert len(column) == len(values)


@settings(max_examples=examples(150), deadline=None)
@given(values=st.lists(st.none() | SPELLINGS, max_size=4))
def test_a_type_that_is_found_fits_every_value(values: list[str | None]) -> None:
    texts = pa.array(values, TEXT)
    found = type_of(texts)
    assert found in TYPE_NAMES.values()
    if found != pa.null():
        assert typed(texts, "c", found)[1] == []
    else:
        assert texts.null_count == len(texts)


@settings(max_examples=examples(150), deadline=None)
@given(
    rows=st.lists(st.tuples(SPELLINGS, st.booleans()), min_size=1, max_size=5),
    wanted=st.sampled_from(KINDS[1:]),
)
def test_a_step_is_the_same_whoever_read_its_fields(rows: list[tuple[str, bool]], wanted: pa.DataType) -> None:
    data = "".join(f'"{text}",x\n' if quoted or "," in text or "\n" in text else f"{text},x\n" for text, quoted in rows).encode()
    steps = []
    for exactly in (False, True):
        columns = Columns(NULLS)
        columns.expect(pa.schema([("a", wanted)]))
        steps.append(columns.step(block_of(data, exactly=exactly), CellReader(["a", "b"], NULLS, False, 1 << 20)))
    fast, exact = (
        (step.data and str(step.data.column(0)), step.records, step.rejects, step.origin and step.origin.to_pylist())
        for step in steps
    )
    assert fast == exact


@pytest.mark.parametrize("wanted", [pa.decimal128(12, 2), pa.int64(), pa.float64()])
def test_spellings_are_taken_as_the_sink_takes_text(wanted: pa.DataType) -> None:
    texts = pa.array(["1", "x", "2", None, "1e2"])
    column, rejects = typed(texts, "c", wanted)
    same = conform(pa.RecordBatch.from_arrays([texts], names=["c"]), pa.schema([("c", wanted)]))
    assert rejects == same.rejects
    kept = [row for row in range(5) if row not in {reject.index for reject in rejects}]
    assert same.data is not None
    assert [column[row].as_py() for row in kept] == same.data.column(0).to_pylist()


@settings(max_examples=60, deadline=None)
@given(data=NASTY.map(str.encode), size=st.integers(16, 60))
def test_a_killed_run_goes_on_wherever_it_stopped(data: bytes, size: int) -> None:
    data = b"a,b\n" + data
    whole = parse(data, size=size)
    for done in range(1, len(whole)):
        resume = whole[done - 1].resume
        records = sum(step.records for step in whole[:done])
        rest = parse(data, size=size, start=Position(records, {"resume": resume}))
        assert rows_of(rest) == rows_of(whole[done:])
        assert [r.raw for step in rest for r in step.rejects] == [r.raw for step in whole[done:] for r in step.rejects]


def parse(
    data: bytes, *, columns: dict[str, Any] | None = None, size: int = 2 << 20, start: Position | None = None, **options: Any
) -> list[Parsed]:
    context = BuildContext(batch_bytes=size, columns=pa.schema(list(columns.items())) if columns else None)
    parser = build(CsvOptions(**options), context)
    return list(parser.parse_document(Document("d", "d#1", io.BytesIO(data), start or Position(0), len(data))))


def rows_of(steps: list[Parsed]) -> list[dict[str, Any]]:
    return list(itertools.chain.from_iterable(step.data.to_pylist() for step in steps if step.data is not None))


def test_numbers_beyond_64_bits_stay_exact() -> None:
    (step,) = parse(b"a\n18446744073709551616\n1\n")
    assert step.data.column(0).to_pylist() == [Decimal(18446744073709551616), Decimal(1)]


FRACTIONS = st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24}(0{1,20})?)?", fullmatch=True) | st.sampled_from(
    ["1e5", "-0.0", "0.1"]
)


@settings(max_examples=examples(200), deadline=None)
@given(values=st.lists(FRACTIONS, min_size=1, max_size=4))
def test_a_fraction_is_double_only_where_that_keeps_its_digits_or_nothing_else_would(values: list[str]) -> None:
    data = "a,b\n" + "".join(f"{value},\n" for value in [*values, "0.5"])
    numbers = [Decimal(value) for value in [*values, "0.5"]]
    digits = [len("".join(map(str, shortest(number).as_tuple().digits)).lstrip("0")) for number in numbers]
    rounded = any(
        count > 15 and spelled(number) != value for count, number, value in zip(digits, numbers, [*values, "0.5"], strict=True)
    )
    scale = max(len(value.partition(".")[2]) for value in [*values, "0.5"])
    fit = all(abs(number) < Decimal(10) ** (38 - scale) for number in numbers)
    (step,) = parse(data.encode())
    assert not step.rejects
    column = step.data.column(0)
    if rounded and fit and "1e5" not in values:
        assert column.type == pa.decimal128(38, scale)
        assert column.to_pylist() == numbers
    else:
        assert column.type in (pa.float64(), TEXT)
        assert column.type == TEXT or column.to_pylist() == [float(number) for number in numbers]


def spelled(number: Decimal) -> str:
    """As Arrow writes the double."""
    text: str = pa.array([float(number)]).cast(TEXT)[0].as_py()
    return text


def shortest(number: Decimal) -> Decimal:
    """Without zeros at the end of its fraction."""
    text = format(number, "f")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)

"""What values take when they are unpacked is known before they are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ddpm_arrow.plain import plain_array
from ddpm_arrow.sizes import sizer, sizes

TEXTS = pa.array(["a", "long" * 10, None, "", "größe"])
NUMBERS = pa.array([1, None, 3, 4, 5], pa.int16())
PLACES = pa.array([0, 1, 1, None, 4, 3, 2], pa.int8())

ARRAYS: dict[str, pa.Array] = {
    "numbers": NUMBERS,
    "booleans": pa.array([True, None, False]),
    "nulls": pa.nulls(3),
    "texts": TEXTS,
    "bytes": TEXTS.cast(pa.binary()),
    "large texts": TEXTS.cast(pa.large_string()),
    "views": pa.array(TEXTS.to_pylist(), pa.string_view()),
    "dictionary": pa.DictionaryArray.from_arrays(PLACES, TEXTS),
    "dictionary of numbers": pa.DictionaryArray.from_arrays(PLACES.fill_null(0), NUMBERS),
    "dictionary of lists": pa.DictionaryArray.from_arrays(pa.array([1, 0, None, 1], pa.int8()), pa.array([["a", "bb"], None])),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 9, 10, 15], pa.int32()), TEXTS),
    "list": pa.array([["a", None], None, [], ["bb", "ccc"]]),
    "list of numbers": pa.array([[1, None], None, [], [3]], pa.list_(pa.int32())),
    "list of nulls": pa.array([[None, None], None, []]),
    "large list": pa.array([["a"], ["bb", "ccc"]], pa.large_list(pa.string())),
    "fixed_size_list": pa.array([["a", "bb"], None, [None, "ccc"]], pa.list_(pa.string(), 2)),
    "list_view": pa.ListViewArray.from_arrays([0, 0, 3, 0], [5, 2, 0, 5], TEXTS),
    "list_view of numbers": pa.ListViewArray.from_arrays([4, 0, 1], [1, 5, 2], NUMBERS),
    "list of a dictionary": pa.ListArray.from_arrays([0, 2, 2, 7], pa.DictionaryArray.from_arrays(PLACES, TEXTS)),
    "map": pa.array([[("a", "bb")], None, [("c", None), ("d", "eeee")]], pa.map_(pa.string(), pa.string())),
    "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "xyz"}]),
    "uuid": pa.array([b"0123456789abcdef", None], pa.uuid()),
}  # fmt: skip


def reference(array: pa.Array) -> list[int]:
    """Bytes of each value, counted one by one."""
    return [_bytes(array.type, value) for value in array]


def _bytes(t: pa.DataType, value: Any) -> int:
    if isinstance(t, pa.BaseExtensionType):
        return _bytes(t.storage_type, value.value)
    if pa.types.is_null(t):
        return 1
    if pa.types.is_fixed_size_binary(t) or (t.num_fields == 0 and not _is_text(t)):
        return -(-t.bit_width // 8)
    if pa.types.is_struct(t):
        return sum(_bytes(field.type, value[field.name] if value.is_valid else pa.scalar(None, field.type)) for field in t)
    if not value.is_valid:
        return 0
    if _is_text(t):
        return value.as_buffer().size
    if pa.types.is_map(t):
        return sum(
            _bytes(t.key_type, pa.scalar(key)) + _bytes(t.item_type, pa.scalar(item, t.item_type)) for key, item in value.as_py()
        )
    return sum(_bytes(t.value_type, pa.scalar(item, t.value_type)) for item in value.as_py())


def _is_text(t: pa.DataType) -> bool:
    return t in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


@pytest.mark.parametrize("kind", ARRAYS)
def test_sizes_are_those_of_the_unpacked_values(kind: str) -> None:
    array = ARRAYS[kind]
    assert sizes(array).to_pylist() == reference(plain_array(array))


@pytest.mark.parametrize("kind", ARRAYS)
def test_parts_have_the_sizes_that_they_have_in_the_whole(kind: str) -> None:
    array = ARRAYS[kind]
    of = sizer(array)
    whole = sizes(array).to_pylist()
    assert [of(row, 1).to_pylist() for row in range(len(array))] == [[size] for size in whole]
    cut = pa.concat_arrays([array, array]).slice(1, len(array)) if kind != "runs" else array
    assert sizes(cut).to_pylist() == (whole if kind == "runs" else [*whole[1:], whole[0]])


@pytest.mark.parametrize("mode", ["dense", "sparse"])
def test_a_value_of_a_union_is_that_of_its_branch(mode: str) -> None:
    codes = pa.array([0, 1, 0, 1, 0], pa.int8())
    if mode == "dense":
        union = pa.UnionArray.from_dense(codes, pa.array([1, 0, 1, 2, 3], pa.int32()), [TEXTS, NUMBERS])
        assert sizes(union).to_pylist() == [40, 2, 40, 2, 0]
        assert sizer(union)(3, 2).to_pylist() == [2, 0]
    else:
        union = pa.UnionArray.from_sparse(codes, [TEXTS, NUMBERS])
        assert sizes(union).to_pylist() == [1, 2, 0, 2, 7]
        assert sizer(union)(3, 2).to_pylist() == [2, 7]

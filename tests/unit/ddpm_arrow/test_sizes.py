"""What values take when they are unpacked is known before they are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from ddpm_arrow.plain import plain_array
from ddpm_arrow.sizes import is_measurable, sizer

TEXTS = pa.array(["a", "long" * 10, None, "", "größe"])
NUMBERS = pa.array([1, None, 3, 4, 5], pa.int16())
PLACES = pa.array([0, 1, 1, None, 4, 3, 2], pa.int8())
SOME = PLACES.fill_null(0)
CODES = pa.array([0, 1, 0, 1, 0], pa.int8())

ARRAYS: dict[str, pa.Array] = {
    "views": pa.array(TEXTS.to_pylist(), pa.string_view()),
    "views of bytes": pa.array([b"a", None, b"b" * 50], pa.binary_view()),
    "dictionary": pa.DictionaryArray.from_arrays(PLACES, TEXTS),
    "dictionary of large texts": pa.DictionaryArray.from_arrays(PLACES, TEXTS.cast(pa.large_string())),
    "dictionary of views": pa.DictionaryArray.from_arrays(PLACES, TEXTS.cast(pa.string_view())),
    "dictionary of numbers": pa.DictionaryArray.from_arrays(SOME, NUMBERS),
    "empty dictionary": pa.DictionaryArray.from_arrays(pa.array([None, None], pa.int8()), TEXTS.slice(0, 0)),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 9, 10, 15], pa.int32()), TEXTS),
    "runs of numbers": pa.RunEndEncodedArray.from_arrays(pa.array([2, 3, 9, 10, 15], pa.int16()), NUMBERS),
    "list of nulls": pa.array([[None, None], None, []]),
    "list of lists of nulls": pa.array([[[None], None, [None, None]], [], None, [[None]]]),
    "list of lists of lists of numbers": pa.array(
        [[[[1, 2]], [[3], []]], [[]], [[[4]]]], pa.list_(pa.large_list(pa.list_(pa.int16())))
    ),
    "list_view of numbers": pa.ListViewArray.from_arrays([4, 0, 1], [1, 5, 2], NUMBERS),
    "list_view of booleans": pa.array([[True] * 17, None, [False]], pa.list_view(pa.bool_())),
    "large list_view": pa.array([[1.5], None, [], [2.5] * 3], pa.large_list_view(pa.float64())),
    "dense union": pa.UnionArray.from_dense(CODES, pa.array([1, 0, 1, 2, 3], pa.int32()), [TEXTS, NUMBERS]),
    "sparse union": pa.UnionArray.from_sparse(CODES, [TEXTS, NUMBERS]),
}
DEEPER: dict[str, pa.DataType] = {
    "a dictionary of lists": pa.dictionary(pa.int8(), pa.list_(pa.string())),
    "a list of texts": pa.list_(pa.string()),
    "a list of a dictionary": pa.list_(pa.dictionary(pa.int8(), pa.string())),
    "a list of structs": pa.list_(pa.struct({"a": pa.string()})),
    "a list of lists of texts": pa.list_(pa.list_(pa.string())),
    "a list of list views": pa.list_(pa.list_view(pa.null())),
    "a list of an extension type": pa.list_(pa.opaque(pa.dictionary(pa.int8(), pa.string()), "t", "v")),
    "a list of a fixed size": pa.list_(pa.dictionary(pa.int8(), pa.string()), 2),
    "a map": pa.map_(pa.string(), pa.string_view()),
    "a struct": pa.struct({"u": pa.dense_union([pa.field("s", pa.string())])}),
    "a union of lists": pa.dense_union([pa.field("l", pa.list_(pa.null()))]),
    "runs of lists": pa.run_end_encoded(pa.int32(), pa.list_(pa.int8())),
    "an extension type": pa.json_(pa.string_view()),
}


def bytes_of(t: pa.DataType, value: Any) -> int:
    """Of one value, counted by itself."""
    if pa.types.is_null(t):
        return 1
    if not t.num_fields and t not in (pa.string(), pa.large_string(), pa.binary()):
        return -(-t.bit_width // 8)
    if not value.is_valid:
        return 0
    if not t.num_fields:
        return value.as_buffer().size
    if pa.types.is_boolean(t.value_type):
        return -(-len(value.as_py()) // 8)
    return sum(bytes_of(t.value_type, pa.scalar(item, t.value_type)) for item in value.as_py())


@pytest.mark.parametrize("kind", ARRAYS)
def test_sizes_are_those_of_the_unpacked_values_also_in_parts(kind: str) -> None:
    array = ARRAYS[kind]
    assert is_measurable(array.type)
    if pa.types.is_union(array.type):  # It stays as it is.
        whole = [40, 2, 40, 2, 0] if array.type.mode == "dense" else [1, 2, 0, 2, 7]
    else:
        plain = plain_array(array)
        whole = [bytes_of(plain.type, value) for value in plain]
    of = sizer(array)
    assert of(0, len(array)).to_pylist() == whole
    assert [of(row, 1).to_pylist() for row in range(len(array))] == [[size] for size in whole]


def test_structs_in_a_list_have_the_width_of_their_fields() -> None:
    structs = pa.array([[{"a": None, "b": 1}] * 3, [], None], pa.list_(pa.struct({"a": pa.null(), "b": pa.int32()})))
    assert sizer(structs)(0, 3).to_pylist() == [15, 0, 0]
    nothing = pa.array([[{}] * 3, [{}]], pa.list_(pa.struct([])))
    assert sizer(nothing)(0, 2).to_pylist() == [3, 1]


@pytest.mark.parametrize("kind", DEEPER)
def test_what_is_nested_deeper_is_not_measured(kind: str) -> None:
    assert not is_measurable(DEEPER[kind])

"""Lists of every layout, taken apart into their values and put together around others."""

from __future__ import annotations

import pyarrow as pa

from ddpm_core.schema import kernels as pc
from ddpm_core.schema.outcome import Bad
from ddpm_core.values import dataclass


@dataclass(frozen=True, slots=True)
class Lists:
    """A column of lists.

    Attributes:
        values: The elements of all lists that are not null, in their order.
        lengths: How many each row has (int32); null where the list is null.
    """

    values: pa.Array
    lengths: pa.Int32Array

    def around(self, values: pa.Array) -> pa.ListArray:
        """The same lists around other values, as many as there were."""
        ends = pc.cumulative_sum(pc.fill_null(self.lengths, 0))
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
        return pa.ListArray.from_arrays(offsets, values, mask=self.lengths.is_null())

    def owners(self, bad: Bad) -> Bad:
        """Bad elements as bad rows; the first of a row gives the reason."""
        if not bad:
            return {}
        row_of = self.row_of_values()
        found: Bad = {}
        for element in sorted(bad):
            found.setdefault(row_of[element], bad[element])
        return found

    def row_of_values(self) -> list[int]:
        """Element -> the row whose list it is in."""
        return [row for row, length in enumerate(self.lengths.to_pylist()) for _ in range(length or 0)]


def list_parts(array: pa.Array) -> Lists:
    """Take a column of lists or maps apart; a map is a list of structs of key and value.

    Not by casting it to a plain list: pyarrow 26 makes a wrong one of a list view. Nor by `list_parent_indices`: that aborts the
    process when it is given a map.
    """
    if pa.types.is_map(array.type):
        entry = pa.struct([pa.field("key", array.type.key_type), pa.field("value", array.type.item_type)])
        array = array.cast(pa.list_(entry))
    lengths = pc.list_value_length(array)
    if pa.types.is_fixed_size_list(array.type):
        lengths = pc.if_else(array.is_valid(), lengths, pa.scalar(None, lengths.type))
    return Lists(array.flatten(), lengths.cast(pa.int32()))

"""Rows of one schema as rows of another, by Avro's rules of schema resolution: whole columns at a time.

What two schemas rule out is found before any data is read; what depends on the value (a null where the reader has none, a symbol
that its enum lacks) rejects single rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_avro.arrow_schema import VALUE, arrow_schema, arrow_type
from ddpm_avro.datum import located
from ddpm_avro.defaults import default_array
from ddpm_avro.logical import Bad, finish
from ddpm_avro.promotion import is_wider, widened
from ddpm_avro.schema import MISSING, Node
from ddpm_core import DataError

REASON = "schema_resolution"

Resolve = Callable[[pa.Array], tuple[pa.Array, Bad]]
_TEXTS = ("string", "bytes")


class Resolution:
    """Makes rows of the writer's schema into rows of the reader's.

    Attributes:
        schema: The reader's columns.

    Raises:
        DataError: `schema_resolution`: no row of the one can be a row of the other.
    """

    def __init__(self, writer: Node, reader: Node) -> None:
        self.schema = arrow_schema(reader)
        self._are_records = writer.kind == "record", reader.kind == "record"
        self._resolve = _resolver(writer, reader)

    def rows(self, data: pa.RecordBatch) -> tuple[pa.RecordBatch, Bad]:
        """The rows, and which of them are bad; those are still among them."""
        was_record, is_record = self._are_records
        found, bad = self._resolve(data.to_struct_array() if was_record else data.column(VALUE))
        if is_record:
            return pa.RecordBatch.from_struct_array(found), bad
        return pa.RecordBatch.from_arrays([found], schema=self.schema), bad


def _resolver(writer: Node, reader: Node) -> Resolve:
    if writer.kind == "union" or reader.kind == "union":
        return _unions(writer, reader)
    if reader.kind == "option":
        return _to_option(writer, reader)
    if writer.kind == "option":
        return _from_option(writer, reader)
    if writer.kind == reader.kind and writer.kind in _SAME_KIND:
        return _SAME_KIND[writer.kind](writer, reader)
    if writer.logical == reader.logical and writer.kind in _TEXTS and reader.kind in _TEXTS and not writer.logical:
        return _texts(writer, reader)
    made, wanted = arrow_type(writer), arrow_type(reader)
    if writer.kind == reader.kind and made == wanted:
        return _as_it_is
    if writer.kind in _NUMBERS and reader.kind in _NUMBERS:
        return _numbers(writer, reader)
    raise _refused(reader, f"{_called(writer)} cannot be read as {_called(reader)}")


def _as_it_is(array: pa.Array) -> tuple[pa.Array, Bad]:
    return array, {}


def _numbers(writer: Node, reader: Node) -> Resolve:
    """A number that is wider, or has another meaning: a logical type is a way to look at the same number."""
    raw, wanted = _NUMBERS[writer.kind], _NUMBERS[reader.kind]
    if writer.logical and reader.logical and writer.logical != reader.logical:
        raise _refused(
            reader, f"{_called(writer)} cannot be read as {_called(reader)}, which means something else by the same number"
        )
    if raw != wanted and not is_wider(wanted, raw):
        raise _refused(reader, f"{_called(writer)} cannot be read as {_called(reader)}, which is narrower")

    def resolve(array: pa.Array) -> tuple[pa.Array, Bad]:
        array, bad = widened(array.view(raw), wanted, REASON, reader.path)
        if not reader.logical:
            return array, bad
        array, wrong = finish(reader, array.cast(pa.int64()))
        return array, wrong | bad

    return resolve


def _texts(writer: Node, reader: Node) -> Resolve:
    if writer.kind == reader.kind:
        return _as_it_is
    if reader.kind == "bytes":
        return lambda array: (array.cast(pa.binary()), {})

    def resolve(array: pa.Array) -> tuple[pa.Array, Bad]:
        text = array.view(pa.string())
        try:
            text.validate(full=True)
        except pa.ArrowInvalid:
            bad = {
                row: (REASON, located(reader, "the bytes are not UTF-8")) for row, v in enumerate(array.to_pylist()) if _not_utf8(v)
            }
            wrong = pa.array([row in bad for row in range(len(array))])
            return pc.if_else(wrong, pa.scalar(None, pa.binary()), array).cast(pa.string()), bad
        return text, {}

    return resolve


def _not_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return True
    return False


def _to_option(writer: Node, reader: Node) -> Resolve:
    if writer.kind == "null":
        if reader.null_at is None:
            raise _refused(reader, "null cannot be read as what is never null")
        made = arrow_type(reader)
        return lambda array: (pa.nulls(len(array), made), {})
    inner = writer.children[0] if writer.kind == "option" else writer
    resolve = _resolver(inner, reader.children[0])
    if writer.kind == "option" and writer.null_at is not None and reader.null_at is None:
        return _never_null(resolve, reader)
    return resolve


def _from_option(writer: Node, reader: Node) -> Resolve:
    if reader.kind == "null":
        return _never_value(reader)
    return _never_null(_resolver(writer.children[0], reader), reader)


def _never_null(resolve: Resolve, reader: Node) -> Resolve:
    def checked(array: pa.Array) -> tuple[pa.Array, Bad]:
        found, bad = resolve(array)
        if array.null_count:
            problem = (REASON, located(reader, f"it is null, and {_called(reader)} never is"))
            bad = dict.fromkeys(pc.indices_nonzero(array.is_null()).to_pylist(), problem) | bad
        return found, bad

    return checked


def _never_value(reader: Node) -> Resolve:
    def checked(array: pa.Array) -> tuple[pa.Array, Bad]:
        problem = (REASON, located(reader, "it has a value, and the reader has none"))
        return pa.nulls(len(array)), dict.fromkeys(pc.indices_nonzero(array.is_valid()).to_pylist(), problem)

    return checked


def _unions(writer: Node, reader: Node) -> Resolve:
    """Values of general unions are JSON text already: they stay where every type that the writer may have is one of the reader's."""
    branches = writer.children if writer.kind == "union" else ()
    if reader.kind == "union" and branches and all(any(_alike(one, other) for other in reader.children) for one in branches):
        return _as_it_is
    raise _refused(
        reader,
        f"{_called(writer)} cannot be read as {_called(reader)}: a union of several types is read where the reader's has all of them",
    )


def _alike(one: Node, other: Node) -> bool:
    """Whether two types are the same, wherever they are."""
    same = (one.kind, one.logical, one.names, one.null_at, one.size, one.precision, one.scale, one.known_as[:1]) == (
        other.kind, other.logical, other.names, other.null_at, other.size, other.precision, other.scale, other.known_as[:1],
    )  # fmt: skip
    return same and len(one.children) == len(other.children) and all(map(_alike, one.children, other.children))


def _record(writer: Node, reader: Node) -> Resolve:
    _check_names(writer, reader)
    plan: list[tuple[int | None, Any]] = []
    for name, aliases, default, child in zip(reader.names, reader.aliases, reader.defaults, reader.children, strict=True):
        at = next((writer.names.index(known) for known in (name, *aliases) if known in writer.names), None)
        if at is not None:
            plan.append((at, _resolver(writer.children[at], child)))
        elif default is MISSING:
            raise _refused(child, "the writer's schema has no such field, and the reader's no default for it")
        else:
            plan.append((None, default_array(child, default)))
    made = list(arrow_type(reader))

    def resolve(array: pa.StructArray) -> tuple[pa.Array, Bad]:
        columns, bad = [], Bad()
        flat = array.flatten()
        for at, how in plan:
            if at is None:
                columns.append(how.take(pa.array([0] * len(array), pa.int64())))
                continue
            column, wrong = how(flat[at])
            columns.append(column)
            for row, problem in wrong.items():
                if not array.null_count or array[row].is_valid:
                    bad.setdefault(row, problem)
        if not columns:
            return pa.array([{} if there else None for there in array.is_valid().to_pylist()], arrow_type(reader)), bad
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(columns, fields=made, mask=mask), bad

    return resolve


def _check_names(writer: Node, reader: Node) -> None:
    """Named types must have one name, or the reader's an alias: so says the specification."""
    if writer.known_as[0] not in reader.known_as:
        raise _refused(
            reader, f"{writer.kind} {writer.known_as[0]!r} is not {reader.kind} {reader.known_as[0]!r}, nor an alias of it"
        )


def _fixed(writer: Node, reader: Node) -> Resolve:
    _check_names(writer, reader)
    if arrow_type(writer) != arrow_type(reader) or writer.size != reader.size:
        raise _refused(reader, f"{_called(writer)} cannot be read as {_called(reader)}")
    return _as_it_is


def _enum(writer: Node, reader: Node) -> Resolve:
    _check_names(writer, reader)
    if set(writer.names) <= set(reader.names):
        return _as_it_is
    known = pa.array(reader.names, pa.string())

    def resolve(array: pa.Array) -> tuple[pa.Array, Bad]:
        strange = pc.and_(pc.invert(pc.is_in(array, value_set=known)), array.is_valid())
        if reader.defaults:
            return pc.if_else(strange, pa.scalar(reader.defaults[0], pa.string()), array), {}
        bad = {
            row: (REASON, located(reader, f"the reader's enum has no symbol {array[row].as_py()!r}"))
            for row in pc.indices_nonzero(strange).to_pylist()
        }
        return array, bad

    return resolve


def _array(writer: Node, reader: Node) -> Resolve:
    resolve_item = _resolver(writer.children[0], reader.children[0])
    made = arrow_type(reader)

    def resolve(array: pa.ListArray) -> tuple[pa.Array, Bad]:
        array = _whole(array)
        items, wrong = resolve_item(array.values)
        mask = array.is_null() if array.null_count else None
        return pa.ListArray.from_arrays(array.offsets, items, type=made, mask=mask), _of_parents(array.offsets, wrong)

    return resolve


def _map(writer: Node, reader: Node) -> Resolve:
    resolve_item = _resolver(writer.children[0], reader.children[0])
    made = arrow_type(reader)

    def resolve(array: pa.MapArray) -> tuple[pa.Array, Bad]:
        array = _whole(array)
        items, wrong = resolve_item(array.items)
        mask = array.is_null() if array.null_count else None
        return pa.MapArray.from_arrays(array.offsets, array.keys, items, type=made, mask=mask), _of_parents(array.offsets, wrong)

    return resolve


def _whole(array: pa.Array) -> pa.Array:
    """Not a slice: values and offsets of a slice are those of the whole array."""
    return pa.concat_arrays([array, array.slice(0, 0)]) if array.offset else array


def _of_parents(offsets: pa.Array, wrong: Bad) -> Bad:
    if not wrong:
        return wrong
    ends, bad = offsets.to_pylist(), Bad()
    for item, problem in sorted(wrong.items()):
        bad.setdefault(bisect_right(ends, item) - 1, problem)
    return bad


def _called(node: Node) -> str:
    kind = f"an optional {node.children[0].kind}" if node.kind == "option" else node.kind
    if node.logical == "decimal":
        return f"decimal({node.precision},{node.scale})"
    return f"{kind} ({node.logical})" if node.logical else kind


def _refused(node: Node, what: str) -> DataError:
    return DataError(located(node, what), reason=REASON, hint="Give the reader_schema a default or an alias, or a wider type.")


_NUMBERS = {"int": pa.int32(), "long": pa.int64(), "float": pa.float32(), "double": pa.float64()}
_SAME_KIND: dict[str, Callable[[Node, Node], Resolve]] = {
    "record": _record, "fixed": _fixed, "enum": _enum, "array": _array, "map": _map,
}  # fmt: skip

"""`dataclass`, made in a quarter of the time: each start of DDPM makes sixty of them.

Until Python 3.13 the standard library's compiles every method of every class by itself, 0.8 ms for one that is frozen: 50 ms of each start.
Here only `__init__` is compiled, and the other methods are the same functions for all classes. What comes of it is a dataclass for
`dataclasses.fields`, `replace` and `asdict`, for pattern matching, for type checkers, and for who uses it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(field_specifiers=(dataclasses.field,))
def dataclass(*, frozen: bool = False, slots: bool = False, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """As `dataclasses.dataclass` with these arguments: fields to `__init__`, equality, a hash where it is frozen, and a `repr`."""

    def made(given: type[T]) -> type[T]:
        cls: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(given)
        cls.__init__ = _init(cls, frozen=frozen)
        cls.__dataclass_compared__ = tuple(field.name for field in dataclasses.fields(cls) if field.compare)
        own = given.__dict__
        methods: dict[str, Any] = {"__repr__": _repr, "__eq__": _eq}
        if frozen:
            methods |= {"__setattr__": _set, "__delattr__": _delete, "__getstate__": _state, "__setstate__": _set_state}
        for name, method in methods.items():
            if name not in own:
                setattr(cls, name, method)
        if "__hash__" not in own:
            cls.__hash__ = _hash if frozen else None
        return cls  # type: ignore[no-any-return]

    return made


def _init(cls: type, *, frozen: bool) -> Callable[..., None]:
    """Sets every field; the code is what one would write by hand."""
    names: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": MISSING}
    positional: list[str] = []
    keywords: list[str] = []
    body: list[str] = []
    for field in dataclasses.fields(cls):
        value = _parameter(field, names)
        if field.init:
            (keywords if field.kw_only else positional).append(value)
            value = field.name
            if field.default_factory is not MISSING:
                value = f"_new_{field.name}() if {field.name} is _MISSING else {field.name}"
        elif not value:
            continue  # `__post_init__` sets it.
        body.append(f"_set(self, {field.name!r}, {value})" if frozen else f"self.{field.name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    parameters = ", ".join(["self", *positional, *(["*", *keywords] if keywords else [])])
    exec(f"def __init__({parameters}):\n " + "\n ".join(body or ["pass"]), names)  # noqa: S102 - as the standard library does
    made: Callable[..., None] = names["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {field.name: field.type for field in dataclasses.fields(cls) if field.init} | {"return": None}
    return made


def _parameter(field: Field[Any], names: dict[str, Any]) -> str:
    """The field as a parameter of `__init__`; for one that is none, its value there, or nothing."""
    if field.default is not MISSING:
        names[f"_default_{field.name}"] = field.default
        return f"{field.name}=_default_{field.name}" if field.init else f"_default_{field.name}"
    if field.default_factory is not MISSING:
        names[f"_new_{field.name}"] = field.default_factory
        return f"{field.name}=_MISSING" if field.init else f"_new_{field.name}()"
    return field.name if field.init else ""


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__dataclass_compared__])


def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({shown})"


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash(_values(self))


def _set(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)

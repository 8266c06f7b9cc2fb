"""What DDPM's `dataclass` makes behaves like what the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar, Generic, TypeVar

import pytest

from ddpm_core import values

T = TypeVar("T")
Decorator = Callable[..., Callable[[type], Any]]


def classes(dataclass: Decorator) -> dict[str, Any]:
    """The same classes, made by one of the two."""

    @dataclass(frozen=True, slots=True)
    class Point:
        x: int
        y: float = 0.5
        tags: list[str] = field(default_factory=list)
        note: str = field(default="", compare=False)
        hidden: str = field(default="h", repr=False)
        kind: ClassVar[str] = "point"

        @property
        def doubled(self) -> int:
            return self.x * 2

    @dataclass(slots=True)
    class Box:
        x: int
        items: dict[str, int] = field(default_factory=dict)
        size: int = field(init=False)
        unit: str = field(init=False, default="mm")
        seen: list[int] = field(init=False, default_factory=list)

        def __post_init__(self) -> None:
            self.size = self.x + len(self.items)

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Base:
        name: str
        level: int = 1

        def __str__(self) -> str:
            return f"<{self.name}>"

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Derived(Base):
        more: tuple[str, ...] = ()
        must: int

    @dataclass(frozen=True, slots=True)
    class Holder(Generic[T]):
        value: T

    @dataclass(frozen=True, slots=True)
    class Nothing:
        pass

    @dataclass(frozen=True, slots=True)
    class Own:
        x: int

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 7

    made = (Point, Box, Base, Derived, Holder, Nothing, Own)
    for cls in made:
        cls.__qualname__ = cls.__name__
    return {cls.__name__: cls for cls in made}


OURS, THEIRS = classes(values.dataclass), classes(dataclasses.dataclass)
ARGUMENTS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (1,), {}),
    ("Point", (1, 2.0, ["a"]), {"note": "n", "hidden": "q"}),
    ("Point", (), {"x": 3, "tags": ["b"]}),
    ("Box", (1,), {}),
    ("Box", (1, {"a": 2}), {}),
    ("Base", (), {"name": "n"}),
    ("Derived", (), {"name": "n", "must": 3, "more": ("z",)}),
    ("Holder", ([1, 2],), {}),
    ("Nothing", (), {}),
    ("Own", (1,), {}),
]


def both(name: str, /, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return OURS[name](*args, **kwargs), THEIRS[name](*args, **kwargs)


def outcome(action: Callable[[], Any]) -> Any:
    """What comes of it, or the error and its words."""
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error), str(error).replace("classes.<locals>.", "")


@pytest.mark.parametrize(("name", "args", "kwargs"), ARGUMENTS)
class TestLikeTheStandardLibrarys:
    def test_they_look_the_same(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ours, theirs = both(name, *args, **kwargs)
        assert repr(ours) == repr(theirs)
        assert str(ours) == str(theirs)
        assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(theirs)]
        assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
        assert OURS[name].__match_args__ == THEIRS[name].__match_args__
        assert OURS[name].__slots__ == THEIRS[name].__slots__
        assert not hasattr(ours, "__dict__")

    def test_they_compare_the_same(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ours, theirs = both(name, *args, **kwargs)
        again, _ = both(name, *args, **kwargs)
        assert (ours == again) is True
        assert outcome(lambda: hash(ours)) == outcome(lambda: hash(theirs)) or hash(ours) == hash(again)
        assert (ours == theirs) is (theirs == ours)

    def test_they_take_the_same_changes(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ours, theirs = both(name, *args, **kwargs)
        for attribute in [f.name for f in dataclasses.fields(ours)]:
            for action in (lambda o: setattr(o, attribute, 1), lambda o: delattr(o, attribute)):  # noqa: B023 - called at once
                assert outcome(lambda: action(ours)) == outcome(lambda: action(theirs))  # noqa: B023

    def test_copies_are_equal(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ours, _ = both(name, *args, **kwargs)
        assert copy.copy(ours) == copy.deepcopy(ours) == ours
        assert dataclasses.replace(ours) == ours


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("Point", (), {}),
        ("Point", (1, 2, 3, 4, 5, 6), {}),
        ("Point", (1,), {"z": 1}),
        ("Box", (1,), {"size": 1}),
        ("Derived", ("n",), {}),
        ("Derived", (), {"name": "n"}),
        ("Nothing", (1,), {}),
    ],
)
def test_wrong_arguments_are_refused_in_the_same_words(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert outcome(lambda: OURS[name](*args, **kwargs)) == outcome(lambda: THEIRS[name](*args, **kwargs))


def test_each_gets_a_default_of_its_own() -> None:
    first, second = OURS["Point"](1), OURS["Point"](1)
    first.tags.append("a")
    assert second.tags == []


def test_what_is_hidden_from_comparison_is_not_compared() -> None:
    assert OURS["Point"](1, note="a") == OURS["Point"](1, note="b")
    assert OURS["Point"](1, hidden="a") != OURS["Point"](1, hidden="b")


def test_a_value_that_is_not_equal_to_itself_is_equal_in_the_same_place() -> None:
    nan = float("nan")
    ours, theirs = both("Holder", nan)
    assert ours == OURS["Holder"](nan)
    assert theirs == THEIRS["Holder"](nan)


def test_a_pattern_takes_it_apart() -> None:
    match OURS["Point"](1, 2.0):
        case values_point if isinstance(values_point, OURS["Point"]):
            assert (values_point.x, values_point.y) == (1, 2.0)


def test_parameters_are_named_as_the_fields() -> None:
    for name in OURS:
        ours, theirs = (inspect.signature(made[name]) for made in (OURS, THEIRS))
        assert [(p.name, p.kind, p.annotation) for p in ours.parameters.values()] == [
            (p.name, p.kind, p.annotation) for p in theirs.parameters.values()
        ]


@values.dataclass(frozen=True, slots=True)
class Packed:
    x: int
    more: tuple[str, ...] = ()


def test_one_that_is_frozen_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(Packed(1, ("a",)))) == Packed(1, ("a",))

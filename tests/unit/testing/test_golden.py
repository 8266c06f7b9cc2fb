"""Golden messages are found beside a format's parser, and say what the parser makes of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddpm_core import FormatSpec, Parser, PluginError
from ddpm_core.testing import GoldenMessage, GoldenMessages, LineParser, golden_messages_of
from ddpm_core.testing.format_golden import check_golden

GOOD = GoldenMessage(b"a", [{"line": "a"}])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of an importable package."""
    folder = tmp_path / "golden_sample"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("golden_sample")]:
        del sys.modules[name]


def spec(parser: str = "golden_sample.parser:build") -> FormatSpec:
    return FormatSpec(name="sample", summary="A sample", parser=parser)


def test_they_are_found_by_the_place_of_the_parser(package: Path) -> None:
    (package / "golden.py").write_text(
        "from ddpm_core.testing import GoldenMessage, GoldenMessages\n"
        "def golden_messages(name):\n    return GoldenMessages([GoldenMessage(name.encode(), [{}])])\n"
    )
    found = golden_messages_of(spec())
    assert found is not None
    assert found.good[0].payload == b"sample"


def test_a_package_without_them_has_none(package: Path) -> None:
    assert golden_messages_of(spec()) is None
    assert golden_messages_of(spec("single_module:build")) is None


def test_something_else_is_said_to_be_something_else(package: Path) -> None:
    (package / "golden.py").write_text("def golden_messages(name):\n    return []\n")
    with pytest.raises(PluginError) as caught:
        golden_messages_of(spec())
    assert caught.value.message == "golden_sample.golden.golden_messages('sample') gave list, and no GoldenMessages"


def test_a_message_has_rows_or_a_reason() -> None:
    with pytest.raises(ValueError, match="it has rows or a reason"):
        GoldenMessage(b"", [{}], "bad")
    with pytest.raises(ValueError, match="has a reason"):
        GoldenMessages([GoldenMessage(b"", reason="bad")])
    with pytest.raises(ValueError, match="has no reason"):
        GoldenMessages([GOOD], bad=[GOOD])


def test_all_of_them_stand_with_the_bad_ones_among_the_others() -> None:
    bad = [GoldenMessage(str(n).encode(), reason="bad") for n in range(3)]
    assert [m.payload for m in GoldenMessages([GOOD], [GOOD], bad).all()] == [b"a", b"0", b"a", b"1", b"2"]


@pytest.mark.parametrize(
    "message",
    [
        GoldenMessage(b"a", [{"line": "b"}]),
        GoldenMessage(b"a"),
        GoldenMessage(b"a", [{"line": "a"}, {"line": "a"}]),
        GoldenMessage(b"a", reason="bad"),
        GoldenMessage(None, reason="bad"),
    ],
)
def test_what_the_parser_does_not_make_of_them_is_found(message: GoldenMessage) -> None:
    parser: Parser = LineParser()
    check_golden(parser, [GOOD], 1)
    with pytest.raises(AssertionError):
        check_golden(parser, [GOOD, message], 2)

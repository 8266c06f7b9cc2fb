"""What a function gives becomes rows; what it gets wrong costs its payload, and says where."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ddpm_core import BuildContext, ConfigError, DataError, Document, Messages, Parsed, Position, RetryableError
from ddpm_core.config.options import check_options
from ddpm_custom.options import CustomOptions
from ddpm_custom.parser import CustomParser, build

Make = Callable[..., CustomParser]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(code: str, name: str = "parse", **options: Any) -> CustomParser:
        (tmp_path / "mine.py").write_text(code)
        return build(CustomOptions(function=f"{tmp_path}/mine.py:{name}", **options), BuildContext())

    return made


def messages(*values: bytes | None) -> Messages:
    size = len(values)
    return Messages(list(values), ["t"] * size, list(range(size)), {"t": Position(0)}, {"t": Position(size)})


def told(parsed: Parsed) -> list[tuple[int, str, str]]:
    return [(reject.index, reject.reason, reject.message) for reject in parsed.rejects]


def test_one_row_several_rows_and_none(make: Make) -> None:
    code = (
        "def parse(payload):\n"
        "    n = int(payload)\n"
        "    if n == 9: return {}\n"
        "    if n == 0: return None\n"
        "    return {'n': n} if n == 1 else ({'n': i} for i in range(n))\n"
    )
    parsed = make(code).parse_messages(messages(b"1", b"0", b"2", b"9"))
    assert parsed.data.to_pylist() == [{"n": 1}, {"n": 0}, {"n": 1}]
    assert parsed.origin.to_pylist() == [0, 2, 2]
    assert (parsed.filtered, parsed.rejects) == (2, [])


def test_what_it_raises_costs_its_payload_and_says_where(make: Make) -> None:
    code = (
        "import sys\n"
        "def helper(payload):\n"
        "    return int(payload)\n"
        "def parse(payload):\n"
        "    if payload == b'exit': sys.exit('enough')\n"
        "    if payload == b'deep': return parse(payload)\n"
        "    if payload == b'late': return late()\n"
        "    if payload == b'fat': raise MemoryError\n"
        "    return {'n': helper(payload)}\n"
        "def late():\n"
        "    yield {'n': 1}\n"
        "    raise KeyError('k')\n"
    )
    parsed = make(code).parse_messages(messages(b"1", b"x", b"exit", b"late", b"deep", b"fat", None, b"2"))
    assert parsed.data.to_pylist() == [{"n": 1}, {"n": 2}]
    found = told(parsed)
    deep = found.pop(3)
    assert deep[:2] == (4, "plugin_error")
    assert deep[2].startswith("parse raised RecursionError: maximum recursion depth exceeded")
    assert found == [
        (1, "plugin_error", "parse raised ValueError: invalid literal for int() with base 10: b'x' (mine.py, line 3)"),
        (2, "plugin_error", "parse raised SystemExit: enough (mine.py, line 5)"),
        (3, "plugin_error", "parse raised KeyError: 'k' (mine.py, line 12)"),
        (5, "memory", "parse needs more memory than there is (mine.py, line 8)"),
        (6, "no_value", "the message has no value (a tombstone)"),
    ]
    assert parsed.rejects[0].raw == b"x"


def test_errors_of_ddpm_keep_their_meaning(make: Make) -> None:
    code = (
        "from ddpm_core import DataError, RetryableError\n"
        "def parse(payload):\n"
        "    raise RetryableError('the map is offline') if payload == b'w' else DataError('no sensor 7', reason='sensor_unknown')\n"
    )
    parser = make(code)
    assert told(parser.parse_messages(messages(b"x"))) == [(0, "sensor_unknown", "no sensor 7")]
    with pytest.raises(RetryableError):
        parser.parse_messages(messages(b"w"))


@pytest.mark.parametrize(
    ("result", "what"),
    [
        ("7", "gave an int"),
        ("'text'", "gave a str"),
        ("b''", "gave a bytes"),
        ("[1, 2]", "gave an int as row 1"),
        ("[{'a': 1}, None]", "gave a NoneType as row 2"),
        ("object", "gave a type"),
    ],
)
def test_what_is_no_row_is_said(result: str, what: str, make: Make) -> None:
    parsed = make(f"def parse(payload):\n    return {result}\n").parse_messages(messages(b"x"))
    assert told(parsed) == [
        (0, "plugin_error", f"parse {what}, and a row is a dict; several are a list of dicts; none is None"),
    ]


def test_text_is_decoded_before_the_function_sees_it(make: Make) -> None:
    parsed = make("def parse(text):\n    return {'t': text.upper()}\n", text=True).parse_messages(messages("ä".encode(), b"a\xff"))
    assert parsed.data.to_pylist() == [{"t": "Ä"}]
    assert told(parsed) == [(1, "encoding", "it is not valid utf-8: byte 2 of it")]


def test_a_document_may_be_one_payload(make: Make) -> None:
    code = "def parse(payload):\n    return [{'n': int(x)} for x in payload.split()]\n"
    parser = make(code, framing="whole")
    assert not parser.resumable
    (step,) = parser.parse_document(Document("f", "p", io.BytesIO(b"1\n2 3")))
    assert (step.records, step.data.to_pylist()) == (1, [{"n": 1}, {"n": 2}, {"n": 3}])


def test_a_payload_that_is_too_long_is_never_seen_by_the_function(make: Make) -> None:
    parser = make("def parse(payload):\n    return {'size': len(payload)}\n", max_record_bytes=10)
    parsed = parser.parse_messages(messages(b"12345", b"x" * 11, None))
    assert parsed.data.to_pylist() == [{"size": 5}]
    assert told(parsed) == [
        (1, "too_large", "the record has 11 bytes, more than the 10 allowed"),
        (2, "no_value", "the message has no value (a tombstone)"),
    ]
    (step,) = parser.parse_document(Document("f", "p", io.BytesIO(b"x" * 50)))
    assert [reject.reason for reject in step.rejects] == ["too_large"]


def test_a_function_of_an_installed_module_needs_no_file() -> None:
    parser = build(CustomOptions(function="json:loads"), BuildContext())
    parsed = parser.parse_messages(messages(b'{"a": 1}', b"nope"))
    assert parsed.data.to_pylist() == [{"a": 1}]
    assert [reject.reason for reject in parsed.rejects] == ["plugin_error"]


# Loading.


def test_checking_options_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("raise SystemExit('it ran')")
    check_options(CustomOptions, {"function": f"{path}:parse"}, owner="format custom")


@pytest.mark.parametrize("place", ["parse", "mine.py", "a b:c", "mod:", ":f", "1mod:f", "mod:f()"])
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(CustomOptions, {"function": place}, owner="format custom")
    assert str(caught.value) == "format custom, option 'function': write it as module:function or path.py:function"


@pytest.mark.parametrize(
    ("code", "name", "text"),
    [
        ("def parse(:\n", "parse", "{path} cannot be imported: invalid syntax ({path}, line 1)"),
        (
            "\nimport nowhere_at_all\n",
            "parse",
            "{path} cannot be imported: ModuleNotFoundError: No module named 'nowhere_at_all' ({path}, line 2)",
        ),
        ("x = 1\n1 / 0\n", "parse", "{path} cannot be imported: ZeroDivisionError: division by zero ({path}, line 2)"),
        ("raise SystemExit(3)\n", "parse", "{path} cannot be imported: SystemExit: 3 ({path}, line 1)"),
        ("def parse(x): ...\n", "prase", "{path} has no function 'prase'\nDid you mean 'parse'?"),
        ("x = 1\n", "parse", "{path} has no function 'parse'"),
        ("parse = 1\n", "parse", "'parse' in {path} is no function, but an int"),
        (
            "def parse(): ...\n",
            "parse",
            "the function parse() in {path} cannot be called with one payload\nWrite it as: def parse(payload): ...",
        ),
        (
            "def parse(a, b): ...\n",
            "parse",
            "the function parse(a, b) in {path} cannot be called with one payload\nWrite it as: def parse(payload): ...",
        ),
        ("async def parse(a): ...\n", "parse", "the function 'parse' in {path} is async\nWrite it with def, and return its rows."),
    ],
)
def test_a_function_that_cannot_be_used_says_why(code: str, name: str, text: str, make: Make, tmp_path: Path) -> None:
    before = list(sys.path)
    with pytest.raises(ConfigError) as caught:
        make(code, name)
    assert str(caught.value) == text.format(path=tmp_path / "mine.py")
    assert sys.path == before


def test_a_file_or_module_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        build(CustomOptions(function=f"{tmp_path}/none.py:parse"), BuildContext())
    assert str(caught.value) == f"there is no file {tmp_path}/none.py"
    with pytest.raises(ConfigError) as caught:
        build(CustomOptions(function="no_such_module_at_all.deep:parse"), BuildContext())
    assert str(caught.value) == (
        "there is no module 'no_such_module_at_all.deep'\nInstall its package, set PYTHONPATH, or name the file: path.py:function"
    )


def test_a_relative_path_counts_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def parse(payload):\n    return {'a': 1}\n")
    monkeypatch.chdir(tmp_path)
    assert build(CustomOptions(function="mine.py:parse"), BuildContext()).parse_payload(b"x") == [{"a": 1}]


def test_each_file_finds_its_own_helpers_and_leaves_no_trace(tmp_path: Path) -> None:
    before = list(sys.path)
    parsers = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "their_helper.py").write_text(f"NAME = {name!r}\n")
        (folder / "json.py").write_text("raise SystemExit('it hides the real one')\n")
        (folder / "mine.py").write_text(
            "import json\nimport their_helper\ndef parse(payload):\n    return {'from': their_helper.NAME}\n"
        )
        parsers.append(build(CustomOptions(function=f"{folder}/mine.py:parse"), BuildContext()))
    assert [parser.parse_payload(b"x") for parser in parsers] == [[{"from": "one"}], [{"from": "two"}]]
    assert sys.path == before
    assert "their_helper" not in sys.modules


def test_errors_have_reasons_that_users_filter_by(make: Make) -> None:
    with pytest.raises(DataError) as caught:
        make("def parse(payload):\n    raise ValueError\n").parse_payload(b"x")
    assert (caught.value.reason, caught.value.message) == ("plugin_error", "parse raised ValueError (mine.py, line 2)")


def test_more_rows_than_are_allowed_cost_their_payload_however_many_come(make: Make) -> None:
    code = "def parse(payload):\n    yield {'n': 1}\n    while payload == b'many': yield {'n': 2}\n"
    parsed = make(code, max_rows=10).parse_messages(messages(b"one", b"many", b"one"))
    assert parsed.data.to_pylist() == [{"n": 1}, {"n": 1}]
    assert told(parsed) == [(1, "collection_limit", "parse gave more than 10 rows")]


def test_an_exception_that_cannot_be_shown_costs_its_payload(make: Make) -> None:
    code = "class Odd(Exception):\n    def __str__(self): raise ValueError\ndef parse(payload):\n    raise Odd\n"
    assert told(make(code).parse_messages(messages(b"1"))) == [
        (0, "plugin_error", "parse raised Odd: its text cannot be shown (mine.py, line 4)")
    ]

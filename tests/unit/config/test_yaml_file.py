"""YAML is read strictly: what could be meant in two ways, or is there to harm, is an error with its line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.config.yaml_file import parse_yaml, plain_scalar, read_yaml
from ddpm_core.errors import ConfigError
from tests.examples import examples


def read(text: str):
    node, problems = parse_yaml(text, "p.yaml")
    assert problems == []
    return node.plain_value()


def mistakes(text: str) -> list[str]:
    try:
        _, problems = parse_yaml(text, "p.yaml")
    except ConfigError as error:
        return str(error).split("\n")
    return [str(problem) for problem in problems]


def test_values_are_those_of_yaml_1_2():
    text = "a: no\nb: on\nc: yes\nd: true\ne: False\nf: 2026-11-21\ng: 10:30\nh: 0o17\ni: 0123\nj: 1.5\nk: 1e3\nl: ~\nm:\nn: 'true'\no: 0x1F\np: 1_000\n"
    assert read(text) == {
        "a": "no", "b": "on", "c": "yes", "d": True, "e": False, "f": "2026-11-21", "g": "10:30", "h": 15, "i": 123,
        "j": 1.5, "k": 1000.0, "l": None, "m": None, "n": "true", "o": 31, "p": "1_000",
    }  # fmt: skip


def test_keys_are_text_whatever_they_look_like():
    assert read("on: 1\n1: 2\ntrue: 3\nnull: 4\n") == {"on": 1, "1": 2, "true": 3, "null": 4}


def test_every_value_and_key_knows_its_line_and_path():
    node, _ = parse_yaml("a:\n  - b: {c: 1,\n      d: x}\n", "p.yaml")
    inner = node.find(["a", 0, "b"])
    assert (inner.find(["d"]).mark.line, inner.find(["d"]).mark.column, inner.find(["d"]).path) == (3, 10, "a[0].b.d")
    assert str(inner.keys["d"]) == "p.yaml:3"


def test_a_whole_value_may_be_repeated_by_an_alias():
    assert read("a: &x {n: [1, 2]}\nb: *x\n") == {"a": {"n": [1, 2]}, "b": {"n": [1, 2]}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a:\n  b: 1\n  b: 2\n", "p.yaml:3: a.b: stands here a second time; the first is in line 2 (keep one of them)"),
        ("a: [{x: {y: 1, y: 2}}]", "p.yaml:1: a[0].x.y: stands here a second time; the first is in line 1 (keep one of them)"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "p.yaml:1: a: tags (!) have no meaning here (write the value alone; text that begins with ! goes into quotes)",
        ),
        ("a: !!str 1", "p.yaml:1: a: tags (!) have no meaning here (write the value alone; text that begins with ! goes into quotes)"),
        ("!x a: 1", "p.yaml:1: tags (!) have no meaning here (write the key alone)"),
        ("? [a, b]\n: 1\n", "p.yaml:1: a key is text, and this is none"),
        ("x: &x {a: 1}\ny:\n  <<: *x\n", "p.yaml:3: y.<<: merge keys are not taken (write the keys out, or repeat a whole value by an alias)"),
        ("a: 1\n---\nb: 2\n", "p.yaml:2: a second document begins here (a file holds one pipeline: remove the ---, or make two files)"),
        ("a: &a [*a]", "p.yaml:1: a[0]: an alias stands inside of what it repeats"),
        ("a: *b", "p.yaml:1: a: an alias repeats what is not there (text that begins with * goes into quotes)"),
        ("a:\n\tb: 1\n", "p.yaml:2: is no YAML: a tab is used to indent (YAML is indented by spaces)"),
        ("", "p.yaml: is empty"),
        ("# nothing\n", "p.yaml: is empty"),
        ("a: 1\nb: \x00\n", "p.yaml:2: the character '\\x00' may not be in YAML (write it as an escape in double quotes)"),
        ("[" * 100_000, "p.yaml:1: values are nested deeper than 64"),
        ("{a: " * 100_000, "p.yaml:1: values are nested deeper than 64"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text: str, told: str):
    assert mistakes(text) == [told]


def test_syntax_that_breaks_off_names_its_line_and_what_to_do():
    (told,) = mistakes("a:\n  topics: [${TOPIC}]\n")
    assert told.startswith("p.yaml:2: is no YAML: ")
    assert told.endswith('(inside [ ] and { } put a variable into quotes: "${NAME}")')
    (told,) = mistakes("a: b: c")
    assert told.endswith("(text that holds a colon and a space goes into quotes)")


def test_all_mistakes_are_told_at_once():
    assert [line.split(": ")[1] for line in mistakes("a: !x 1\na: 2\nb: {c: 1, c: 2}\nd: *e\n")] == ["a", "a", "b.c", "d"]


def test_billion_laughs_are_counted_and_not_made():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    began = time.process_time()
    (told,) = mistakes("\n".join(lines))
    assert told == "p.yaml:5: a4[7]: there are more than 100,000 values, those that aliases repeat counted each time"
    assert time.process_time() - began < 2


def test_a_flood_of_mistakes_is_cut():
    told = mistakes("\n".join(["a: 1"] * 1000))
    assert len(told) == 101
    assert told[-1] == "p.yaml:101: there are more mistakes than are listed here"


def test_a_file_is_bounded_in_size(tmp_path: Path):
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * 10_000_001)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert (
        str(caught.value)
        == f"{path} has more than 10,000,000 bytes\nIs it a configuration? Keep data and schemas in files of their own."
    )


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path):
    for name, content, told in [
        ("missing", None, "there is no file {}"),
        ("", None, "{} is a folder, not a file"),
        ("latin", b"a: 1\nb: \xe9\n", "{}:2: is not UTF-8 (save the file as UTF-8)"),
    ]:
        path = tmp_path / name if name else tmp_path
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError) as caught:
            read_yaml(path)
        assert str(caught.value) == told.format(path)


def test_a_byte_order_mark_is_no_content(tmp_path: Path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path)[0].plain_value() == {"a": 1}


def test_what_is_in_the_file_is_in_no_message():
    for text in (
        "a: 'canary",
        "canary: [",
        "a: {canary: 1, canary",
        "a: canary: b",
        "%canary",
        "a: &canary",
        "a: @canary",
        '"\\canary"',
    ):
        for told in mistakes(text):
            assert "canary" not in told.replace("a.canary", "")


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co", "Cf", "Zl", "Zp"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12)


@given(TREES)
@settings(max_examples=examples(60), deadline=None)
def test_what_another_writer_wrote_is_read_as_it_was_meant(tree):
    assert read(json.dumps(tree, ensure_ascii=False)) == tree  # JSON is YAML.


@given(st.text(alphabet="ab:-[]{}&*!#|>'\"%@`,?~<\t\n 01.$\\", max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_text_is_read_or_refused_and_never_fails_otherwise(text: str):
    try:
        node, problems = parse_yaml(text, "p.yaml")
    except ConfigError as error:
        problems = list(error.problems)
    else:
        node.plain_value()
    assert all(problem.where.startswith("p.yaml") for problem in problems)


@given(st.text(max_size=12))
@settings(max_examples=100, deadline=None)
def test_a_plain_scalar_means_something_whatever_it_is(text: str):
    assert isinstance(plain_scalar(text), str | int | float | bool | None)


def test_a_key_of_any_size_and_content_is_shown_on_one_line():
    (told,) = mistakes(f'"{"k" * 500}": {{"a\\nb": 1, "a\\nb": 2}}')
    assert told == f"p.yaml:1: {'k' * 80}….'a\\nb': stands here a second time; the first is in line 1 (keep one of them)"

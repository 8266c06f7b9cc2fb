"""Variables: where they come from, and that their content is only ever text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_core.config.environment import Environment, Layer, read_env_file
from ddpm_core.config.yaml_file import parse_yaml
from ddpm_core.errors import ConfigError


def filled(text: str, **variables: str):
    """The value of the key `a`, and what is told."""
    raw, _ = parse_yaml(text, "p.yaml")
    problems: list = []
    node = Environment([Layer(variables, Path(), "the environment")]).fill(raw, problems)
    return node.plain_value()["a"], [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "variables", "value"),
    [
        ("a: ${X}", {"X": "1"}, "1"),
        ("a: ${X}", {"X": ""}, ""),
        ("a: 'x${X}y${Y}'", {"X": "1", "Y": "2"}, "x1y2"),
        ("a: ${X:d}", {}, "d"),
        ("a: ${X:d}", {"X": ""}, ""),
        ("a: ${X:-d}", {"X": ""}, "d"),
        ("a: ${X:-d}", {"X": "1"}, "1"),
        ("a: ${X:}", {}, ""),
        ("a: '${X:http://h:80/p?a=b c}'", {}, "http://h:80/p?a=b c"),
        ("a: $${X}", {}, "${X}"),
        ("a: ^\\d+$", {}, "^\\d+$"),
        ("a: $X $$ ${X}", {"X": "${Y} $${Z}"}, "$X $$ ${Y} $${Z}"),
        ("a: [1, '${X}']", {"X": "[1, 2]"}, [1, "[1, 2]"]),
    ],
)
def test_what_is_written_becomes(text: str, variables: dict[str, str], value: object):
    assert filled(text, **variables) == (value, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: ${X}", "p.yaml:1: a: the variable X is not set (set it, or give a default: ${X:default})"),
        ("a: ${X", "p.yaml:1: a: a variable begins with ${ and does not end (end it with }; for ${ itself write $${)"),
        (
            "a: ${1X}",
            (
                "p.yaml:1: a: this is no variable: ${ } holds a name of letters, digits and _ "
                "(write ${NAME} or ${NAME:default}; for ${ itself write $${)"
            ),
        ),
        (
            "a: '${X:${Y}}'",
            "p.yaml:1: a: a variable stands inside of another one (give it a default that is text; for ${ itself write $${)",
        ),
    ],
)
def test_a_variable_without_a_value_is_an_error(text: str, told: str):
    assert filled(text)[1] == [told]


def test_every_variable_that_is_not_set_is_told():
    _, told = filled("a: ${X}${Y}\nb: [{c: '${Z}'}]\n")
    assert [line.partition("variable ")[2].partition(" ")[0] for line in told] == ["X", "Y", "Z"]


def test_keys_are_not_filled_in():
    assert filled("a: {'${X}': 1}", X="y") == ({"${X}": 1}, ["p.yaml:1: a.${X}: variables are filled in in values, not in keys"])


def test_an_alias_is_filled_in_at_each_place():
    raw, _ = parse_yaml("a: &x {b: '${X}'}\nc: *x\n", "p.yaml")
    node = Environment([Layer({"X": "1"}, Path(), "")]).fill(raw, [])
    assert node.find(["c", "b"]).path == "c.b"
    assert node.plain_value() == {"a": {"b": "1"}, "c": {"b": "1"}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipelines").mkdir()
    return tmp_path


def looked_up(here: Path, text: str, environment: dict[str, str]):
    raw, _ = parse_yaml(f"a: '{text}'", "p.yaml")
    problems: list = []
    made = Environment.of(here / "pipelines" / "p.yaml", environment)
    node = made.fill(raw, problems).entries["a"]
    return node.value, node.shown, [str(problem) for problem in problems]


def test_the_environment_wins_over_env_files_and_the_nearer_file_over_the_other(here: Path):
    (here / ".env").write_text("A=cwd\nB=cwd\nC=cwd\n")
    (here / "pipelines" / ".env").write_text("# of this pipeline\nexport A='beside'\nB=\"beside\"\n")
    assert looked_up(here, "${A} ${B} ${C}", {"A": "real"})[0] == "real beside cwd"


def test_an_env_file_refers_to_no_other_variable(here: Path):
    (here / ".env").write_text("A='x${B}'\nB=1\n")
    assert looked_up(here, "${A}", {})[0] == "x${B}"


def test_a_line_of_an_env_file_that_is_none_is_an_error(here: Path):
    (here / ".env").write_text("A=1\n=canary\nB='x\n")
    with pytest.raises(ConfigError) as caught:
        looked_up(here, "${A}", {})
    what = "is not NAME=VALUE (write NAME=VALUE, or begin the line with # for a comment)"
    assert str(caught.value) == f"{here}/.env:2: {what}\n{here}/.env:3: {what}"


def test_an_env_file_that_is_no_text_is_an_error(here: Path):
    (here / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        read_env_file(here / ".env")


@pytest.mark.parametrize(
    ("content", "value"), [(b"s3cret\n", "s3cret"), (b"s3cret\r\n", "s3cret"), (b"s3cret", "s3cret"), (b"two\n\n", "two\n")]
)
def test_a_secrets_file_gives_its_content_without_the_last_line_end(here: Path, content: bytes, value: str):
    (here / "secret").write_bytes(content)
    assert looked_up(here, "${DB:none}", {"DB_FILE": "secret"}) == (value, "***", [])


def test_a_secrets_file_that_cannot_be_read_is_an_error(here: Path):
    (here / "binary").write_bytes(b"\xff\xfe")
    (here / "large").write_bytes(b"x" * ((1 << 20) + 1))
    for file, told in [
        ("missing", f"DB_FILE names {here}/missing, which is not there"),
        ("binary", f"DB_FILE names {here}/binary, which is not UTF-8"),
        ("pipelines", f"DB_FILE names {here}/pipelines, which is no file"),
        ("large", f"DB_FILE names {here}/large, which has more than 1,048,576 bytes"),
        ("/dev/zero", "DB_FILE names /dev/zero, which is no file"),
    ]:
        assert looked_up(here, "${DB:default}", {"DB_FILE": file})[2] == [f"p.yaml:1: a: {told}"]


def test_a_variable_and_its_file_at_once_are_an_error(here: Path):
    told = "p.yaml:1: a: DB and DB_FILE are both set in the environment; remove one of them"
    assert looked_up(here, "${DB}", {"DB": "x", "DB_FILE": "y"})[2] == [told]


def test_the_environments_file_wins_over_the_value_of_an_env_file(here: Path):
    (here / ".env").write_text("DB=dev\n")
    (here / "secret").write_text("production\n")
    assert looked_up(here, "${DB}", {"DB_FILE": "secret"})[0] == "production"


def test_a_value_that_is_no_text_is_an_error(here: Path):
    assert looked_up(here, "${X}", {"X": "a\udcff"})[2] == ["p.yaml:1: a: the variable X is not UTF-8"]


@pytest.mark.parametrize(
    ("variables", "text", "shown"),
    [
        ({"DB_PASSWORD": "hunter22"}, "postgresql://u:${DB_PASSWORD}@h/x", "postgresql://u:***@h/x"),
        ({"API_TOKEN": "hunter22"}, "${API_TOKEN}", "***"),
        ({"HOST": "h"}, "${HOST}:${PORT:80}", "h:80"),
        ({"PWD": "/work"}, "${PWD}/x", "/work/x"),
    ],
)
def test_what_is_shown_hides_what_comes_from_secrets(here: Path, variables, text, shown):
    assert looked_up(here, text, variables)[1] == shown


def test_secrets_and_passwords_of_urls_are_taken_out_of_messages(here: Path):
    made = Environment.of(here / "p.yaml", {"DB_PASSWORD": "hunter22", "URL": "postgresql://u:canary@h/x", "TOKEN": "ab"})
    made.fill(parse_yaml("a: ${DB_PASSWORD}${URL}${TOKEN}", "p.yaml")[0], [])
    assert made.scrub("not hunter22, canary; table") == "not ***, ***; table"


def structure(value):
    if isinstance(value, dict):
        return {key: structure(inner) for key, inner in value.items()}
    return [structure(inner) for inner in value] if isinstance(value, list) else type(value)


VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "x: y",
        "- a",
        "{a: b}",
        "[1]",
        "a\nb: c",
        "*x",
        "&x",
        "!!python/object:os",
        "'",
        '"',
        "#",
        "${Y}",
        "null",
        "true",
        "12",
        "---\n",
        "|\n  x",
    ]
)


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_no_content_of_a_variable_changes_the_structure(content: str):
    text = "a:\n  - x: ${X}\n    y: 'p${X}s'\n  - [\"${X}\", 1]\nb: |\n  ${X}\nc: >-\n  ${X}\n"
    raw, _ = parse_yaml(text, "p.yaml")
    problems: list = []
    node = Environment([Layer({"X": content}, Path(), "")]).fill(raw, problems)
    assert problems == []
    assert structure(node.plain_value()) == {"a": [{"x": str, "y": str}, [str, int]], "b": str, "c": str}
    assert node.find(["a", 0, "x"]).value == content

"""docs/cli.md says all that the command line has, and nothing that it has not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ddpm_core.cli.errors import ExitCode
from ddpm_core.cli.main import cli
from ddpm_core.cli.settings import global_options

DOCS = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCS, re.MULTILINE | re.DOTALL))
GLOBAL = {name for option in global_options() for name in option.opts}


def commands(group: click.Group = cli, path: str = "ddpm") -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def documented(section: str) -> set[str]:
    """The options in the first column of the section's table."""
    rows = re.findall(r"^\| (`-.*?) \|(?= )", section.replace("\\|", "/"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(--?[\w-]+)", row)}


def examples(section: str) -> list[str]:
    lines = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    return [line.split(" | ")[-1] for line in lines]


COMMANDS = dict(commands())


def test_every_command_has_its_section_and_its_line_in_the_overview():
    assert {title for title in SECTIONS if title.startswith("ddpm ")} == set(COMMANDS)
    assert set(re.findall(r"^\| \[`(ddpm .+?)`\]", DOCS, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_is_documented_and_no_other(path):
    own = {name for p in COMMANDS[path].params if isinstance(p, click.Option) and not p.hidden for name in p.opts} - GLOBAL

    assert documented(SECTIONS[path]) == own


def test_the_global_options_are_documented():
    assert documented(SECTIONS["ddpm"]) == GLOBAL | {"--version", "-h", "--help"}


def test_every_exit_code_is_documented():
    assert re.findall(r"^\| (\d+) \|", SECTIONS["Exit codes"], re.MULTILINE) == [str(int(code)) for code in sorted(ExitCode)]


@pytest.mark.parametrize("path", COMMANDS)
def test_examples_use_every_option_and_can_be_typed_as_they_are(path):
    used: set[str] = set()
    for line in examples(SECTIONS[path]):
        words = shlex.split(re.sub(r" (>>?|<) \S+", "", line))
        assert words[: len(path.split())] == path.split(), line
        rest = words[len(path.split()) :]
        context = COMMANDS[path].make_context(path, list(rest), resilient_parsing=False)
        used |= {name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE}

    own = {p.name for p in COMMANDS[path].params if isinstance(p, click.Option) and not p.hidden and not GLOBAL & set(p.opts)}
    assert own <= used

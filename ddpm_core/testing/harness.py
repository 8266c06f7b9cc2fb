"""Golden messages of a format through real services: a Kafka topic, `ddpm run` as a process of its own, a Postgres table."""

from __future__ import annotations

import base64
import json
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from ddpm_core.plugin.specs import FormatSpec
from ddpm_core.registry import Registry
from ddpm_core.testing.golden import GoldenMessage, GoldenMessages, golden_messages_of
from ddpm_core.testing.harness_problems import Sent, letter_problems, position_problems, row_problems
from ddpm_core.testing.harness_services import HarnessServices, find_services
from ddpm_core.testing.harness_stream import Ended, GoldenStream, golden_stream

_MOST_MESSAGES, _MOST_ROWS, _MOST_BYTES = 4_000, 20_000, 4 << 20
"""How much is sent to a run that is killed: enough that it is killed between commits, little enough for a test."""


class FormatHarness:
    """Inherit it in a plugin's tests: `class TestStream(FormatHarness): name = "logline"`. Each test takes a few seconds.

    The plugin must be installed, since `ddpm` finds it as its users' does. Needed besides: a Kafka and a Postgres, from
    `ddpm services up` or at the addresses in `DDPM_TEST_KAFKA` and `DDPM_TEST_POSTGRES`.

    Attributes:
        name: The format's name.
        environment: More variables for `ddpm`.
    """

    name: ClassVar[str]
    environment: ClassVar[Mapping[str, str]] = {}

    def spec(self) -> FormatSpec:
        """The spec of the format, as it is installed."""
        return Registry.discover().format(self.name).spec

    def golden_messages(self) -> GoldenMessages | None:
        """What is sent. By default what lies in the module `golden` beside the format's parser."""
        return golden_messages_of(self.spec())

    @pytest.fixture
    def services(self) -> HarnessServices:
        """Where Kafka and Postgres are. Override it to start your own."""
        return find_services()

    @pytest.fixture
    def stream(self, services: HarnessServices, tmp_path: Path) -> Iterator[GoldenStream]:
        golden = self.golden_messages()
        if golden is None:
            pytest.fail(f"the format {self.name!r} brings no golden messages: see GoldenMessages", pytrace=False)
        with golden_stream(self.name, golden, services, tmp_path, self.environment) as made:
            yield made

    # What is asserted.

    def test_good_messages_land_and_a_second_run_lands_nothing_more(self, stream: GoldenStream) -> None:
        stream.send(stream.golden.good)
        for _ in range(2):
            _ended(stream.run_until_end(), 0)
            check(stream)

    def test_evolving_messages_bring_their_columns(self, stream: GoldenStream) -> None:
        if not stream.golden.evolving:
            pytest.skip("the format has no evolving messages")
        for messages in (stream.golden.good, stream.golden.evolving):
            stream.send(messages)
            _ended(stream.run_until_end(), 0)
            check(stream)

    def test_bad_messages_are_dead_letters_and_their_neighbours_land(self, stream: GoldenStream) -> None:
        self._with_bad(stream)
        stream.send(stream.golden.all())
        _ended(stream.run_until_end(), 3)
        check(stream)
        _ended(stream.run_until_end(), 0)
        check(stream)

    def test_dead_letters_are_listed_and_fail_again_when_they_are_sent_again(self, stream: GoldenStream) -> None:
        bad = self._with_bad(stream)
        stream.send(stream.golden.all())
        _ended(stream.run_until_end(), 3)
        listed = stream.ddpm("dlq", "list", "--db", stream.database, "--json", "--limit", str(len(bad) + 1))
        _ended(listed, 0)
        _fail_for(list_problems(stream.sent, listed.out))
        replayed = stream.ddpm("dlq", "replay", "--pipeline", str(stream.file()))
        _ended(replayed, 3)
        check(stream, attempts=2)

    def test_a_run_that_is_killed_goes_on_and_doubles_nothing(self, stream: GoldenStream) -> None:
        messages = stream.golden.all()
        half = repeats(messages)
        stream.send(messages, half)
        _ended(stream.run_until_killed(), -signal.SIGKILL)
        stream.send(messages, half)
        _ended(stream.run_until_stopped(), 0)
        check(stream)

    def _with_bad(self, stream: GoldenStream) -> Sequence[GoldenMessage]:
        if not stream.golden.bad:
            pytest.skip("the format has no bad messages")
        return stream.golden.bad


def check(stream: GoldenStream, *, attempts: int = 1) -> None:
    """Fail, with every difference, unless rows, dead letters and positions are what the messages sent say."""
    problems = row_problems(stream.sent, stream.rows())
    problems += letter_problems(stream.sent, stream.letters(), plugin=stream.name, attempts=attempts)
    problems += position_problems(stream.sent, stream.positions())
    _fail_for(problems)


def repeats(messages: Sequence[GoldenMessage]) -> int:
    """How often these are sent to a run that is killed."""
    rows = sum(len(message.rows) for message in messages) or 1
    nbytes = sum(len(message.payload or b"") for message in messages) or 1
    return max(1, min(_MOST_MESSAGES // len(messages), _MOST_ROWS // rows, _MOST_BYTES // nbytes))


def list_problems(sent: Sequence[Sent], listed: str) -> list[str]:
    """What `ddpm dlq list --json` leaves out, or lists besides the bad messages."""
    there = Counter(
        (
            one["reason"],
            base64.b64decode(one["payload"]) if one["payload_encoding"] == "base64" else one["payload"].encode(),
            one["partition"],
            one["offset"],
        )
        for one in json.loads(listed)
    )
    bad = [one for one in sent if one.message.reason]
    wanted = {(one.message.reason, one.message.payload or b"", one.partition, one.offset): one for one in bad}
    wrong = {key: one for key, one in wanted.items() if there[key] != 1}
    problems = [f"{one}\n    expected in `ddpm dlq list` once\n    found {there[key]}" for key, one in wrong.items()]
    return problems + [f"`ddpm dlq list` has what is no bad message: {key}" for key in there if key not in wanted]


def _ended(ended: Ended, code: int) -> None:
    if ended.code != code:
        pytest.fail(f"`ddpm` ended with {ended.code}, not with {code}. It printed:\n{ended.out}{ended.err}", pytrace=False)


def _fail_for(problems: Sequence[str]) -> None:
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)

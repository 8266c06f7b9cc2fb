"""What the kit asserts of a format's golden messages: they say what the parser makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ddpm_core.config.options import check_options
from ddpm_core.plugin.format import Parser
from ddpm_core.plugin.specs import BuildContext, resolve
from ddpm_core.testing.compare import plain_rows
from ddpm_core.testing.format_bench import FormatBench, Outcome, as_messages
from ddpm_core.testing.golden import GoldenMessage, GoldenMessages, golden_messages_of


class FormatGolden(FormatBench):
    """Of golden messages. The other mix-ins of `FormatConformance` are about reading, steps and writing."""

    def golden_messages(self) -> GoldenMessages | None:
        """The golden messages; None: the format brings none. By default those of the module `golden` beside its parser's."""
        return golden_messages_of(self.spec())

    def test_golden_messages_give_what_they_say(self) -> None:
        golden = self._golden()
        for piece in (1, len(golden.all())):
            parser = self.golden_parser(golden)
            check_golden(parser, golden.all(), piece)

    def test_golden_messages_give_the_same_whatever_came_before(self) -> None:
        golden = self._golden()
        parser = self.golden_parser(golden)
        for messages in (golden.evolving, golden.bad, golden.good, golden.evolving, golden.good):
            check_golden(parser, messages, 3)

    def _golden(self) -> GoldenMessages:
        golden = self.golden_messages()
        if golden is None:
            pytest.skip("the format brings no golden messages")
        return golden

    def golden_parser(self, golden: GoldenMessages) -> Parser:
        """A new parser with the options that the golden messages need."""
        spec = self.spec()
        options = check_options(spec.options_model(), golden.options, owner=f"format {self.name}")
        parser: Parser = resolve(spec.parser)(options, BuildContext())
        return parser


def check_golden(parser: Parser, messages: Sequence[GoldenMessage], piece: int) -> None:
    """So many messages at a time become what they say: rows from the right ones, rejects of the others with their bytes."""
    for start in range(0, len(messages), piece):
        sent = messages[start : start + piece]
        parsed = parser.parse_messages(as_messages([message.payload for message in sent]))
        rows = Outcome([parsed]).rows
        origin = list(range(len(rows))) if parsed.origin is None else parsed.origin.to_pylist()
        for index, message in enumerate(sent):
            got = [row for row, record in zip(rows, origin, strict=True) if record == index]
            assert plain_rows(got) == plain_rows(message.rows), f"message {start + index}: other rows"
            reasons = sorted({reject.reason for reject in parsed.rejects if reject.index == index})
            assert reasons == ([message.reason] if message.reason else []), f"message {start + index}: other rejects"
        for reject in parsed.rejects:
            raw = reject.raw if reject.raw is not None or parsed.raw is None else parsed.raw(reject.index)
            assert raw == sent[reject.index].payload, f"message {start + reject.index}: a reject with other bytes"

"""What parser and processors say of dead letters, without a run: nothing is written, claimed or marked."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from functools import partial

from ddpm_core.engine.blame import blame
from ddpm_core.engine.build import Pipeline
from ddpm_core.engine.contract import check_processed, check_step
from ddpm_core.engine.replay_source import as_messages
from ddpm_core.engine.replay_watch import Early, WatchedParser, WatchedProcessor
from ddpm_core.errors import ConfigError, FatalError, RetryableError
from ddpm_core.records import Batch, DeadLetter


def would_fail(pipeline: Pipeline, letters: Sequence[DeadLetter]) -> Counter[str]:
    """Reason -> how many of these letters parser or processors refuse.

    Raises:
        FatalError: The target cannot be reached.
    """
    early = Early()
    _expect_what_the_target_has(pipeline)
    assert pipeline.parser is not None  # noqa: S101 - letters are undecoded, or have a parser for rows
    parser, plugin = WatchedParser(pipeline.parser[0], early), pipeline.parser[1]
    messages = as_messages(letters)
    parsed = blame(plugin, lambda: parser.parse_messages(messages))
    check_step(plugin, parsed, "parse_messages", records=len(messages))
    batch = Batch(parsed.data, parsed.origin, messages) if parsed.data is not None and parsed.data.num_rows else None
    for inner, owner in pipeline.processors:
        processor = WatchedProcessor(inner, early)
        try:
            blame(owner, processor.open)
            if batch is not None and len(batch):
                processed = blame(owner, partial(processor.process, batch))
                check_processed(owner, processed, batch, parsed.records)
                batch = processed.batch
        finally:
            blame(owner, processor.close)
    return Counter(early.reasons.values())


def _expect_what_the_target_has(pipeline: Pipeline) -> None:
    """Give the parser the hint that it would have in a run, where the target can be looked at."""
    assert pipeline.parser is not None  # noqa: S101 - as above
    parser, plugin = pipeline.parser
    for use in pipeline.sinks:
        try:
            with contextlib.suppress(ConfigError):  # It has no columns to look at, or is not there yet.
                blame(use.plugin, use.sink.inspect)
                schema = blame(use.plugin, use.sink.expected_schema)
                if schema is not None:
                    blame(plugin, partial(parser.expect, schema))
                    return
        except RetryableError as error:
            raise FatalError(error.message, hint=error.hint) from error
        finally:
            blame(use.plugin, use.sink.close)

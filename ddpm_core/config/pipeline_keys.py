"""The keys of a pipeline's file, each with what it means: for its reader, for editors, and for the documentation."""

from __future__ import annotations

from ddpm_core.values import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """A key.

    Attributes:
        name: As written in the file.
        type: What its value is, for people.
        default: As one would write it; `required` where there is none, `none` where nothing is the default.
        meaning: A sentence or two.
    """

    name: str
    type: str
    default: str
    meaning: str


PIPELINE_KEYS = (
    Key("name", "name", "required", "What positions are kept under. A pipeline that is renamed begins anew."),
    Key("source", "plugin", "required", "Where records come from: the name of a source with its options."),
    Key("format", "plugin", "required", "What the source's bytes are in: the name of a format, or the name with options. Sources that decode themselves, such as `sql`, have none."),
    Key("processors", "list of plugins", "none", "What happens to rows on their way, in this order."),
    Key("sinks", "list of plugins", "required", "Where rows go: the name of each sink with its options, and beside it the keys below. All of them get every row."),
    Key("sink", "plugin", "none", "The same for a single sink, instead of `sinks`."),
    Key("dead_letter", "plugin", "none", "Where records go that are set aside: a sink that keeps dead letters, or `file: {path: …}`. By default beside the rows, and in `ddpm-dead-letters.ndjson` where a sink cannot keep them."),
    Key("columns", "mapping of names to types", "none", "Types of columns, such as `{ts: timestamp, amount: \"decimal(12,2)\"}`."),
    Key("linger", "duration", "0", "How long a record may wait for others, so that fewer transactions do the work: `10ms`."),
    Key("in_flight", "size", "none", "How many bytes may be read and not committed yet: `32MB`. By default what suits the source."),
    Key("reject_limit", "mapping", "none", "When too many rejects mean an outage: `{share: 5%, in_a_row: 1000}`."),
    Key("retry_for", "duration", "none", "How long what cannot be reached is waited for: `60s`, `forever`. By default for ever in a run that has no end, and 60 s in others."),
    Key("on_error", "dead-letter | fail", "dead-letter", "What becomes of a record that cannot be read or written: set it aside, or fail."),
)  # fmt: skip
"""The keys of a pipeline."""

SINK_KEYS = (
    Key("name", "name", "the plugin's", "What dead letters and messages call it. Two sinks of one plugin need names."),
    Key("when", "SQL condition", "none", "Only rows for which this is true go there, such as `device_type <> 'test'`."),
    Key("schema", "evolve | freeze", "none", "Whether its tables may gain columns and be widened. By default those that DDPM created may."),
    Key("guarantee", "exactly_once | at_least_once", "none", "What is asked of it. By default the best it can give; a sink that cannot give what is asked is an error."),
)  # fmt: skip
"""The keys of an entry of `sinks`, beside the plugin's name."""

LIMIT_KEYS = (
    Key("share", "share", "5%", "The most of the records of a minute, such as `5%` or `0.05`."),
    Key("in_a_row", "whole number", "1000", "The most one after the other."),
)
"""The keys of `reject_limit`."""


def names(keys: tuple[Key, ...]) -> tuple[str, ...]:
    """The names of these keys."""
    return tuple(key.name for key in keys)

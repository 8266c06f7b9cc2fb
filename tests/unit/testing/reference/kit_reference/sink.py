"""A third database on `TableSink`: SQLite, which has no schemas, no comments, no `now()` and no arrays."""

from kit_reference.template import run

run("sink", globals())

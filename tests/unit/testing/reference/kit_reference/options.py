"""The options of the sink for SQLite."""

from kit_reference.template import run

run("options", globals())

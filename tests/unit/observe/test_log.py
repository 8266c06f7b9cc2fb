"""The log: where it goes, what a line looks like, what never gets into it."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import subprocess
import sys

import pytest

from ddpm_core.observe import log


@pytest.fixture
def stream():
    root = logging.getLogger()
    before = root.level, logging.getLogger("ddpm").level
    yield io.StringIO()
    for handler in [h for h in root.handlers if isinstance(h, log.InterceptHandler)]:
        root.removeHandler(handler)
    root.setLevel(before[0])
    logging.getLogger("ddpm").setLevel(before[1])


def fail(message: str) -> None:
    raise ValueError(message)


def test_text_is_one_line_with_time_level_logger_and_fields(stream):
    log.configure("info", "text", stream)

    logging.getLogger("ddpm.engine").info("took %d rows {of <b>%s</b>}", 5, "a", extra={"table": "{t} <x>"})

    time, rest = stream.getvalue().split(" ", 1)
    assert dt.time.fromisoformat(time)
    assert rest == "INFO    ddpm.engine: took 5 rows {of <b>a</b>} table={t} <x>\n"


def test_json_is_one_object_a_line(stream):
    log.configure("info", "json", stream)

    logging.getLogger("ddpm.engine").warning("took %d\nrows", 5, extra={"rows": 5, "where": dt.date(2026, 1, 2)})
    logging.getLogger("somebody.else").error("oh")

    first, second = map(json.loads, stream.getvalue().splitlines())
    assert dt.datetime.fromisoformat(first.pop("time")).utcoffset() == dt.timedelta(0)
    assert first == {
        "level": "warning", "logger": "ddpm.engine", "message": "took 5\nrows", "extra": {"rows": 5, "where": "2026-01-02"},
        "exception": None,
    }  # fmt: skip
    assert (second["logger"], second["message"]) == ("somebody.else", "oh")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_records_below_the_level_are_dropped(stream, log_format):
    log.configure("warning", log_format, stream)

    logging.getLogger("ddpm.x").info("no")
    logging.getLogger("other").info("no")
    logging.getLogger("ddpm.x").warning("yes")

    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("debug", [False, True])
def test_passwords_are_in_no_part_of_a_record_tracebacks_included(stream, log_format, debug):
    log.configure("debug", log_format, stream, debug=debug)
    url = "postgresql://me:{}@host/db".format("hunter2")  # In two parts, since a traceback repeats this line.

    try:
        fail(f"cannot reach {url}")
    except ValueError:
        logging.getLogger("ddpm").exception("lost %s", url, extra={"url": url, "many": [url]})

    assert stream.getvalue().count("postgresql://me:***@host/db") == 4
    assert "hunter2" not in stream.getvalue()
    assert "ValueError: cannot reach postgresql://me:***@host/db" in stream.getvalue()


def test_a_traceback_in_json_is_one_string(stream):
    log.configure("debug", "json", stream)

    try:
        fail("x")
    except ValueError:
        logging.getLogger("ddpm").exception("lost")

    entry = json.loads(stream.getvalue())
    assert entry["message"] == "lost"
    assert entry["exception"].startswith("Traceback (most recent call last):\n")
    assert entry["exception"].endswith("ValueError: x")


def test_configured_again_it_replaces_what_was_set(stream):
    log.configure("info", "text", io.StringIO())
    log.configure("info", "text", stream)

    logging.getLogger("ddpm").info("once")

    assert stream.getvalue().count("once") == 1


def test_a_closed_stream_stops_nobody(stream):
    log.configure("info", "text", stream)
    stream.close()

    logging.getLogger("ddpm").info("lost")


def test_as_a_library_it_is_silent_and_loguru_waits_for_the_first_record():
    code = (
        "import logging, sys\n"
        "import ddpm_core.observe.log as log\n"
        "logging.getLogger('ddpm.engine').error('nobody asked')\n"
        "log.configure('info')\n"
        "assert 'loguru' not in sys.modules\n"
        "logging.getLogger('ddpm.engine').debug('too low')\n"
        "assert 'loguru' not in sys.modules\n"
        "logging.getLogger('ddpm.engine').info('now')\n"
        "assert 'loguru' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240)

    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(" INFO    ddpm.engine: now\n")
    assert done.stderr.count("\n") == 1

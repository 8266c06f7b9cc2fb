"""Functions of users that misbehave, mostly for the second of three payloads; what each does is in `functions.py`."""

from __future__ import annotations

from test_data.bad_input.case import Cases

FUNCTIONS = "test_data/bad_input/functions.py"
MEGABYTE = 1 << 20


def cases() -> Cases:
    """All of them."""
    c = Cases("custom", "custom_cases.py")
    three = b"1\n2\n3\n"

    def add(name: str, function: str, document: bytes = three, *, process: bool = False, **options: object) -> None:
        c.add(name, document, process=process, function=f"{FUNCTIONS}:{function}", **options)

    add("raises", "raises_now_and_then", process=True)
    add("raises for every payload", "good", b"a\n" * 500)
    add("recurses for ever", "recurses_for_ever", process=True)
    add("calls sys.exit", "exits", process=True)
    add("raises CancelledError", "is_cancelled")
    add("raises StopIteration", "stops_iterating")
    add("raises an exception that cannot be shown", "raises_what_cannot_be_shown")
    add("raises after its first row", "breaks_after_a_row")
    add("gives nonsense, in twelve ways", "gives_nonsense", b"".join(b"%d\n" % n for n in range(14)))
    add("gives 10,000,000 rows for a payload", "gives_ten_million_rows", process=True)
    add("gives rows for ever", "gives_rows_for_ever", process=True)
    add("gives 100 rows over max_rows", "gives_many_rows_for_each", max_rows=9_900)
    add("gives 10,000 rows for each of 50 payloads", "gives_many_rows_for_each", b"1\n" * 50, process=True)
    add("gives 1 MB for each of 30 payloads", "gives_long_texts", b"1\n" * 30)
    add("gives a value nested 100,000 deep", "gives_deep_values", process=True)
    add("gives a row that holds itself", "gives_itself")
    add("gives 100,000 columns", "gives_many_keys")
    add("gives a number of 50,000 digits", "gives_a_giant_number")
    add("takes memory until there is none", "takes_all_memory")
    add("asks for 2^60 bytes", "asks_for_more_than_there_is", process=True)
    add("a payload over max_record_bytes", "good", b"1\n" + b"2" * 200 + b"\n3\n", max_record_bytes=100)
    add("a payload that is not UTF-8", "good", b"1\n\xff\n3\n", text=True)
    add("a document over max_record_bytes", "good", b"1" * 200, max_record_bytes=100, framing="whole")
    return c

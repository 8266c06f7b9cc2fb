"""Durations, shares, sizes and bounds are read alike on the command line and in files."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ddpm_core.config import quantities


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("10ms", 0.01), (" 5 S ", 5), ("2m", 120), ("1.5h", 5400), ("0", 0)])
def test_durations(text: str, seconds: float):
    assert quantities.seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "nbytes"), [("1", 1), ("32MB", 32_000_000), ("16MiB", 16 << 20), ("1gb", 10**9), ("0.5 KiB", 512)]
)
def test_sizes(text: str, nbytes: int):
    assert quantities.nbytes(text) == nbytes


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("100 %", 1), ("0", 0)])
def test_shares(text: str, share: float):
    assert quantities.share(text) == pytest.approx(share)


def test_bounds_are_offsets_or_times():
    assert quantities.bound("1500") == 1500
    assert quantities.bound("2026-11-21") == datetime(2026, 11, 21, tzinfo=UTC)
    assert quantities.bound("2026-11-21T10:00:00+01:00") == datetime(2026, 11, 21, 10, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("parse", "texts", "told"),
    [
        (
            quantities.seconds,
            ["", "x", "5 days", "-1", "1e3", "nan", "inf", "１s"],
            "is no duration; write 10ms, 90, 90s, 5m or 1h",
        ),
        (quantities.nbytes, ["", "0", "0.1", "-1", "1tb", "9" * 400, "10 M"], "is no size; write 1000000, 16MiB or 1GB"),
        (quantities.share, ["", "101%", "1.1", "-5%", "%"], "is no share; write 5% or 0.05"),
        (
            quantities.bound,
            ["", "yesterday", "-5", "1.5", "9" * 30],
            "is neither an offset nor a time; write 1500 or 2026-11-21T10:00",
        ),
    ],
)
def test_anything_else_is_an_error_that_does_not_repeat_it(parse, texts, told):
    for text in texts:
        with pytest.raises(ValueError, match=r"^is ") as caught:
            parse(text)
        assert str(caught.value) == told

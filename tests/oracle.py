"""The judge outside the engine: numbered records go in, and each must come out once, as a row or as a dead letter."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

BAD_EVERY = 997
"""Every so manieth record is malformed; a prime, so that it falls everywhere."""


def write_events(folder: Path, *, files: int, records: int, seed: int) -> list[str]:
    """NDJSON files of different sizes with ten-field events; every record carries its own id, also the malformed ones.

    Args:
        records: In all files together.

    Returns:
        Every id, in the order of files and lines.
    """
    rng = random.Random(seed)
    weights = [rng.random() + 0.2 for _ in range(files)]
    ids: list[str] = []
    for number in range(files):
        count = round(records * weights[number] / sum(weights)) if number < files - 1 else records - len(ids)
        with (folder / f"part-{number:03}.ndjson").open("w") as file:
            for _ in range(count):
                n = len(ids)
                ids.append(f"ev-{n:08}")
                file.write(event_line(n, ids[-1], rng))
    return ids


def event_line(n: int, event_id: str, rng: random.Random) -> str:
    """Event number `n` as a line of JSON with its newline, or malformed."""
    if n % BAD_EVERY == BAD_EVERY - 1:
        return f'{{"event_id": "{event_id}", "user_id": {n}, "broken\n'
    event = {
        "event_id": event_id,
        "user_id": n % 5003,
        "event_type": rng.choice(("page_view", "click", "purchase", "search", "login", "logout")),
        "timestamp": f"2026-01-{n % 28 + 1:02}T{n % 24:02}:{n % 60:02}:00.{n % 1000:03}Z",
        "session_duration": n / 7,
        "device": rng.choice(("ios", "android", "web")),
        "app_version": f"{n % 4}.{n % 17}.{n % 5}",
        "locale": rng.choice(("pl_PL", "en_US", "de_DE")),
        "ip": f"10.{n % 256}.{n % 199}.{n % 251}",
        "amount": round(n * 0.37, 2),
    }
    return json.dumps(event) + "\n"


def judge(produced: Iterable[str], rows: Iterable[str], dead_letters: Iterable[bytes]) -> None:
    """Every id produced is a row or a dead letter, exactly once; nothing else is there.

    Args:
        rows: The ids found in the table.
        dead_letters: The payloads found beside it, each the line of a malformed record.
    """
    wanted = Counter(produced)
    landed = Counter(rows)
    dead = Counter(payload.split(b'"')[3].decode() for payload in dead_letters)
    found = landed + dead
    lost, doubled = wanted - found, found - wanted
    assert not lost, f"{lost.total()} records lost, such as {min(lost)}"
    assert not doubled, f"{doubled.total()} records doubled or made up, such as {min(doubled)}"
    bad = {event_id for n, event_id in enumerate(wanted) if n % BAD_EVERY == BAD_EVERY - 1}
    assert set(dead) == bad, "not exactly the malformed records are dead letters"

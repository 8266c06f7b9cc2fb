"""`python -m benchmarks [--smoke] [speed|peers|memory|startup|streams ...]`: measures, prints a table, and fails where a goal is missed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.memory import peaks
from benchmarks.peers import PYTHON, Peers, peers_python
from benchmarks.startup import starts
from benchmarks.stream_waits import Waits
from benchmarks.streams import Streams
from benchmarks.throughput import Bench
from tests.kafka import kafka
from tests.services import postgres

PARTS = ("speed", "peers", "memory", "startup", "streams")


def main(arguments: list[str]) -> int:
    """Run the parts named, or all. With `--smoke` on little data, once, where no goal counts: it shows that they still work."""
    unknown = [argument for argument in arguments if argument not in (*PARTS, "--smoke")]
    if unknown:  # All of them would take a quarter of an hour.
        print(f"there is no part {unknown[0]!r}: python -m benchmarks [--smoke] [{' '.join(PARTS)}]", file=sys.stderr)
        return 2
    smoke = "--smoke" in arguments
    wanted = [part for part in arguments if part in PARTS] or list(PARTS)
    missed = 0
    for line, met in _measure(wanted, smoke=smoke):
        print(line if met or smoke else f"{line}   MISSED", flush=True)
        missed += not met
    return 1 if missed and not smoke else 0


def _measure(wanted: list[str], *, smoke: bool) -> Iterator[tuple[str, bool]]:
    rows, pairs, peer_pairs = (3_000, 1, 1) if smoke else (300_000, 5, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "speed" in wanted:
            yield f"Rows a second, {rows:,} events, median of {pairs} pairs", True
            with postgres() as server:
                for r in Bench(folder, server, rows, pairs).run():
                    text = f"  {r.work:24} {r.ours:>10,.0f}   {r.against:34} {r.other:>10,.0f}   "
                    yield f"{text} ratio {r.ratio:5.2f}, goal {r.goal:.2f}", r.ratio >= r.goal
        python = peers_python()
        if "peers" in wanted and python is None:
            yield f"Peers: skipped, {PYTHON} names no interpreter that has dlt (`make bench` does)", True
        elif "peers" in wanted and python is not None:
            yield f"Rows a second of whole processes, {rows:,} events, median of {peer_pairs} pairs", True
            with postgres() as server:
                for r in Peers(folder, server, rows, peer_pairs, python).run():
                    text = f"  {r.work:24} {r.ours:>10,.0f}   {r.against:34} {r.other:>10,.0f}   "
                    yield f"{text} ratio {r.ratio:5.2f}, goal {r.goal:.2f}", r.ratio >= r.goal
        if "memory" in wanted:
            small = 1 if smoke else 100
            yield f"Peak memory in MiB, files of {small} MB and of {small * 10} MB", True
            for p in peaks(folder, small=small * 1_000_000):
                yield f"  {p.work:28} {p.small:6.0f} {p.large:6.0f}   ratio {p.ratio:5.2f}, goal {p.goal:.2f}", p.ratio <= p.goal
        if "startup" in wanted:
            yield "CPU in ms above `python -c 'import click, pluggy'`", True
            for s in starts(1 if smoke else 9):
                yield f"  {s.command:28} {s.extra_ms:6.0f}   goal {s.goal_ms:.0f}", s.extra_ms <= s.goal_ms
        if "streams" in wanted:
            yield from _streams(folder, smoke=smoke)


def _streams(folder: Path, *, smoke: bool) -> Iterator[tuple[str, bool]]:
    # More than fits into the largest transaction: what comes in one says nothing of speed, and is an error.
    rows, pairs = (80_000, 1) if smoke else (1_000_000, 3)
    messages, seconds, kills = (20, 3.0, 1) if smoke else (200, 20.0, 5)
    yield f"Kafka into Postgres, {rows:,} events, first COMMIT to last, median of {pairs} pairs", True
    with kafka() as broker, postgres() as server:
        for figure in Streams(folder, broker, server, rows, pairs).run():
            yield str(figure), figure.met
        for figure in Waits(folder, broker, server, messages, seconds, kills).run():
            yield str(figure), figure.met


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

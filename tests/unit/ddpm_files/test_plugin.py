"""What the plugin tells DDPM of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

from ddpm_core import BuildContext, SourceSpec
from ddpm_files.options import FilesOptions
from ddpm_files.plugin import ddpm_sources
from ddpm_files.source import FilesSource


def test_the_spec_leads_to_the_source() -> None:
    (spec,) = ddpm_sources()
    assert isinstance(spec, SourceSpec)
    assert (spec.name, spec.schemes, spec.address) == ("files", ("file", "s3", "gs", "http", "https"), "paths")
    assert spec.options_model() is FilesOptions
    assert isinstance(resolve_name(str(spec.build))(FilesOptions(paths=("-",)), BuildContext()), FilesSource)
    assert resolve_name(str(spec.documents))(FilesOptions(paths=("-",))) == ["-"]


def test_every_option_is_described() -> None:
    assert all(field.description for field in FilesOptions.model_fields.values())


def test_the_spec_costs_no_heavy_import() -> None:
    code = "import sys, ddpm_files.plugin as p; list(p.ddpm_sources()); print({'pyarrow', 'pydantic'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout == "set()\n"


def test_a_file_of_this_machine_imports_nothing_for_servers_archives_and_compressions(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": 1}')
    code = (
        "import sys\n"
        "from ddpm_core import BuildContext\n"
        "from ddpm_files.options import FilesOptions\n"
        "from ddpm_files.source import build\n"
        "source = build(FilesOptions(paths=(sys.argv[1],)), BuildContext())\n"
        "source.open(), source.read(0), source.seek({})\n"
        "print(source.read(0).stream.read())\n"
        "print(source.read(0), [name for name in sys.argv[2:] if name in sys.modules])"
    )
    unneeded = ("remote", "remote_listing", "remote_object", "web_address", "archive", "compression", "decompressed", "detected")
    done = subprocess.run(
        [sys.executable, "-c", code, path, *(f"ddpm_files.{name}" for name in unneeded), "obstore", "concurrent.futures"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == f"{path.read_bytes()!r}\nEndOfSource() []\n"

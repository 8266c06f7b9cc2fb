"""What `ddpm plugins new --kind table_sink` begins with, as modules of this package: the kit is tested on it, and it by the kit."""

from __future__ import annotations

from importlib.resources import files
from string import Template
from typing import Any


def run(name: str, namespace: dict[str, Any]) -> None:
    """Run the template of this name, filled in for the plugin `sqlite`, as the module whose namespace this is."""
    template = files("ddpm_core.cli") / "templates" / "table_sink" / "PACKAGE" / f"{name}.py.tmpl"
    text = Template(template.read_text(encoding="utf-8")).substitute(package="kit_reference", name="sqlite", Class="Sqlite")
    exec(compile(text, f"{name}.py.tmpl", "exec", dont_inherit=True), namespace)

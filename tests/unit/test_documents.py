"""The documents hold together: links lead somewhere, and the generated page is what the options models say."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
_TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
).stdout.splitlines()
PAGES = sorted(ROOT / name for name in _TRACKED) or sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("plugins/*/*.md")]
)


def prose(page: Path) -> str:
    """The page without its code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", lambda found: found[0] if "](" not in found[0] else "", text)


def anchors(page: Path) -> set[str]:
    """What `#...` of a link to this page may be, by GitHub's rule."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_pages_of_plugins_are_what_the_models_say() -> None:
    pages = _module(ROOT / "docs" / "generate.py").pages()
    assert sorted({"processors.md", *pages}) == ["configuration.md", "formats.md", "processors.md", "sinks.md", "sources.md"]
    for name, page in pages.items():
        assert (ROOT / "docs" / name).read_text() == page, "run `make docs`"


def test_the_readme_is_short_and_links_every_page_of_the_documentation() -> None:
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) < 240
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"](docs/{page.name})" not in readme] == []


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

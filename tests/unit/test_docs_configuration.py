"""docs/configuration.md: its examples are good files, and what it says of mistakes is what is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ddpm_core.config.pipeline_file import load_pipeline
from ddpm_core.engine.compose import compose
from ddpm_core.errors import ConfigError
from ddpm_core.registry import Registry

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_good_pipeline(example: str, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(example)
    made = compose(load_pipeline(path, environment={}), Registry.discover())
    assert made.name


def test_the_mistake_of_the_page_is_told_like_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pipeline.yaml").write_text(EXAMPLES[0].replace("lake.duckdb, table:", "lake.duckdb, table: x, tabel:"))
    with pytest.raises(ConfigError) as caught:
        compose(load_pipeline("pipeline.yaml", environment={}), Registry.discover())
    assert f"\nddpm: error: {caught.value}\n" in PAGE


def test_it_has_an_example() -> None:
    assert EXAMPLES

"""The format keeps every promise of the contract, with the function of its own page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ddpm_core.testing import FormatCapabilities, FormatConformance, Sample

README = Path(__file__).parents[3] / "plugins" / "ddpm_custom" / "README.md"
GOOD = b"2024-05-01 12:00:00 [INFO] started\n2024-05-01 12:00:01 [WARN] disk is full\n"
FIRST = {"at": datetime(2024, 5, 1, 12), "level": "INFO", "message": "started"}  # noqa: DTZ001
SECOND = {"at": datetime(2024, 5, 1, 12, 0, 1), "level": "WARN", "message": "disk is full"}  # noqa: DTZ001


class TestTheExampleOfThePage(FormatConformance):
    plugin = "ddpm_custom.plugin"
    name = "custom"
    samples = (
        Sample(GOOD, [FIRST, SECOND]),
        Sample(GOOD.replace(b"\n", b"\n# note\nnonsense\n", 1), [FIRST, SECOND], [(2, "plugin_error")]),
        Sample(GOOD.replace(b"\n", b"\n\xff\n", 1), [FIRST, SECOND], [(1, "encoding")]),
    )
    capabilities = FormatCapabilities(keeps_neighbours=True, filters=True, streams=True)

    @pytest.fixture(autouse=True)
    def _example(self, tmp_path: Path) -> None:
        (code,) = re.findall(r"^```python\n# parse_log.py\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
        (command,) = re.findall(r"^ddpm ingest --format custom (.*)$", README.read_text(), re.MULTILINE)
        path = tmp_path / "parse_log.py"
        path.write_text(code)
        given = dict(re.findall(r"-o format\.(\w+)=(\S+)", command))
        given["function"] = given["function"].replace("parse_log.py", str(path))
        type(self).options = given

    def options_for_checks(self) -> Mapping[str, Any]:
        return self.options

"""Each format's golden messages through a real Kafka, `ddpm run` and a real Postgres.

`make test-integration-plugin format=NAME` runs it for any other format that is installed and brings golden messages.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ddpm_core.testing import FormatHarness, HarnessServices
from tests.installed_formats import install_sibling

FORMATS = tuple(filter(None, [os.environ.get("DDPM_FORMAT")])) or ("json", "avro", "parquet", "custom", "logline")


class OfThisRepository(FormatHarness):
    """With the services of our tests, and plugins of this repository that are distributions of their own installed for the test."""

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _installed(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            folder = install_sibling(cls.name, tmp_path_factory)
            if folder is not None:
                patch.syspath_prepend(folder)
                patch.setattr(cls, "environment", {"PYTHONPATH": str(folder)})
            yield

    @pytest.fixture
    def services(self, kafka_broker, postgres_server) -> HarnessServices:
        return HarnessServices(kafka_broker.bootstrap, postgres_server.url)


for _name in FORMATS:
    _class = f"Test{_name.title().replace('_', '')}"
    globals()[_class] = type(_class, (OfThisRepository,), {"name": _name, "__module__": __name__})

"""The mirror of Maven Central."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpm_core.errors import ConfigError
from ddpm_core.services import maven_settings

SETTINGS = """<?xml version="1.0"?>
<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"><mirrors>
<mirror><id>a</id><mirrorOf>external:http:*</mirrorOf><url>http://0.0.0.0/</url><blocked>true</blocked></mirror>
<mirror><id>b</id><mirrorOf>*,!central</mirrorOf><url>https://others.test/</url></mirror>
<mirror><id>c</id><mirrorOf>{of}</mirrorOf><url>{url}</url></mirror>
</mirrors></settings>"""


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(maven_settings.Path, "home", classmethod(lambda cls: tmp_path))
    monkeypatch.setattr(maven_settings.shutil, "which", lambda name: None)
    for name in ("MAVEN_HOME", "M2_HOME", maven_settings.MIRROR):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".m2").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("of", "url", "expected"),
    [
        ("central", "https://mirror.test/maven2/", "https://mirror.test/maven2"),
        ("*", "https://mirror.test", "https://mirror.test"),
        ("internal, central", "https://${env.MIRROR_HOST}/x", "https://mirror.test/x"),
        ("snapshots", "https://mirror.test", None),
        ("central", "file:///srv/maven", None),
    ],
)
def test_only_a_mirror_of_central_counts(
    monkeypatch: pytest.MonkeyPatch, home: Path, of: str, url: str, expected: str | None
) -> None:
    monkeypatch.setenv("MIRROR_HOST", "mirror.test")
    (home / ".m2/settings.xml").write_text(SETTINGS.replace("{of}", of).replace("{url}", url))
    assert maven_settings.settings_mirror() == expected


def test_the_installations_settings_count_where_the_user_has_none(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    (home / "maven/conf").mkdir(parents=True)
    (home / "maven/conf/settings.xml").write_text(SETTINGS.replace("{of}", "central").replace("{url}", "https://mirror.test"))
    monkeypatch.setenv("MAVEN_HOME", str(home / "maven"))
    assert maven_settings.settings_mirror() == "https://mirror.test"
    (home / ".m2/settings.xml").write_text("<settings><mirr")
    assert maven_settings.settings_mirror() == "https://mirror.test"


@pytest.mark.usefixtures("home")
def test_the_environments_mirror_is_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert maven_settings.named_mirror() is None
    monkeypatch.setenv(maven_settings.MIRROR, " https://mirror.test/maven2/ ")
    assert maven_settings.named_mirror() == "https://mirror.test/maven2"
    monkeypatch.setenv(maven_settings.MIRROR, "mirror.test")
    with pytest.raises(ConfigError, match=r"^DDPM_MAVEN_MIRROR is no URL that begins with https:// or http://: 'mirror.test'$"):
        maven_settings.named_mirror()

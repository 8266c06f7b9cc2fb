"""The mirror of Maven Central that this machine's Maven settings name."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ddpm_core.errors import ConfigError

MIRROR = "DDPM_MAVEN_MIRROR"


def named_mirror() -> str | None:
    """What `DDPM_MAVEN_MIRROR` names.

    Raises:
        ConfigError: It is no http or https URL.
    """
    named = os.environ.get(MIRROR, "").strip()
    if named and not re.match(r"https?://[^/]", named):
        raise ConfigError(f"{MIRROR} is no URL that begins with https:// or http://: {named!r}")
    return named.rstrip("/") or None


def settings_mirror() -> str | None:
    """The mirror of Maven Central in the user's settings, else in the installation's; None when they name none."""
    return next((mirror for path in _files() for mirror in _mirrors(path)), None)


def _files() -> Iterator[Path]:
    yield Path.home() / ".m2/settings.xml"
    homes = [os.environ.get("MAVEN_HOME"), os.environ.get("M2_HOME")]
    mvn = shutil.which("mvn")
    if mvn:
        homes.append(str(Path(mvn).resolve().parents[1]))
    yield from (Path(home) / "conf/settings.xml" for home in homes if home)


def _mirrors(path: Path) -> Iterator[str]:
    with contextlib.suppress(OSError, ElementTree.ParseError):
        for mirror in ElementTree.parse(path).getroot().iterfind(".//{*}mirror"):  # noqa: S314 - the user's own file
            field = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in mirror}
            url = _resolved(field.get("url", ""))
            if field.get("blocked") != "true" and url.startswith("http") and _mirrors_central(field.get("mirrorOf", "")):
                yield url.rstrip("/")


def _mirrors_central(pattern: str) -> bool:
    wanted = [part.strip() for part in pattern.split(",")]
    return "!central" not in wanted and any(part in ("*", "central", "external:*") for part in wanted)


def _resolved(text: str) -> str:
    """Maven puts variables of the environment in for `${env.NAME}`."""
    return re.sub(r"\$\{env\.(\w+)\}", lambda found: os.environ.get(found[1], ""), text)

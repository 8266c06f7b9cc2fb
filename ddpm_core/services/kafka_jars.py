"""The jars of Apache Kafka: which ones, where they are kept, and how they come here.

`kafka.lock.toml` beside this file, written by jgo, names every jar with its version and SHA-256. Nothing else is ever put on the
class path: a jar whose bytes differ is refused, wherever it came from. `python -m ddpm_core.services.kafka_jars` writes the lock
anew, after a change of `COORDINATES`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ddpm_core.services import maven_settings
from ddpm_core.services.unavailable import ServiceUnavailableError
from ddpm_core.values import dataclass

KAFKA_VERSION = "4.1.0"
# The broker says why it does not start only where there is a log to say it to.
COORDINATES = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3",
    "org.apache.logging.log4j:log4j-core:2.24.3",
)
LOCK = Path(__file__).with_name("kafka.lock.toml")
DOWNLOADS = 8
TIMEOUT = 30
"""Seconds that a server may be silent."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def locked() -> tuple[Jar, ...]:
    """Every jar of the class path."""
    parts = tomllib.loads(LOCK.read_text())["dependencies"]
    return tuple(Jar(part["groupId"], part["artifactId"], part["version"], part["sha256"]) for part in parts)


def find_jars(say: Callable[[str], None] = lambda _: None) -> Path:
    """The folder that holds exactly the jars of the lock. The first call downloads 43 MB, the next ones need no network.

    Args:
        say: Told, in one line, that a download begins.

    Raises:
        ServiceUnavailableError: They are not here and cannot be had; the reason names every way that was tried.
        ConfigError: `DDPM_MAVEN_MIRROR` is no URL.
    """
    jars = locked()
    folder = _cache() / f"kafka-{KAFKA_VERSION}-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    if importlib.util.find_spec("jgo") is None:
        raise ServiceUnavailableError(
            "Kafka", "its jars are not here, and jgo, which gets them, is not installed", hint="pip install 'ddpm-core[services]'"
        )
    say(f"getting the {len(jars)} jars of Apache Kafka {KAFKA_VERSION} (43 MB), once")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Filled beside its place and then renamed: a folder that is there is complete. A second process may do the same meanwhile.
    with tempfile.TemporaryDirectory(prefix="jars-", dir=folder.parent) as fresh:
        made = Path(fresh) / "jars"
        made.mkdir(mode=0o755)
        _fill(made, jars, Path(fresh))
        Path(fresh).chmod(0o755)
        with contextlib.suppress(OSError):
            made.rename(folder)
    return folder


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ddpm"


def _fill(folder: Path, jars: Sequence[Jar], scratch: Path) -> None:
    failures = []
    for how, get in _ways(scratch):
        try:
            found = get(jars)
        except Exception as error:  # noqa: BLE001 - jgo and requests raise what they like; each is a reason for people
            failures.append(f"{how}: {_first_line(error)}")
            continue
        wrong = next((jar for jar, path in zip(jars, found, strict=True) if _sha256(path) != jar.sha256), None)
        if wrong is None:
            for jar, path in zip(jars, found, strict=True):
                shutil.copyfile(path, folder / jar.name)
            return
        failures.append(f"{how}: {wrong.name} is not the file that the lock names")
    raise ServiceUnavailableError(
        "Kafka",
        f"its jars cannot be had: {'; '.join(failures)}",
        hint=f"They come from Maven Central, or from the mirror that Maven's settings.xml or {maven_settings.MIRROR} names.",
    )


def _ways(scratch: Path) -> list[tuple[str, Callable[[Sequence[Jar]], list[Path]]]]:
    """How to try to get them, in this order."""
    named = maven_settings.named_mirror()
    if named is not None:
        return [(f"from {maven_settings.MIRROR}", lambda jars: _download(jars, named, scratch / "named"))]
    mirror = maven_settings.settings_mirror()
    itself = "from the mirror in Maven's settings" if mirror else "from Maven Central"
    ways: list[tuple[str, Callable[[Sequence[Jar]], list[Path]]]] = []
    mvn = shutil.which("mvn")
    if mvn:  # It knows the user's mirrors, proxies and passwords, and what was downloaded before.
        ways.append(("through mvn", lambda jars: _with_maven(jars, Path(mvn))))
    ways.append((itself, lambda jars: _download(jars, mirror, scratch / "itself")))
    return ways


def _with_maven(jars: Sequence[Jar], mvn: Path) -> list[Path]:
    from jgo.maven import MavenContext
    from jgo.maven._resolver import MvnResolver

    context = MavenContext(resolver=MvnResolver(mvn))
    dependencies = _dependencies(context, [jar.coordinate for jar in jars])
    context.resolver.resolve(dependencies)  # One call of mvn, which leaves the files in its local repository.
    return [dependency.artifact.resolve() for dependency in dependencies]


def _download(jars: Sequence[Jar], mirror: str | None, repository: Path) -> list[Path]:
    """By jgo itself, into a folder that is thrown away if it ends early: jgo would take half a file for a whole one."""
    from jgo.maven import MavenContext

    remotes = {"central": mirror} if mirror else None
    context = MavenContext(repo_cache=repository, local_repos=[], remote_repos=remotes, timeout=TIMEOUT)
    dependencies = _dependencies(context, [jar.coordinate for jar in jars])
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        return list(pool.map(lambda dependency: Path(dependency.artifact.resolve()), dependencies))


def _dependencies(context: Any, coordinates: Sequence[str]) -> list[Any]:
    # `!` is jgo's "raw": else each jar's own POM would also decide the versions of the others, and log4j's names an older Kafka.
    return [context.create_dependency(f"{coordinate}!") for coordinate in coordinates]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: BaseException) -> str:
    """What went wrong, in one line: of Maven's page of output the first error."""
    asked = getattr(getattr(error, "request", None), "url", None)
    if asked and isinstance(error, OSError):  # As all errors of requests are, whose own texts name objects of Python.
        return f"{asked} cannot be reached ({type(error).__name__})"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    telling = [line.removeprefix("[ERROR]").strip() for line in lines if line.startswith("[ERROR]")]
    line = (telling or lines)[0]
    return line if len(line) <= 300 else f"{line[:299]}…"


def _relock() -> None:
    """Resolve `COORDINATES` anew, and write the lock."""
    from jgo.env import LockFile
    from jgo.maven import MavenContext

    mirror = maven_settings.named_mirror() or maven_settings.settings_mirror()
    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), remote_repos={"central": mirror} if mirror else None, timeout=TIMEOUT)
        named, implied = context.resolver.resolve(_dependencies(context, COORDINATES))
        LockFile.from_resolved_dependencies([*named, *implied], environment_name="kafka").save(LOCK)


if __name__ == "__main__":
    _relock()

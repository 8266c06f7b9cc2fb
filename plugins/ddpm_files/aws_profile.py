"""What the AWS tools' own files say: `~/.aws/credentials` and `~/.aws/config`."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from ddpm_core import ConfigError, Problem

_LOGINS = ("sso_session", "sso_start_url", "role_arn", "credential_process", "login_session")


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of the profile that `AWS_PROFILE` names (else `default`), those of both files together.

    Raises:
        ConfigError: There is no such profile, a file cannot be understood, or the profile logs in in a way that needs AWS' own
            tools; the hint says how to hand over what those give.
    """
    asked = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE")
    name = asked or "default"
    config = _file(environment.get("AWS_CONFIG_FILE") or "~/.aws/config")
    credentials = _file(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")
    section = name if name == "default" and config.has_section(name) else f"profile {name}"
    found: dict[str, str] = {}
    for parser, title in ((config, section), (credentials, name)):
        if parser.has_section(title):
            found |= parser.items(title)
    if asked and not found:
        raise ConfigError(Problem(f"AWS_PROFILE={name}", "there is no such profile in the AWS tools' files"))
    if asked and "aws_access_key_id" not in found and any(key in found for key in _LOGINS):
        raise ConfigError(
            Problem(f"AWS_PROFILE={name}", "the profile has no keys of its own"),
            hint=f'Log in, then hand over its keys: eval "$(aws configure export-credentials --profile {name} --format env)"',
        )
    return found


def _file(path: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    place = Path(path).expanduser()
    try:
        parser.read_string(place.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # The tools pass it over too; what is missing then is said where it is needed.
    except (configparser.Error, UnicodeDecodeError):
        # The parser's own text repeats the line, which may hold a secret.
        raise ConfigError(Problem(str(place), "is not a file of settings as the AWS tools write it")) from None
    return parser

"""Object stores by URL: `s3://bucket/key` and `gs://bucket/key`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ddpm_core import ConfigError, Problem
from ddpm_files import aws_profile
from ddpm_files.remote_options import RemoteOptions

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_CONNECT = timedelta(seconds=5)
_SILENCE = timedelta(seconds=60)
_REQUEST = timedelta(minutes=10)
_FOR_EVER = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket that can be asked, and what a URL means in it.

    Attributes:
        store: For obstore's functions. They release the GIL, and may be called from any thread.
        bucket: `s3://bucket`, as messages call it.
        identity: Likewise, but with the server where it is not the provider's own: `s3://127.0.0.1:9000/bucket`. Two servers may
            have buckets of one name.
        key: What follows the bucket in the URL: a key, a prefix, or empty.
        region: The region that requests are signed for, for messages.
        retry_for: For how many seconds an answer that breaks off is asked for again; None is for ever.
    """

    store: ObjectStore
    bucket: str
    identity: str
    key: str
    region: str = ""
    retry_for: float | None = None

    def url(self, key: str) -> str:
        """The URL of an object in this bucket, as users write it."""
        return f"{self.bucket}/{key}"


def open_store(url: str, options: RemoteOptions, *, retry_for: float | None) -> Place:
    """The bucket that a URL names. Nothing is sent yet: a wrong name or key shows at the first request, as what `explain` makes of it.

    Args:
        url: `s3://bucket/...` or `gs://bucket/...`. The key is taken as it is: percent signs and spaces mean themselves.
        options: How it is reached.
        retry_for: For how many seconds a request is repeated, inside the call, while the server fails or cannot be reached; None
            is for ever. What the server refuses is not repeated.

    Raises:
        ConfigError: The URL, or the environment's settings, cannot be understood.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if not bucket or bucket in (".", "..") or set(bucket) & set("@:?#%*[] "):
        raise ConfigError(Problem(url, "names no bucket", f"object store URLs look like {scheme}://bucket/folder/name"))
    make = _s3 if scheme.lower() == "s3" else _gs
    return replace(make(bucket, key, options, _retry(retry_for)), retry_for=retry_for)


def _s3(bucket: str, key: str, options: RemoteOptions, retry: Any) -> Place:
    from obstore.store import S3Store

    environment = os.environ
    key_id = options.access_key.get_secret_value()
    profile = {} if key_id or options.anonymous else _profile(environment)
    endpoint = (
        options.endpoint
        or environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or profile.get("endpoint_url", "")
    ).rstrip("/")
    region = (
        options.region
        or environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or profile.get("region")
        or "us-east-1"
    )
    config: dict[str, Any] = {"region": region}
    if endpoint:
        config["endpoint"] = endpoint
    if options.anonymous:
        config["skip_signature"] = True
    elif key_id:
        config |= {"access_key_id": key_id, "secret_access_key": options.secret_key.get_secret_value()}
    elif "aws_access_key_id" in profile:
        config |= {"access_key_id": profile["aws_access_key_id"], "secret_access_key": profile.get("aws_secret_access_key", "")}
        if "aws_session_token" in profile:
            config["session_token"] = profile["aws_session_token"]
    store = S3Store(bucket, config=config, client_options=_client(endpoint), retry_config=retry)  # type: ignore[arg-type]
    return Place(store, f"s3://{bucket}", _identity("s3", bucket, endpoint), key, region)


def _gs(bucket: str, key: str, options: RemoteOptions, retry: Any) -> Place:
    from obstore.store import GCSStore

    if options.access_key.get_secret_value() or options.region:
        raise ConfigError(
            Problem(
                f"gs://{bucket}",
                "options access_key, secret_key and region are for s3:// only",
                "for gs://, GOOGLE_APPLICATION_CREDENTIALS names the file with the credentials",
            )
        )
    config: dict[str, Any] = {}
    if options.endpoint:
        config["base_url"] = options.endpoint
    if options.anonymous:
        config["skip_signature"] = True
    store = GCSStore(bucket, config=config, client_options=_client(options.endpoint), retry_config=retry)  # type: ignore[arg-type]
    return Place(store, f"gs://{bucket}", _identity("gs", bucket, options.endpoint), key)


def _profile(environment: Mapping[str, str]) -> dict[str, str]:
    """The profile's settings, without its keys where the environment has some: those win, as in the AWS tools."""
    if environment.get("AWS_ACCESS_KEY_ID") and not environment.get("AWS_PROFILE"):
        return {}
    return aws_profile.settings_of(environment)


def _identity(scheme: str, bucket: str, endpoint: str) -> str:
    host = urlsplit(endpoint).netloc.rpartition("@")[2].lower()
    own = not host or host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".googleapis.com"))
    return f"{scheme}://{bucket}" if own else f"{scheme}://{host}/{bucket}"


def _client(endpoint: str) -> Any:
    return {
        "connect_timeout": _CONNECT,
        "read_timeout": _SILENCE,
        "timeout": _REQUEST,
        "allow_http": endpoint.lower().startswith("http://"),
        "user_agent": "ddpm",
    }


def _retry(seconds: float | None) -> Any:
    return {
        "max_retries": 1_000_000,
        "retry_timeout": _FOR_EVER if seconds is None else timedelta(seconds=seconds),
        "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2},
    }

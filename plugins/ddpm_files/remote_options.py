"""Options that the source and the sink of this plugin share: how object stores are reached."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from ddpm_core import PluginOptions


class RemoteOptions(PluginOptions):
    """How an object store is reached. What is not given here comes from where the providers' own tools look for it.

    For `s3://`: the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
    `AWS_ENDPOINT_URL`, `AWS_PROFILE`), the files `~/.aws/credentials` and `~/.aws/config`, then the machine's own role.
    For `gs://`: `GOOGLE_APPLICATION_CREDENTIALS`, then gcloud's login, then the machine's own account.
    """

    endpoint: str = Field(
        default="",
        description="URL of a server that speaks S3 and is not Amazon's, such as http://127.0.0.1:9000; else AWS_ENDPOINT_URL.",
    )
    region: str = Field(default="", description="Region of the bucket; else AWS_REGION, the profile's, or us-east-1.")
    anonymous: bool = Field(default=False, description="Read public buckets without any credentials.")
    access_key: SecretStr = Field(
        default=SecretStr(""), description="Access key id for s3://; else AWS_ACCESS_KEY_ID or the profile's."
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""), description="Secret access key for s3://; else AWS_SECRET_ACCESS_KEY or the profile's."
    )

    @field_validator("endpoint")
    @classmethod
    def _is_a_server(cls, value: str) -> str:
        if not value:
            return value
        try:
            parts = urlsplit(value)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            fine = False
        if not fine or parts.query or parts.fragment or parts.username is not None:
            raise ValueError("is the URL of a server without user or parameters, such as https://s3.example.com")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Any:
        if bool(self.access_key.get_secret_value()) != bool(self.secret_key.get_secret_value()):
            raise ValueError("access_key and secret_key are given together or not at all")
        if self.anonymous and self.access_key.get_secret_value():
            raise ValueError("anonymous reads without credentials: give either anonymous or access_key and secret_key")
        return self

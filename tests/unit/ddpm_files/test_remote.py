"""How object stores are found: options first, then the environment, then the AWS tools' files; and what their failures mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ddpm_core import ConfigError, DdpmError, FatalError, RetryableError
from ddpm_files.buckets import Buckets
from ddpm_files.options import FilesOptions
from ddpm_files.remote import Place, open_store
from ddpm_files.remote_errors import explain, translated
from ddpm_files.remote_object import while_reading
from ddpm_files.remote_options import RemoteOptions

KEYS = (
    "check access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; "
    "for a public bucket set the option anonymous"
)
STATUS = "Error performing GET http://u:s3cret@host:9000/lake in 1ms - Server returned non-2xx status code: "


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "DEFAULT_REGION", "ENDPOINT_URL", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_PROFILE", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def place(url: str = "s3://lake/a/b.json", **options: Any) -> Place:
    return open_store(url, RemoteOptions(**options), retry_for=5)


def config(found: Place) -> dict[str, Any]:
    return dict(found.store.config)  # type: ignore[union-attr]


def test_a_place_is_known_by_its_server_unless_that_is_the_providers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (place().bucket, place().identity, place().key, place().url("x y")) == (
        "s3://lake",
        "s3://lake",
        "a/b.json",
        "s3://lake/x y",
    )
    assert place("s3://lake").key == ""
    assert place(endpoint="http://MINIO:9000/").identity == "s3://minio:9000/lake"
    assert place(endpoint="https://s3.eu-west-1.amazonaws.com").identity == "s3://lake"
    assert place("gs://lake/x", anonymous=True).identity == "gs://lake"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://one:1")
    assert place().identity == "s3://one:1/lake"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://two:2")
    assert place().identity == "s3://two:2/lake"


def test_options_win_over_the_environment_and_that_over_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = file\naws_secret_access_key = 1\naws_session_token = t\n[other]\naws_access_key_id = named\naws_secret_access_key = 2\n"
    )
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-3\n[profile other]\nregion = eu-west-2\nendpoint_url = http://three:3\n"
    )
    found = config(place())
    assert (found["access_key_id"], found["session_token"], found["region"]) == ("file", "t", "eu-west-3")
    monkeypatch.setenv("AWS_PROFILE", "other")
    assert config(place())["access_key_id"] == "named"
    assert place().identity == "s3://three:3/lake"
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "3")
    assert "access_key_id" not in config(place()) or config(place())["access_key_id"] == "environment"
    assert config(place())["region"] == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert config(place())["region"] == "eu-north-1"
    found = config(place(access_key="option", secret_key="4", region="us-west-2"))
    assert (found["access_key_id"], found["region"]) == ("option", "us-west-2")


@pytest.mark.parametrize(
    ("credentials", "settings", "message"),
    [
        ("", "", "AWS_PROFILE=work: there is no such profile in the AWS tools' files"),
        (
            "",
            "[profile work]\nsso_session = x\n",
            (
                "AWS_PROFILE=work: the profile has no keys of its own\n"
                'Log in, then hand over its keys: eval "$(aws configure export-credentials --profile work --format env)"'
            ),
        ),
        ("secret without a section", "", "{0}/credentials: is not a file of settings as the AWS tools write it"),
    ],
)
def test_a_profile_that_gives_no_keys_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credentials: str, settings: str, message: str
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")
    (tmp_path / "credentials").write_text(credentials)
    (tmp_path / "config").write_text(settings)
    with pytest.raises(ConfigError) as caught:
        place()
    assert str(caught.value) == message.format(tmp_path)


@pytest.mark.parametrize("url", ["s3://", "s3:///x", "s3://user:pass@lake/x", "s3://la*ke/x", "s3://../x"])
def test_a_url_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(url)
    assert str(caught.value) == f"{url}: names no bucket (object store URLs look like s3://bucket/folder/name)"


def test_keys_for_another_provider_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        place("gs://lake/x", access_key="a", secret_key="b")
    assert str(caught.value) == (
        "gs://lake: options access_key, secret_key and region are for s3:// only "
        "(for gs://, GOOGLE_APPLICATION_CREDENTIALS names the file with the credentials)"
    )


def test_each_bucket_is_opened_once() -> None:
    buckets = Buckets(RemoteOptions(), retry_for=1)
    first, second = buckets.at("s3://lake/a"), buckets.at("S3://lake/b/c")
    assert first.store is second.store
    assert (first.key, second.key) == ("a", "b/c")
    assert buckets.at("s3://other/a").store is not first.store


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"access_key": "a"}, "access_key and secret_key are given together or not at all"),
        ({"secret_key": "a"}, "access_key and secret_key are given together or not at all"),
        (
            {"anonymous": True, "access_key": "a", "secret_key": "b"},
            "anonymous reads without credentials: give either anonymous or access_key and secret_key",
        ),
        ({"endpoint": "host:9000"}, "is the URL of a server without user or parameters, such as https://s3.example.com"),
        ({"endpoint": "http://u:p@host"}, "is the URL of a server without user or parameters, such as https://s3.example.com"),
        ({"endpoint": "http://host:port"}, "is the URL of a server without user or parameters, such as https://s3.example.com"),
    ],
)
def test_options_that_contradict_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RemoteOptions(**wrong)


def test_keys_are_never_printed() -> None:
    options = FilesOptions(paths=("x",), access_key="k3y", secret_key="s3cret")  # type: ignore[arg-type]
    assert "s3cret" not in f"{options!r}{options}"
    assert "k3y" not in f"{options!r}{options}"


def _answer(status: str, code: str = "", more: str = "") -> str:
    return f"{STATUS}{status}: <Error><Code>{code}</Code>{more}</Error>" if code else f"{STATUS}{status}: "


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (_answer("404 Not Found", "NoSuchBucket"), ConfigError, "s3://lake: there is no such bucket (asked at host:9000)"),
        (_answer("404 Not Found", "NoSuchKey"), ConfigError, "s3://lake/a: there is no such object"),
        (
            _answer("403 Forbidden", "SignatureDoesNotMatch"),
            ConfigError,
            f"s3://lake: the secret key is wrong (SignatureDoesNotMatch) ({KEYS})",
        ),
        (_answer("403 Forbidden", "AccessDenied"), ConfigError, f"s3://lake/a: access is denied (AccessDenied) ({KEYS})"),
        (_answer("403 Forbidden"), ConfigError, f"s3://lake/a: access is denied (status 403) ({KEYS})"),
        (
            _answer("301 Moved Permanently", "PermanentRedirect", "<Region>eu-west-1</Region>"),
            ConfigError,
            "s3://lake: its region is eu-west-1, not us-east-1 (set the option region)",
        ),
        (
            _answer("400 Bad Request", "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
            ConfigError,
            "s3://lake: its region is eu-west-1, not us-east-1 (set the option region)",
        ),
        ("error sending request for 169.254.169.254", ConfigError, f"s3://lake: no credentials were found ({KEYS})"),
        (
            _answer("503 Service Unavailable", "SlowDown", "<Message>Reduce</Message>"),
            RetryableError,
            "s3://lake/a: the server fails with status 503 (Reduce)",
        ),
        (
            _answer("418 Teapot", "Odd", "<Message>No</Message>"),
            FatalError,
            "s3://lake/a: the server answered with status 418: Odd, No",
        ),
        (
            "at http://host:9000/x error sending request kind: ConnectionRefused",
            RetryableError,
            "s3://lake/a cannot be reached: connection refused\nasked at host:9000",
        ),
        ("something new", FatalError, "s3://lake/a: the request failed: something new"),
    ],
)
def test_each_failure_says_what_to_do(text: str, kind: type[DdpmError], message: str) -> None:
    error = explain(OSError(text), place(), "s3://lake/a")
    assert (type(error), str(error)) == (kind, message)
    assert "s3cret" not in str(error)


def test_in_the_middle_of_an_object_a_failure_means_another_thing() -> None:
    def shown(text: str) -> tuple[str, str]:
        error = while_reading(explain(OSError(text), place(), "s3://lake/a"), "s3://lake/a")
        return type(error).__name__, str(error)

    assert shown(_answer("404 Not Found", "NoSuchKey")) == (
        "DataError",
        "s3://lake/a cannot be read on: there is no such object\nIt was deleted or closed meanwhile.",
    )
    assert shown("error sending request") == (
        "FatalError",
        "s3://lake/a cannot be reached: the connection failed\nWhat landed stays. Run again to go on from there.",
    )


def test_a_panic_of_the_library_becomes_an_error_and_an_interrupt_does_not() -> None:
    class PanicException(BaseException):
        pass

    def panics() -> None:
        raise PanicException("index out of bounds")

    with pytest.raises(FatalError, match="s3://lake/a: the request failed: index out of bounds"):
        translated(place(), "s3://lake/a", panics)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        translated(place(), "s3://lake/a", interrupted)

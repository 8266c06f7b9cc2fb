"""What an object store's failures mean."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from ddpm_core import ConfigError, DdpmError, FatalError, Problem, RetryableError
from ddpm_files.remote import Place

_T = TypeVar("_T")

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
_SAYS = re.compile(r"<Message>([^<]{1,300})</Message>")
_REGION = re.compile(r"<Region>([\w-]{1,40})</Region>|the region '[\w-]*' is wrong; expecting '([\w-]{1,40})'")

_KEYS = "check access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_NO_KEYS = ("169.254.169.254", "metadata.google.internal")  # Asked last, after everything that may name credentials.
_WRONG_KEYS = {
    "SignatureDoesNotMatch": "the secret key is wrong",
    "InvalidAccessKeyId": "the access key is not known there",
    "InvalidToken": "the session token is wrong",
    "ExpiredToken": "the session token has expired",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
}


def translated(place: Place, name: str, call: Callable[[], _T]) -> _T:
    """The call's result; what it raises becomes what `explain` makes of it."""
    try:
        return call()
    except DdpmError:
        raise
    except BaseException as error:  # A panic of the Rust library derives from BaseException.
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            raise
        raise explain(error, place, name) from error


def explain(error: BaseException, place: Place, name: str) -> DdpmError:
    """The error of ddpm that says what an error of obstore means. The original text is repeated in part: it can hold secrets.

    - `ConfigError`: no such bucket or object, wrong keys or region, no access.
    - `RetryableError`: the server fails or cannot be reached, and the time to wait for it is over.
    - `FatalError`: anything else.

    Args:
        error: What obstore raised.
        place: Where.
        name: What was asked for, as users write it.
    """
    text = str(error)
    status, code = _found(_STATUS, text), _found(_CODE, text)
    if code == "NoSuchBucket":
        return ConfigError(Problem(place.bucket, "there is no such bucket", _which_server(text)))
    if code in _WRONG_KEYS:
        return ConfigError(Problem(place.bucket, f"{_WRONG_KEYS[code]} ({code})", _hint_of_keys(place)))
    if any(sign in text for sign in _NO_KEYS):
        return ConfigError(Problem(place.bucket, "no credentials were found", _hint_of_keys(place)))
    region = _REGION.search(text)
    if status == "301" or (region is not None and status == "400"):
        of = f" is {region[1] or region[2]}" if region else " is another one"
        return ConfigError(Problem(place.bucket, f"its region{of}, not {place.region}", "set the option region"))
    if status in ("401", "403"):
        says = f" ({code})" if code else f" (status {status})"
        return ConfigError(Problem(name, f"access is denied{says}", _hint_of_keys(place)))
    if isinstance(error, FileNotFoundError) or status == "404":
        return ConfigError(Problem(name, "there is no such object"))
    return _of_the_way(error, place, name)


def _of_the_way(error: BaseException, place: Place, name: str) -> DdpmError:
    """What has to do with neither names nor rights."""
    text = str(error)
    status, code = _found(_STATUS, text), _found(_CODE, text)
    if "builder error" in text:
        return ConfigError(Problem(name, "cannot be written as a request", "check the endpoint and the key"))
    if "InvalidCertificate" in text or "invalid peer certificate" in text:
        return ConfigError(Problem(place.bucket, "the server's certificate is not trusted", _which_server(text)))
    if status[:1] == "5" or status == "429":
        said = _found(_SAYS, text)
        return RetryableError(f"{name}: the server fails with status {status}{f' ({said})' if said else ''}")
    if status:
        said = ", ".join(part for part in (code, _found(_SAYS, text)) if part)
        return FatalError(f"{name}: the server answered with status {status}{f': {said}' if said else ''}")
    for sign, what in _SIGNS:
        if sign in text:
            return RetryableError(f"{name} cannot be reached: {what}", hint=_which_server(text))
    said = next(iter(text.splitlines()), "") or type(error).__name__
    return FatalError(f"{name}: the request failed: {said[:300]}")


_SIGNS = (
    ("ConnectionRefused", "connection refused"),
    ("dns error", "the server's name is not known"),
    ("failed to lookup address", "the server's name is not known"),
    ("TimedOut", "it does not answer"),
    ("Timeout", "it does not answer"),
    ("error sending request", "the connection failed"),
    ("Decode", "the connection broke"),
    ("IncompleteBody", "the connection broke"),
    ("HTTP error", "the connection failed"),
)


def _hint_of_keys(place: Place) -> str:
    if place.bucket.startswith("gs://"):
        return "check GOOGLE_APPLICATION_CREDENTIALS; for a public bucket set the option anonymous"
    return f"{_KEYS}; for a public bucket set the option anonymous"


def _which_server(text: str) -> str:
    found = re.search(r"https?://(?:[^/@\s]*@)?([^/\s?]+)", text)
    return f"asked at {found[1]}" if found else ""


def _found(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[1] if found else ""

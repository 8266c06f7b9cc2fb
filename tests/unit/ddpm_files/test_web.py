"""Files of web servers land once each, whatever the server's manners; what lets their reader in is never shown."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from base64 import b64encode
from collections.abc import Iterator

import pytest

from ddpm_core import (
    Assigned,
    BuildContext,
    ConfigError,
    Document,
    EndOfSource,
    Failed,
    Item,
    Position,
    Positions,
    RetryableError,
    Skipped,
)
from ddpm_files import listing, web
from ddpm_files.listing import documents
from ddpm_files.options import FilesOptions
from ddpm_files.source import build
from ddpm_files.web_address import clean
from tests.http_files import HttpFiles, Page

DATA = os.urandom(3 << 20)
TAG = {"ETag": '"one"'}
DATE = {"Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}


@pytest.fixture
def server() -> Iterator[HttpFiles]:
    with HttpFiles({}) as running:
        yield running


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LISTING_SECONDS", 0.3)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def run_once(known: Positions, *urls: str, upto: int | None = None, retry_for: float = 60) -> dict[str, tuple[str, bytes]]:
    """Document -> its note or error, and the bytes read from where it was to go on."""
    source = build(FilesOptions(paths=urls), BuildContext(retry_for=retry_for))
    source.open()
    got: dict[str, tuple[str, bytes]] = {}
    item: Item | None = None
    while not isinstance(item, EndOfSource):
        item = source.read(0)
        if isinstance(item, Assigned):
            source.seek({name: at for name, at in known.items() if name.rpartition("#")[0] in item.partitions})
        elif isinstance(item, Document):
            item.stream.seek(item.start.offset)
            data = item.stream.read() if upto is None else item.stream.read(upto)
            end = item.start.offset + len(data)
            known[item.partition] = Position(end, {**item.detail, "finished": upto is None, "rows": end})
            got[item.name] = (item.note, data)
        elif isinstance(item, Failed):
            got[item.name] = (str(item.error), b"")
        elif isinstance(item, Skipped):
            got[item.name] = (item.note, b"")
    source.close()
    return got


@pytest.mark.parametrize("headers", [TAG, DATE, TAG | DATE, {"ETag": 'W/"weak"'}, {}])
@pytest.mark.parametrize("manners", [{}, {"ranges": False}, {"ranges": False, "chunked": True}])
def test_a_file_lands_once_and_goes_on_where_it_stood(server: HttpFiles, headers: dict[str, str], manners: dict[str, bool]) -> None:
    server.pages["/a.json"] = Page(DATA, headers, **manners)  # type: ignore[arg-type]
    url = f"{server.url}/a.json"
    known: Positions = {}
    assert run_once(known, url, upto=1_000_000)[url] == ("new", DATA[:1_000_000])
    assert run_once(known, url)[url] == ("resumed at record 1,000,000", DATA[1_000_000:])
    assert run_once(known, url)[url] == ("already landed (3,145,728 rows); use --again to take it again", b"")
    server.pages["/a.json"] = Page(
        DATA[1:], {name: value.replace("1", "2").replace("one", "two") for name, value in headers.items()}
    )
    assert run_once(known, url)[url] == ("new: the content at this path changed", DATA[1:])


def test_an_empty_file_is_a_document_of_no_bytes(server: HttpFiles) -> None:
    server.pages |= {"/a.json": Page(b"", TAG), "/b.json": Page(b"", {}, ranges=False)}
    got = run_once({}, f"{server.url}/a.json", f"{server.url}/b.json")
    assert list(got.values()) == [("new", b""), ("new", b"")]


def test_compressed_files_and_archives_are_read_as_here(server: HttpFiles) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/a b?.json", DATA)
        archive.writestr("c.json.gz", gzip.compress(b"{}"))
    server.pages |= {"/z.zip?v=1": Page(packed.getvalue(), TAG), "/g.json.gz?v=1": Page(gzip.compress(DATA), TAG)}
    names = documents(FilesOptions(paths=(f"{server.url}/z.zip?v=1", f"{server.url}/g.json.gz?v=1")))
    assert names == [f"{server.url}/{name}?v=1" for name in ("z.zip/in/a%20b%3F.json", "z.zip/c.json.gz", "g.json.gz")]
    known: Positions = {}
    assert [data for _, data in run_once(known, *names).values()] == [DATA, b"{}", DATA]
    assert {note for note, _ in run_once(known, *names).values()} == {
        "already landed (3,145,728 rows); use --again to take it again",
        "already landed (2 rows); use --again to take it again",
    }


def test_passwords_and_signatures_let_in_and_are_never_shown(server: HttpFiles) -> None:
    allowed = f"Basic {b64encode(b'us er:p@ss').decode()}"
    path = "/a.json?table=x&X-Amz-Signature=abc&Expires=1"
    server.pages |= {path: Page(redirect="/real"), "/real": Page(b"{}", TAG)}
    server.pages[path].authorization = allowed
    url = f"http://us%20er:p%40ss@{server.address}{path}"
    known: Positions = {}
    assert run_once(known, url) == {f"{server.url}/a.json?table=x": ("new", b"{}")}
    assert all(name.startswith(f"{server.url}/a.json?table=x#") for name in known)
    # A link that was signed anew is the same file.
    other = path.replace("abc", "def").replace("=1", "=2")
    server.pages[other] = server.pages[path]
    assert run_once(known, url.replace("abc", "def").replace("=1", "=2")).popitem()[1][0].startswith("already landed")
    assert set(server.authorizations) == {allowed, ""}, "the password does not follow a redirect"


def test_what_is_wrong_is_said(server: HttpFiles) -> None:
    server.pages |= {"/locked": Page(b"x", authorization="other"), "/odd": Page(fails=[418] * 9)}
    urls = [f"{server.url.replace('//', '//me:s3cret@')}/{name}" for name in ("gone.json", "locked", "odd")]
    with pytest.raises(ConfigError) as caught:
        documents(FilesOptions(paths=tuple(urls)))
    assert str(caught.value) == (
        f"{server.url}/gone.json: there is no such file on the server (status 404)\n"
        f"{server.url}/locked: access is denied (status 401) (write https://user:password@host/... if it asks for one)\n"
        f"{server.url}/odd: the server answered with status 418"
    )
    for url, message in (
        ("http://127.0.0.1:1/a", "http://127.0.0.1:1/a cannot be reached: connection refused"),
        (f"{server.url}/ill", f"{server.url}/ill: the server fails with status 503"),
    ):
        server.pages["/ill"] = Page(fails=[503] * 99)
        with pytest.raises(RetryableError) as away:
            documents(FilesOptions(paths=(url,)))
        assert str(away.value) == message


@pytest.mark.parametrize("url", ["http://", "http://[::1/a", "http://host:port/a", "http://u:s3cret@:80/x"])
def test_what_is_no_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        documents(FilesOptions(paths=(url,)))
    assert str(caught.value) == "http://...: is not the URL of a server (they look like http://host/folder/name)"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_fails_for_a_while_is_asked_again(server: HttpFiles, ranges: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LISTING_SECONDS", 60.0)
    page = server.pages["/a.json"] = Page(DATA, TAG, ranges=ranges, fails=[500, 503], breaks=2)
    assert run_once({}, f"{server.url}/a.json") == {f"{server.url}/a.json": ("new", DATA)}
    assert (page.fails, page.breaks) == ([], 0)


def test_a_file_replaced_while_it_is_read_is_an_error(server: HttpFiles) -> None:
    for other in (Page(DATA, {"ETag": '"two"'}), Page(DATA[:-1], DATE), Page(DATA, {})):
        server.pages["/a.json"] = Page(DATA, TAG)
        found = web.look_at(f"{server.url}/a.json", retry_for=60)
        assert found.file is not None
        with found.file as file:
            assert file.read(10) == DATA[:10]
            server.pages["/a.json"] = other
            file.seek(2 << 20)
            with pytest.raises(Exception, match="was changed while it was read"):
                file.read(10)


def test_what_identifies_a_url_has_no_secret_in_it() -> None:
    assert clean("HTTPS://u:p@Host:8443/A%20b/c.json?x=1&sig=s&X-Goog-Signature=z&y=%20#part") == (
        "https://host:8443/A%20b/c.json?x=1&y=%20"
    )
    assert clean("https://host/a?Signature=1&Expires=2&AWSAccessKeyId=3&access_token=4&id=5") == "https://host/a?id=5"

"""Which files the paths of a user mean."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ddpm_core import ConfigError
from ddpm_files.listing import documents
from ddpm_files.options import FilesOptions


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def listed(*paths: str | Path) -> list[str]:
    return documents(FilesOptions(paths=tuple(str(path) for path in paths)))


def refused(*paths: str | Path) -> str:
    with pytest.raises(ConfigError) as caught:
        listed(*paths)
    return str(caught.value)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_keep_the_order_and_the_names_they_were_given(here: Path) -> None:
    touch(here, "b.json", "a.json")
    assert listed("b.json", "./a.json", "-") == ["b.json", "./a.json", "-"]


def test_a_single_path_need_not_be_a_list(here: Path) -> None:
    touch(here, "a.json")
    assert documents(FilesOptions.model_validate({"paths": "a.json"})) == ["a.json"]


def test_a_folder_means_all_files_below_it_sorted_without_hidden_ones(here: Path) -> None:
    touch(here, "d/b", "d/a/z", "d/a/y", "d/.hidden", "d/_SUCCESS", "d/.git/x", "d/_tmp/x")
    assert listed("d") == ["d/a/y", "d/a/z", "d/b"]
    assert listed("d/_tmp", "d/.hidden") == ["d/_tmp/x", "d/.hidden"]


def test_links_that_form_loops_are_walked_once(here: Path) -> None:
    touch(here, "d/a", "d/e/b")
    (here / "d/e/loop").symlink_to(here / "d")
    (here / "d/e/again").symlink_to(here / "d/e")
    assert listed("d") == ["d/a", "d/e/b"]
    assert sorted(listed("d/**/*")) == ["d/a", "d/e/b"]


def test_a_link_to_nowhere_in_a_folder_is_not_left_out_in_silence(here: Path) -> None:
    touch(here, "d/a")
    (here / "d/gone").symlink_to("nowhere")
    assert listed("d") == ["d/a", "d/gone"]


def test_the_same_file_by_two_ways_is_taken_once(here: Path) -> None:
    touch(here, "d/a")
    (here / "link").symlink_to("d/a")
    assert listed("d/a", "link", "d", f"file://{here}/d/a", "-", "-") == ["d/a", "-"]


def test_patterns_match_at_any_depth(here: Path) -> None:
    touch(here, "d/a.json", "d/b.avro", "d/x/c.json", "d/x/y/e.json", "d/.h/f.json", "d/_t/g.json", "d/_h.json")
    assert listed("d/*.json") == ["d/a.json"]
    assert listed("d/**/*.json") == ["d/a.json", "d/x/c.json", "d/x/y/e.json"]
    assert listed("d/**") == ["d/a.json", "d/b.avro", "d/x/c.json", "d/x/y/e.json"]
    assert listed("*/[ab].????") == ["d/a.json", "d/b.avro"]
    assert listed("d/_*.json") == ["d/_h.json"]
    assert listed(f"{here}/d/*.avro") == [f"{here}/d/b.avro"]


def test_a_pattern_that_matches_folders_means_what_is_in_them(here: Path) -> None:
    touch(here, "day=1/part-0", "day=1/_SUCCESS", "day=2/part-0")
    assert listed("day=*") == ["day=1/part-0", "day=2/part-0"]


def test_a_name_that_looks_like_a_pattern_is_taken_literally_where_it_exists(here: Path) -> None:
    touch(here, "a[1].json", "a1.json", "what?.json")
    assert listed("a[1].json", "what?.json") == ["a[1].json", "what?.json"]


def test_file_urls(here: Path) -> None:
    touch(here, "a b#c.json")
    assert listed(f"file://{here}/a%20b%23c.json") == [f"{here}/a b#c.json"]
    assert listed(f"file://localhost{here}/a b#c.json") == [f"{here}/a b#c.json"]
    assert refused("file://other/a") == "file://other/a: is not a file of this machine (file URLs look like file:///folder/name)"


def test_every_missing_path_is_named_at_once_with_what_is_near(here: Path) -> None:
    touch(here, "orders.json", "empty/_SUCCESS")
    (here / "dangling").symlink_to("nowhere")
    assert refused("ordes.json", "orders.json", "zzz", "nodir/a", "empty", "*.csv", "dangling", "") == "\n".join(
        [
            "ordes.json: no such file (did you mean 'orders.json'?)",
            "zzz: no such file",
            "nodir/a: no such file (there is no folder 'nodir')",
            "empty: the folder holds no files (names that begin with . or _ are left out)",
            "*.csv: the pattern matches nothing",
            "dangling: is a link to a file that is not there",
            "'': is not a path",
        ]
    )


def test_a_pattern_that_matches_empty_folders_only_says_so(here: Path) -> None:
    (here / "d/e").mkdir(parents=True)
    assert refused("d/*") == "d/*: the pattern matches no files"


def test_a_path_without_permission_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(here, "secret", "d/secret", "d/open")
    # Root may read everything, so the answer of the system is given here.
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("secret"))
    assert refused("secret", "d") == ("secret: is not readable: permission denied\nd/secret: is not readable: permission denied")


def test_a_folder_without_permission_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(here, "d/in/a")
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("in"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert refused("d") == "d/in: is not readable: permission denied"


def test_hostile_paths_are_refused_with_a_sentence(here: Path) -> None:
    assert refused("a\0b") == "'a\\x00b': is not a path"
    assert refused("a" * 5000).endswith(": is not readable: file name too long")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        assert refused("s") == "s: is a socket, not a file"


def test_a_pipe_is_a_document_but_not_within_a_folder(here: Path) -> None:
    touch(here, "d/a")
    os.mkfifo(here / "d/pipe")
    assert listed("d/pipe", "d") == ["d/pipe", "d/a"]

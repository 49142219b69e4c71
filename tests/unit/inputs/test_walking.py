"""Which files a directory or a pattern stands for: each one once, and none that other systems left there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from disco_rq.errors import JobArgumentError
from disco_rq.examples import demo
from disco_rq.inputs.filesystems import filesystem
from disco_rq.inputs.plan import Planned, plan_inputs


def plan(*inputs: str) -> Planned:
    return plan_inputs(list(inputs), line_based=True)


def names(tmp_path: Path, pattern: str) -> list[str]:
    return [os.path.relpath(task.urls()[0], tmp_path) for task in plan(f"{tmp_path}/{pattern}")]


def make(tmp_path: Path, *files: str) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x\n")


MARKERS = [
    "_SUCCESS",
    "_committed_1",
    "_started_1",
    "_metadata",
    "_common_metadata",
    ".part-0.crc",
    ".hidden",
]


@pytest.mark.parametrize("pattern", ["", "*", "**", "**/*", "*/../*"])
def test_markers_and_hidden_files_are_left_out_and_counted(tmp_path: Path, pattern: str) -> None:
    make(tmp_path, "part-0", "__init__.py", *MARKERS)
    (tmp_path / "_temporary").mkdir()
    if pattern == "*/../*":
        pattern = "*"
    planned = plan(f"{tmp_path}/{pattern}")
    assert [Path(task.urls()[0]).name for task in planned] == ["__init__.py", "part-0"]
    assert planned.note().startswith("Left out of the input: ")


def test_what_is_named_or_asked_for_is_read(tmp_path: Path) -> None:
    make(tmp_path, "_SUCCESS", ".hidden", "_metadata")
    assert names(tmp_path, "_SUCCESS") == ["_SUCCESS"]
    assert names(tmp_path, "_*") == ["_SUCCESS", "_metadata"]
    assert names(tmp_path, ".h*") == [".hidden"]
    assert plan(f"{tmp_path}/_*").note() == ""


class TestLinks:
    def test_a_directory_that_has_two_names_is_read_once(self, tmp_path: Path) -> None:
        make(tmp_path, "2024/a.log")
        (tmp_path / "latest").symlink_to("2024")
        for pattern in ("**/*.log", "**", "*/*.log", "*", "{2024,latest}/a.log"):
            assert names(tmp_path, pattern) == ["2024/a.log"]
        assert names(tmp_path, "latest/*.log") == ["latest/a.log"]

    def test_a_link_that_leads_back_is_no_circle(self, tmp_path: Path) -> None:
        make(tmp_path, "a.log", "d/b.log")
        for name, target in {"self": ".", "d/up": "..", "d/same": "../d", "nothing": "gone"}.items():
            (tmp_path / name).symlink_to(target)
        assert names(tmp_path, "**/*.log") == ["a.log", "d/b.log"]
        assert names(tmp_path, "**") == ["a.log", "d/b.log"]

    def test_a_link_to_itself_is_no_directory_of_a_pattern(self, tmp_path: Path) -> None:
        make(tmp_path, "d/b.log")
        (tmp_path / "itself").symlink_to("itself")
        assert names(tmp_path, "*/*") == ["d/b.log"]

    def test_a_linked_directory_from_elsewhere_is_followed(self, tmp_path: Path) -> None:
        make(tmp_path, "other/x.log", "here/a.log")
        (tmp_path / "here" / "link").symlink_to("../other")
        assert names(tmp_path, "here/**/*.log") == ["here/a.log", "here/link/x.log"]

    def test_a_link_beside_its_file_is_no_second_one(self, tmp_path: Path) -> None:
        make(tmp_path, "a.log")
        (tmp_path / "b.log").symlink_to("a.log")
        assert names(tmp_path, "") == ["a.log"]


class TestPatterns:
    def test_braces(self, tmp_path: Path) -> None:
        make(tmp_path, "a.log", "b.log", "c.log", "{a,b}.txt")
        assert names(tmp_path, "{a,c}.log") == ["a.log", "c.log"]
        assert names(tmp_path, "{a,b}.txt") == ["{a,b}.txt"]

    def test_a_directory_that_matches_is_expanded(self, tmp_path: Path) -> None:
        make(tmp_path, "day1/a", "day1/deeper/x", "day2/b", "c")
        assert names(tmp_path, "day*") == ["day1/a", "day2/b"]
        assert names(tmp_path, "*") == ["c", "day1/a", "day2/b"]

    def test_a_name_that_looks_like_a_pattern_is_a_name(self, tmp_path: Path) -> None:
        make(tmp_path, "a[1].log", "a1.log", "new\nline")
        assert names(tmp_path, "a[1].log") == ["a[1].log"]
        assert names(tmp_path, "new*") == ["new\nline"]

    def test_an_address_that_python_encoded_is_decoded_where_no_file_has_that_name(
        self, tmp_path: Path
    ) -> None:
        make(tmp_path, "a b.log", "c%20d", "c d")
        assert plan((tmp_path / "a b.log").as_uri())[0].urls() == [f"file://{tmp_path}/a b.log"]
        assert plan(f"file://{tmp_path}/c%20d")[0].urls() == [f"file://{tmp_path}/c%20d"]

    def test_nothing_that_is_left_is_an_error(self, tmp_path: Path) -> None:
        make(tmp_path, "_SUCCESS")
        for pattern in ("", "*"):
            with pytest.raises(JobArgumentError, match=r"no files in it|nothing matches"):
                plan(f"{tmp_path}/{pattern}")


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


class TestObjectStores:
    """On fsspec's memory, whose names are an object store's."""

    def test_hidden_directories_are_left_out_of_patterns_too(self, memory: Any) -> None:
        for name in ("/h/.tmp/x.txt", "/h/y.txt", "/h/_temporary/z.txt", "/h/_SUCCESS"):
            memory.pipe(name, b"x\n")
        assert [task.urls() for task in plan("memory://h/**/*.txt")] == [["memory://h/y.txt"]]
        assert [task.urls() for task in plan("memory://h/.tmp/*")] == [["memory://h/.tmp/x.txt"]]

    def test_two_colons_are_letters_of_a_name(self) -> None:
        fs, path = filesystem("s3://bucket/x/A::B.log")
        assert (fs.protocol[0], path) == ("s3", "bucket/x/A::B.log")


def test_a_link_to_a_file_that_has_two_names_is_no_third_file(tmp_path: Path) -> None:
    make(tmp_path, "d/one")
    os.link(tmp_path / "d" / "one", tmp_path / "d" / "two")
    (tmp_path / "d" / "link").symlink_to("one")
    (tmp_path / "e").symlink_to("d")
    assert len(names(tmp_path, "d")) == len(names(tmp_path, "**/*")) == len(names(tmp_path, "*/*")) == 2


@pytest.mark.parametrize("pattern", ["", "*", "**"])
def test_a_link_to_nothing_is_left_out_and_counted(tmp_path: Path, pattern: str) -> None:
    make(tmp_path, "a")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "itself").symlink_to("itself")
    assert names(tmp_path, pattern) == ["a"]
    note = plan(f"{tmp_path}/{pattern}").note()
    assert note.startswith("Left out of the input: 2 ")
    assert note.endswith(f", such as {tmp_path}/gone")


@pytest.mark.parametrize("pattern", ["**/*", "*/*"])
def test_a_directory_that_cannot_be_looked_into_is_told_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    make(tmp_path, "a", "closed/b")
    listed = os.listdir

    def refuse(path: str) -> list[str]:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(JobArgumentError, match=f"{tmp_path}/closed: Permission denied"):
        plan(f"{tmp_path}/{pattern}")


def test_a_brace_in_brackets_is_a_brace(tmp_path: Path) -> None:
    make(tmp_path, "{a,b}", "a", "b", "{", "}")
    assert names(tmp_path, "[{]a,b[}]") == ["{a,b}"]
    assert names(tmp_path, "[{]") == ["{"]
    assert names(tmp_path, "[{}]") == ["{", "}"]
    assert names(tmp_path, "[a]*") == ["a"]


def test_a_file_with_a_slash_behind_it_is_told_as_no_directory(tmp_path: Path) -> None:
    make(tmp_path, "a")
    with pytest.raises(JobArgumentError, match=f"{tmp_path}/a/: not a directory"):
        plan(f"{tmp_path}/a/")


def test_an_address_with_quoted_bytes_finds_names_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "odd\udcff name"
    path.write_text("x\n")
    assert [task.urls() for task in plan(path.as_uri())] == [[f"file://{path}"]]


def test_the_demo_knows_which_files_of_a_library_full_of_links_are_read(tmp_path: Path) -> None:
    # Debian's Pythons have a module under two names, and one that leads to /etc
    make(tmp_path, "os.py", "json/__init__.py", "json/decoder.py", "site-packages/other.py", "docs/a.txt")
    for name, target in {
        "again.py": "os.py",
        "gone.py": "nowhere.py",
        "json/os.py": "../os.py",
        "js": "json",
    }.items():
        (tmp_path / name).symlink_to(target)

    globs = demo.source_globs(tmp_path)
    read = [os.path.realpath(url) for task in plan(*globs) for url in task.urls()]
    assert demo.source_files(globs) == sorted(read)
    assert [os.path.relpath(file, tmp_path) for file in sorted(read)] == [
        *("json/__init__.py", "json/decoder.py", "os.py", "os.py")
    ]

"""What the maps of a job read: expansion, pieces, groups, replicas, and errors at submit."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from disco_rq.errors import JobArgumentError
from disco_rq.inputs import open_input, plan_inputs
from disco_rq.model import Input, MapInput

RESULT = "disco://n1/job@20260101-000000-aaaa/reduce-0.1"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """b.txt and a.txt, hidden and nested files beside them."""
    for name in ("b.txt", "a.txt", "c.log", ".hidden.txt", "sub/d.txt", "sub/deep/e.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]


def urls(*inputs: Any, **options: Any) -> list[list[str]]:
    return [task.urls() for task in plan_inputs(inputs, line_based=True, **options)]


def refusal(*inputs: Any, **options: Any) -> str:
    with pytest.raises(JobArgumentError) as caught:
        plan_inputs(inputs, **{"line_based": True, **options})
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestExpansion:
    def test_no_input_is_no_task(self) -> None:
        assert plan_inputs([], line_based=True) == []

    def test_paths_become_absolute_in_the_form_they_were_given(
        self, logs: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(logs)
        assert urls("a.txt", "./sub/../b.txt", "file://a.txt", Path("c.log")) == [
            [f"{logs}/a.txt"],
            [f"{logs}/b.txt"],
            [f"file://{logs}/a.txt"],
            [f"{logs}/c.log"],
        ]

    @pytest.mark.parametrize("form", ["{}", "{}/", "file://{}", "dir://{}", "dir://file://{}"])
    def test_a_directory_is_its_files_sorted(self, logs: Path, form: str) -> None:
        prefix = "file://" if "file://" in form else ""
        expected = [[f"{prefix}{logs}/{name}"] for name in ("a.txt", "b.txt", "c.log")]
        assert urls(form.format(logs)) == expected

    def test_globs(self, logs: Path) -> None:
        assert urls(f"{logs}/*.txt") == [[f"{logs}/a.txt"], [f"{logs}/b.txt"]]
        assert urls(f"file://{logs}/[a]*") == [[f"file://{logs}/a.txt"]]
        nested = [[f"{logs}/{name}"] for name in ("a.txt", "b.txt", "sub/d.txt", "sub/deep/e.txt")]
        assert urls(f"{logs}/**/*.txt") == nested

    def test_a_file_whose_name_looks_like_a_glob(self, logs: Path) -> None:
        (logs / "x[1].txt").touch()
        (logs / "x1.txt").touch()
        assert urls(f"{logs}/x[1].txt") == [[f"{logs}/x[1].txt"]]

    def test_addresses_that_stay_as_they_are(self) -> None:
        given = ["raw://a*b", RESULT, "raw://"]
        assert urls(*given) == [[url] for url in given]

    def test_fsspec_directories_and_globs(self, memory: fsspec.AbstractFileSystem) -> None:
        for name in ("b.txt", "a.txt", ".hidden", "sub/c.txt"):
            memory.pipe(f"/d/{name}", b"x")
        both = [["memory://d/a.txt"], ["memory://d/b.txt"]]
        assert urls("memory://d") == urls("memory://d/") == urls("dir://memory://d") == both
        assert urls("memory://d/*.txt") == both
        assert urls("memory://d/a.txt") == both[:1]
        assert plan_inputs(["memory://d"], line_based=True).left_out == ["memory://d/.hidden"]

    def test_fsspec_directories_that_a_glob_matches_are_expanded(
        self, memory: fsspec.AbstractFileSystem
    ) -> None:
        for name in ("a.txt", "x/b.txt", "x/deep/no.txt", "y/c.txt", ".h/no.txt"):
            memory.pipe(f"/e/{name}", b"x")
        a, b, c = (["memory://e/" + name] for name in ("a.txt", "x/b.txt", "y/c.txt"))
        assert urls("memory://e/*") == [a, b, c]
        assert urls("memory://e/[xy]") == [b, c]
        assert urls("memory://e/{x,y/c.txt}") == [b, c]
        assert urls("memory://e/x/**") == [b, ["memory://e/x/deep/no.txt"]]

    def test_members_of_an_archive(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "z.zip", "w") as z:
            z.writestr("in/b.txt", "B" * 1000)
            z.writestr("in/a.txt", "A" * 1000)
        archive = f"file://{tmp_path}/z.zip"

        planned = plan_inputs([f"zip://in/*.txt::{archive}"], line_based=True, split_size=10)

        assert [task.urls() for task in planned] == [[f"zip://in/{name}.txt::{archive}"] for name in "ab"]
        with open_input(planned[1].parts[0][0]) as (fd, _):
            assert fd.read() == b"B" * 1000


class TestPieces:
    def test_big_files_are_cut_evenly(self, tmp_path: Path) -> None:
        path = tmp_path / "big"
        path.write_bytes(b"line\n" * 1000)
        (tmp_path / "small").write_bytes(b"x")
        assert plan_inputs([str(path), f"{tmp_path}/small"], line_based=True, split_size=2000) == [
            MapInput(((Input(str(path), 0, 1666),),)),
            MapInput(((Input(str(path), 1666, 1667),),)),
            MapInput(((Input(str(path), 3333, None),),)),
            MapInput(((Input(f"{tmp_path}/small"),),)),
        ]

    def test_not_when_compressed_not_line_based_or_not_wanted(self, tmp_path: Path) -> None:
        for name in ("a.txt", "a.gz"):
            (tmp_path / name).write_bytes(b"line\n" * 1000)
        assert len(plan_inputs([f"{tmp_path}/a.gz"], line_based=True, split_size=100)) == 1
        assert len(plan_inputs([f"{tmp_path}/a.txt"], line_based=False, split_size=100)) == 1
        assert len(plan_inputs([f"{tmp_path}/a.txt"], line_based=True, split_size=None)) == 1

    def test_fsspec_files_are_cut_too(self, memory: fsspec.AbstractFileSystem) -> None:
        text = b"".join(b"line %d\n" % i for i in range(1000))
        memory.pipe("/big.txt", text)

        planned = plan_inputs(["memory://big.txt"], line_based=True, split_size=3000)

        assert len(planned) == 3
        read = []
        for task in planned:
            with open_input(task.parts[0][0]) as (fd, _):
                read.append(fd.read())
        assert b"".join(read) == text


class TestGroups:
    def test_files_of_one_directory_or_glob_are_grouped(self, logs: Path) -> None:
        a, b, c = (f"{logs}/{name}" for name in ("a.txt", "b.txt", "c.log"))
        assert urls(str(logs), files_per_task=2) == [[a, b], [c]]
        assert urls(a, b, f"{logs}/*.*", files_per_task=10) == [[a], [b], [a, b, c]]

    def test_big_ones_among_them_are_cut_and_all_keep_their_order(self, logs: Path) -> None:
        (logs / "b.txt").write_bytes(b"line\n" * 10)
        (logs / "d.log").touch()
        a, b, c, d = (f"{logs}/{name}" for name in ("a.txt", "b.txt", "c.log", "d.log"))
        assert urls(str(logs), split_size=30, files_per_task=5) == [[a], [b], [b], [c, d]]


class TestReplicas:
    def test_they_stay_together_in_order(self, logs: Path) -> None:
        (task,) = plan_inputs([[f"{logs}/a.txt", "raw://x", RESULT]], line_based=True)
        assert task == MapInput(((Input(f"{logs}/a.txt"), Input("raw://x"), Input(RESULT)),))

    def test_one_of_them_may_be_missing(self, logs: Path) -> None:
        assert urls([f"{logs}/none", f"{logs}/a.txt"]) == [[f"{logs}/none", f"{logs}/a.txt"]]
        assert f"input {logs}/none: no such file" in refusal([f"{logs}/none", f"{logs}/neither"])

    def test_they_are_cut_only_when_all_can_be_and_are_of_one_size(self, tmp_path: Path) -> None:
        one, two, odd = (tmp_path / name for name in ("one", "two", "odd"))
        one.write_bytes(b"line\n" * 100)
        two.write_bytes(b"line\n" * 100)
        odd.write_bytes(b"line\n" * 101)
        cut = plan_inputs([[str(one), str(two)]], line_based=True, split_size=250)
        assert cut == [
            MapInput(((Input(str(one), 0, 250), Input(str(two), 0, 250)),)),
            MapInput(((Input(str(one), 250, None), Input(str(two), 250, None)),)),
        ]
        for other in (str(odd), RESULT):
            assert len(plan_inputs([[str(one), other]], line_based=True, split_size=250)) == 1

    def test_each_names_one_file(self, logs: Path) -> None:
        assert "a replica names one file" in refusal([str(logs), f"{logs}/a.txt"])
        assert "a replica names one file" in refusal([f"{logs}/*.txt"])
        assert "empty list of replicas" in refusal([])


class TestErrors:
    def test_what_is_missing_is_named(self, logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(logs)
        assert refusal("none.txt") == f"input {logs}/none.txt: no such file"
        assert refusal("a.txt/b") == f"input {logs}/a.txt/b: no such file"
        assert refusal("file://none.txt") == f"input file://{logs}/none.txt: no such file"
        assert refusal("memory://none") == "input memory://none: no such file"

    def test_empty_directories_and_globs(self, logs: Path) -> None:
        (logs / "empty" / "sub").mkdir(parents=True)
        assert "empty: no files in it" in refusal(f"{logs}/empty")
        assert refusal(f"{logs}/*.csv") == f"input {logs}/*.csv: nothing matches"
        assert refusal(f"{logs}/[xyz]?") == f"input {logs}/[xyz]?: nothing matches"
        assert "not a directory" in refusal(f"dir://{logs}/a.txt")

    def test_libraries_and_schemes(self) -> None:
        assert refusal("abfs://c/a") == "input abfs://c/a: reading abfs:// needs adlfs: pip install adlfs"
        assert refusal("foo://x") == "input foo://x: no such scheme: foo://"
        assert "pip install paramiko" in refusal("zip://a::sftp://me:pw@host/z.zip")
        assert "pw" not in refusal("sftp://me:pw@host/x")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_directory_without_the_right_to_list_it(self, tmp_path: Path) -> None:
        (tmp_path / "shut").mkdir(mode=0)
        assert "Permission denied" in refusal(f"{tmp_path}/shut")

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            ("a.txt", "input takes a list of addresses, not str"),
            (None, "not NoneType"),
            ([1], "input takes addresses and lists of replicas, not int"),
            ([b"a"], "not bytes"),
            ([["a", None]], "addresses as text, not NoneType"),
            ([""], "input.0. is an empty address"),
            (["a\0b"], "NUL"),
            (["a\ud800"], r"input\[0\] = 'a\\ud800': it holds half of a character"),
            (["raw://a\ud800"], "half of a character"),
        ],
    )
    def test_wrong_types(self, value: Any, says: str) -> None:
        with pytest.raises(JobArgumentError, match=says):
            plan_inputs(value, line_based=True)

    @pytest.mark.parametrize("options", [{"split_size": 0}, {"files_per_task": 0}, {"files_per_task": None}])
    def test_numbers_out_of_range_name_the_argument(self, options: dict[str, Any]) -> None:
        assert refusal("raw://", **options).startswith(next(iter(options)))
        assert "whole number" in refusal("raw://", split_size=1.5)
        assert "whole number" in refusal("raw://", split_size=True)

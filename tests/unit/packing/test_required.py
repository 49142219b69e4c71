"""What required_files and required_modules take, what they read, and how it is laid out for a task."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from disco_rq.errors import JobArgumentError
from disco_rq.packing import gathering
from disco_rq.packing.gathering import gather
from disco_rq.packing.required import Required, RequiredFile


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of the user's, in which Python looks for modules."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an installation changes in this process is undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/before")


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def refused(modules: Any = (), files: Any = ()) -> str:
    with pytest.raises(JobArgumentError) as caught:
        gather(modules, files)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestFiles:
    def test_paths_lie_flat_under_their_own_names(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "stop.txt").write_bytes(b"the\n")
        tool = tmp_path / "tool"
        tool.write_bytes(b"#!/bin/sh\n")
        tool.chmod(0o755)

        found = gather((), [tmp_path / "deep" / "stop.txt", str(tool)])

        assert found.files == {
            "stop.txt": RequiredFile(b"the\n"),
            "tool": RequiredFile(b"#!/bin/sh\n", is_program=True),
        }

    def test_contents_may_be_given_by_name(self) -> None:
        found = gather((), {"a.txt": b"a", "run": b"#!/bin/sh\n"})

        assert found.files == {"a.txt": RequiredFile(b"a"), "run": RequiredFile(b"#!/bin/sh\n", True)}

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\0", 5])
    def test_names_that_would_leave_the_directory_are_refused(self, name: Any) -> None:
        assert refused(files={name: b""}).startswith(f"required_files: {name!r}")

    @pytest.mark.parametrize("wrong", ["path", b"path", 5, None])
    def test_what_is_no_list_is_refused(self, wrong: Any) -> None:
        assert refused(files=wrong).startswith(f"required_files={wrong!r}")
        assert refused(modules=wrong).startswith(f"required_modules={wrong!r}")

    def test_text_as_content_is_refused(self) -> None:
        assert refused(files={"a": "text"}) == "required_files: a has a str as its content, it takes bytes"

    def test_missing_files_and_directories_are_named(self, tmp_path: Path) -> None:
        assert (
            refused(files=[tmp_path / "none"])
            == f"required_files: {tmp_path}/none: No such file or directory"
        )
        assert refused(files=[tmp_path]) == f"required_files: {tmp_path}: Is a directory"
        assert refused(files=[5]) == "required_files: 5 is no path"

    def test_two_files_of_one_name_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        for path in (tmp_path / "a", tmp_path / "b" / "a"):
            path.touch()
        assert "have the same name" in refused(files=[tmp_path / "a", tmp_path / "b" / "a"])

    def test_too_many_bytes_are_refused_naming_the_largest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gathering, "MAX_FILES_BYTES", 1 << 20)
        text = refused(files={"small": bytes(10), "large": bytes(1 << 20)})
        assert "have 1.0 MiB together, 1 MiB is the most; the largest is large" in text


class TestModules:
    def test_a_local_module_is_a_file_and_an_installed_one_a_name(self, here: Path) -> None:
        write(here, required_one="ONE = 1")

        found = gather(["required_one", "math", "msgpack", "os.path"], ())

        assert found.files == {"required_one.py": RequiredFile(b"ONE = 1")}
        assert found.modules == ("required_one", "math", "msgpack", "os.path")

    def test_a_package_comes_with_all_its_files(self, here: Path) -> None:
        write(here, required_pack__in____init__="", required_pack__in__sub__in____init__="")
        (here / "required_pack" / "words.txt").write_text("data")
        (here / "required_pack" / "__pycache__").mkdir()
        (here / "required_pack" / "__pycache__" / "junk.pyc").touch()

        assert set(gather(["required_pack"], ()).files) == {
            "required_pack/__init__.py",
            "required_pack/sub/__init__.py",
            "required_pack/words.txt",
        }

    def test_a_module_in_a_package_brings_the_packages_above_it(self, here: Path) -> None:
        write(here, required_top__in____init__="", required_top__in__one="", required_top__in__two="")

        found = gather(["required_top.one"], ())

        assert set(found.files) == {"required_top/__init__.py", "required_top/one.py"}

    def test_what_a_module_imports_comes_too(self, here: Path) -> None:
        write(here, required_a="import required_b, json, required_nowhere", required_b="", required_c="")
        write(here, required_d__in____init__="", required_d__in__e="from . import f", required_d__in__f="")

        assert set(gather(["required_a"], ()).files) == {"required_a.py", "required_b.py"}
        assert set(gather(["required_d.e"], ()).files) == {
            "required_d/__init__.py",
            "required_d/e.py",
            "required_d/f.py",
        }

    def test_modules_that_import_each_other_come_once(self, here: Path) -> None:
        write(here, required_x="import required_y", required_y="import required_x")

        assert set(gather(["required_x"], ()).files) == {"required_x.py", "required_y.py"}

    def test_a_name_and_a_path_need_not_be_found_by_python(self, tmp_path: Path) -> None:
        write(tmp_path, elsewhere="ONE = 1", some__in__mod="")

        found = gather([("renamed", tmp_path / "elsewhere.py"), ("pack", str(tmp_path / "some"))], ())

        assert set(found.files) == {"renamed.py", "pack/mod.py"}

    def test_a_module_may_be_among_the_required_files(self) -> None:
        found = gather(["given"], {"given.py": b"ONE = 1"})

        assert found.modules == ("given",)
        assert found.as_files == {"given"}

    def test_unknown_modules_and_wrong_entries_are_named(self, tmp_path: Path) -> None:
        assert refused(["required_nosuch"]).startswith("required_modules: there is no module required_nosuch")
        assert refused([("name", tmp_path / "x.py")]).endswith("x.py: No such file or directory")
        for wrong in (5, "a b", "", ("name",), ("a-b", "x.py"), ("name", 5)):
            assert refused([wrong]).startswith(f"required_modules: {wrong!r} is neither")


@pytest.mark.usefixtures("untouched")
class TestInstalled:
    def test_it_comes_back_as_it_was_packed(self) -> None:
        required = gather(["math"], {"a": b"a", "run": b"#!"})

        again = Required.unpack(required.pack())

        assert (again.files, again.modules) == (required.files, required.modules)
        assert Required().pack() == b""
        assert not Required.unpack(b"")

    def test_files_are_importable_and_programs_can_be_run(self, tmp_path: Path) -> None:
        files = {"required_i.py": b"ONE = 1", "run": b"#!/bin/sh\necho $LD_LIBRARY_PATH"}
        gather((), files).install(tmp_path / "required")

        import required_i  # type: ignore[import-not-found]

        assert required_i.ONE == 1
        out = subprocess.run(
            [tmp_path / "required" / "run"], capture_output=True, text=True, check=True
        ).stdout
        assert out.strip() == f"{tmp_path}/required:/before"
        assert not (tmp_path / "aside").exists()

    def test_who_comes_second_takes_what_is_there(self, tmp_path: Path) -> None:
        required = gather((), {"a": b"a"})
        required.install(tmp_path / "required", aside=tmp_path / "first")
        before = (tmp_path / "required").stat().st_ino

        required.install(tmp_path / "required", aside=tmp_path / "second")

        assert (tmp_path / "required").stat().st_ino == before
        assert [path.name for path in tmp_path.iterdir()] == ["required"]

    def test_two_that_write_at_once_leave_one_complete_copy(self, tmp_path: Path) -> None:
        required = gather((), {"a": b"a", "b": b"b"})
        directory = tmp_path / "required"

        class LooksTooEarly(type(directory)):  # type: ignore[misc]
            """Is not there yet when it is asked for the first time."""

            asked = 0

            def exists(self, **_: Any) -> bool:
                type(self).asked += 1
                return type(self).asked > 1

        required.install(directory, aside=tmp_path / "first")
        required.install(LooksTooEarly(directory), aside=tmp_path / "second")

        assert {path.name for path in directory.iterdir()} == {"a", "b"}
        assert [path.name for path in tmp_path.iterdir()] == ["required"]

    def test_a_directory_that_cannot_be_made_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "job").touch()
        with pytest.raises(OSError, match="job"):
            gather((), {"a": b"a"}).install(tmp_path / "job" / "required", aside=tmp_path / "aside")

    def test_nothing_required_changes_nothing(self, tmp_path: Path) -> None:
        before = list(sys.path), dict(os.environ)
        Required().install(tmp_path / "none", aside=tmp_path / "aside")
        Required().link(tmp_path / "none", tmp_path)
        assert (list(sys.path), dict(os.environ)) == before
        assert list(tmp_path.iterdir()) == []

    def test_modules_are_found_by_the_last_part_of_their_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(builtins, "etree", raising=False)

        gather(["xml.etree"], ()).import_modules()

        assert eval("etree.__name__", {}) == "xml.etree"
        monkeypatch.delattr(builtins, "etree")

    def test_a_module_with_the_name_of_a_builtin_does_not_replace_it(self, tmp_path: Path) -> None:
        required = gather(["map"], {"map.py": b""})
        required.install(tmp_path / "required", aside=tmp_path / "aside")
        builtin = builtins.map

        required.import_modules()

        assert "map" in sys.modules
        assert builtins.map is builtin

"""External programs: what ``external`` and ``ext_params`` take, and how pairs travel."""

from __future__ import annotations

import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from disco_rq import JobArgumentError, external
from disco_rq.client.submission import build
from disco_rq.errors import ProgramError
from disco_rq.external import ExternalProgram, encoded_params
from disco_rq.stages.pairwire import IncomingLists, packed
from tests.external import ECHO, python_program

Make = Callable[..., ExternalProgram]
U32 = struct.Struct("<I")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda body, **options: python_program(tmp_path / "program.py", body, **options)


# -- what external() takes


def test_a_program_and_its_files_are_read_and_written_with_their_modes(tmp_path: Path) -> None:
    (tmp_path / "prog").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "prog").chmod(0o755)
    (tmp_path / "lib.so").write_bytes(b"\0\1")

    program = external([tmp_path / "prog", str(tmp_path / "lib.so")])
    (tmp_path / "prog").unlink()  # read before
    path = program.write_to(tmp_path / "there")

    assert path == tmp_path / "there" / "prog"
    assert path.read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert (tmp_path / "there" / "lib.so").read_bytes() == b"\0\1"
    assert stat.S_IMODE((tmp_path / "there" / "lib.so").stat().st_mode) == 0o600


@pytest.mark.parametrize("files", ["prog", [], None, 5, b"prog", Path("prog")])
def test_what_is_no_list_of_files_is_refused(files: Any) -> None:
    with pytest.raises(JobArgumentError, match="a list of files, the program first"):
        external(files)


@pytest.mark.parametrize("file", [5, None, b"prog"])
def test_what_is_no_path_is_refused(file: Any) -> None:
    with pytest.raises(JobArgumentError, match="no path of a file"):
        external([file])


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobArgumentError, match=f"cannot read {tmp_path}/prog: No such file"):
        external([tmp_path / "prog"])
    with pytest.raises(JobArgumentError, match=f"cannot read {tmp_path}: Is a directory"):
        external([tmp_path])


def test_a_program_that_is_not_executable_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prog").touch(0o644)

    with pytest.raises(JobArgumentError, match=r"prog is not executable; chmod \+x"):
        external([tmp_path / "prog"])


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "prog").touch(0o755)
    (tmp_path / "a" / "prog").touch(0o755)

    with pytest.raises(JobArgumentError, match="two files are called prog"):
        external([tmp_path / "prog", tmp_path / "a" / "prog"])


def test_text_is_true_or_false() -> None:
    with pytest.raises(JobArgumentError, match="text=1"):
        external([sys.executable], text=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("params", "sent"),
    [
        (None, b"0\n"),
        ({}, b"0\n"),
        ({"a": "b"}, b"8\n1 a 1 b\n"),
        ({"size": "ü", b"k": b"\0\xff"}, b"21\n4 size 2 \xc3\xbc\n1 k 2 \0\xff\n"),
        ("as it is", b"as it is"),
        (b"\0\1", b"\0\1"),
    ],
)
def test_ext_params_become_netstrings_or_stay_as_they_are(params: Any, sent: bytes) -> None:
    assert encoded_params(params) == sent


@pytest.mark.parametrize("params", [5, ["a"], {"a": 1}, {1: "a"}, {"a": None}])
def test_ext_params_of_another_type_are_refused(params: Any, make: Make) -> None:
    with pytest.raises(JobArgumentError, match=r"^ext_params"):
        build("job", ["raw://a"], {"map": make(ECHO), "ext_params": params}, None)


def test_ext_params_without_a_program_are_refused() -> None:
    with pytest.raises(JobArgumentError, match="ext_params is for external programs"):
        build("job", ["raw://a"], {"map": lambda e, params: [], "ext_params": "a"}, None)


@pytest.mark.parametrize("argument", ["combiner", "partition", "map_reader", "reduce_writer"])
def test_only_map_and_reduce_may_be_programs(argument: str, make: Make) -> None:
    with pytest.raises(JobArgumentError, match=f"^{argument}=.*: it takes a function$"):
        build("job", ["raw://a"], {"map": make(ECHO), argument: make(ECHO)}, None)


def test_the_spec_names_the_program_and_does_not_hold_it(make: Make) -> None:
    spec = build("job", ["raw://a"], {"map": make(ECHO)}, None).spec

    assert spec.details["arguments"]["map"] == "external program program.py"
    assert spec.details["arguments"]["ext_params"] is None
    assert "import struct" not in repr(make(ECHO))


# -- the wire


def test_lists_are_taken_apart_however_their_bytes_are_cut() -> None:
    data = b"".join(
        [U32.pack(2), packed("a", 1), packed(b"", "ü" * 9), U32.pack(0), U32.pack(1), packed(2.5, "")]
    )
    expected = [[(b"a", b"1"), (b"", "ü".encode() * 9)], [], [(b"2.5", b"")]]

    for step in range(1, len(data) + 1):
        lists = IncomingLists("program", text=False)
        for start in range(0, len(data), step):
            lists.feed(data[start : start + step])
        assert list(lists.complete) == expected
        assert not lists.is_inside


def test_pairs_of_a_list_that_goes_on_can_be_had_before_its_end() -> None:
    lists = IncomingLists("program", text=True)

    lists.feed(U32.pack(2) + packed("a", "b") + U32.pack(7))

    assert lists.drain() == [("a", "b")]
    assert lists.is_inside


@pytest.mark.parametrize(
    "data", [b"hello world", U32.pack(1) + b"hello world", U32.pack(1) + U32.pack(1) + b"khello"]
)
def test_what_is_no_pair_is_told_from_one_by_its_size(data: bytes) -> None:
    with pytest.raises(ProgramError, match=r"only pairs belong on its stdout, and it wrote b'.*(hello|ello)"):
        IncomingLists("program", text=False).feed(data)

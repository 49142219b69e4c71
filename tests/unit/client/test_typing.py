"""A type checker knows the API: it is content with a correct program, and finds what is wrong in another."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import disco_rq
from disco_rq.client.arguments import JobArguments, as_plain_data
from disco_rq.client.submission import ARGUMENTS
from disco_rq.params import Params

ROOT = Path(__file__).parents[3]

CORRECT = """
    from collections.abc import Iterable, Iterator
    from typing import Any, BinaryIO

    from disco_rq import Disco, Job, JobError, Params, result_iterator
    from disco_rq.func import Output, chain_reader, kvgroup, nop_reduce, object_reader, object_writer
    from disco_rq.func import sum_combiner, sum_reduce
    from disco_rq.runtime import counter, get, msg, put, this_partition


    def read(fd: BinaryIO, size: int | None, name: str) -> Iterator[str]:
        for line in fd:
            yield line.decode()


    def words(line: str, params: Params) -> Iterator[tuple[str, int]]:
        counter("lines")
        put(f"line:{this_partition()}", {"length": len(line)})
        for word in line.split():
            if len(word) > params.least:
                yield word, 1


    def count(pairs: Iterable[tuple[str, int]], params: Any) -> Iterator[tuple[str, int]]:
        for word, ones in kvgroup(pairs):
            yield word, sum(ones)


    def count_out(pairs: Iterable[tuple[str, int]], out: Output, params: Any) -> None:
        msg(f"first: {get('line:0')}")
        for word, ones in kvgroup(pairs):
            out.add(word, sum(ones))


    def first_letter(key: str, nr_reduces: int, params: Any) -> int:
        return ord(key[0]) % nr_reduces


    with Disco("redis://localhost", workers=2) as disco:
        job: Job = disco.new_job(
            "words", ["a.txt", ["b.txt", "http://mirror/b.txt"]], map=words, map_reader=read, reduce=count,
            combiner=sum_combiner, partition=first_letter, nr_reduces=3, sort=True,
            params=Params(least=3, f=lambda x: x), scheduler={"max_cores": 2}, required_files={"a": b""},
            required_modules=["numpy", ("mine", "lib/mine.py")], profile=True, task_timeout=2.5,
        )
        try:
            results: list[str] = job.wait(timeout=60)
        except JobError as error:
            print(error)
        for word, number in result_iterator(results):
            print(word, number)
        second = disco.new_job("next", results, map=lambda pair, params: [pair], map_reader=chain_reader)
        third = disco.new_job("third", [], reduce=count_out, reduce_reader=object_reader)
        fourth = disco.new_job("fourth", [], map=lambda e, params: None, reduce=nop_reduce)
        fifth = disco.new_job("fifth", [], map=words, reduce=sum_reduce, reduce_writer=object_writer)
        status, addresses = second.results()
        if status == "ready":
            print(addresses[0].upper())
        finished, active = disco.results([third, fourth.name, fifth])
        lines: Iterator[str] = result_iterator(addresses, reader=read)
        job.profile_stats("map").print_stats()
        again: list[str] = disco.wait("words@1", timeout=2.5) + disco.wait(name=job.name, timeout=2.5)
        disco.oob_get(name=job.name, key="key")
        disco.pause(job.name)
"""

MISTAKES = {
    'disco.new_job("a", [], map=words, nr_reduce=3)': "call-arg",
    'disco.new_job("a", [], map=words, nr_reduces="3")': "arg-type",
    'disco.new_job("a", [], map=words, sort=1)': "arg-type",
    'disco.new_job("a", 5, map=words)': "arg-type",
    'disco.new_job(["a"], [], map=words)': "arg-type",
    "disco.new_job(input=[], map=words)": "call-arg",
    'disco.new_job("a", [], map=lambda line: [])': "arg-type",
    'disco.new_job("a", [], map=wrong_result)': "arg-type",
    'disco.new_job("a", [], map=words, reduce=words_of_nothing)': "arg-type",
    'disco.new_job("a", [], map=words, partition=wrong_partition)': "arg-type",
    'disco.new_job("a", [], map=words, scheduler={"max_core": 2})': "typeddict-unknown-key",
    'disco.new_job("a", [], map=words, msg_overflow="stop")': "arg-type",
    'disco.new_job("a", [], map=words, required_files={"a": "text"})': "dict-item",
    'job.wait(timeout="60")': "arg-type",
    "job.wait(time_out=60)": "call-arg",
    'job.results()[0] == "done"': "comparison-overlap",
    "job.kil()": "attr-defined",
    "for a, b, c in result_iterator(job.wait()): pass": "misc",
    "disco.oob_get(job, 'key')": "arg-type",
    "disco.wait(timeout=60)": "call-arg",
    "disco.wait(names='job')": "call-arg",
    "disco.wait(name='job', timeout='60')": "arg-type",
    "disco.wait('job') + 1": "operator",
    "Disco(workers='2')": "arg-type",
}

WRONG = """
    from collections.abc import Iterable, Iterator
    from typing import Any

    from disco_rq import Disco, result_iterator


    def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
        yield line, 1


    def wrong_result(line: str, params: Any) -> int:
        return 1


    def words_of_nothing() -> None: ...


    def wrong_partition(key: str, nr_reduces: int, params: Any) -> str:
        return key


    disco = Disco()
    job = disco.new_job("a", ["a.txt"], map=words)
"""


def checked(program: str, directory: Path) -> tuple[int, str]:
    """What ``mypy --strict`` says of a user's program, from outside our tree."""
    (directory / "program.py").write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "program.py"]
    cache = f"--cache-dir={ROOT / '.mypy_cache' / 'users'}"
    environment = {"MYPYPATH": "", "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*command, cache], cwd=directory, env=environment, capture_output=True, text=True, timeout=100
    )
    return done.returncode, done.stdout + done.stderr


def test_a_correct_program_passes_mypy_strict(tmp_path: Path) -> None:
    assert checked(textwrap.dedent(CORRECT), tmp_path) == (0, "")


def test_mypy_finds_each_mistake_of_a_wrong_program(tmp_path: Path) -> None:
    program = textwrap.dedent(WRONG) + "\n".join(MISTAKES)

    status, said = checked(program, tmp_path)

    assert status == 1, said
    found = re.findall(r"^program\.py:(\d+): error: .*\[([\w-]+)\]$", said, re.MULTILINE)
    lines = program.splitlines()
    assert {lines[int(line) - 1] for line, _ in found} == set(MISTAKES), said
    codes = [(lines[int(line) - 1], code) for line, code in found]
    assert set(codes) >= set(MISTAKES.items()), said


def test_the_types_tell_of_every_argument() -> None:
    assert {"name", "input", *JobArguments.__annotations__} == set(ARGUMENTS)


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(*disco_rq.__path__) / "py.typed").exists()


@pytest.mark.parametrize(
    ("argument", "value", "as_told"),
    [
        ("input", ["a", ["b", Path("c")], "s3://u:p@h/x"], ["a", ["b", "c"], "s3://u:***@h/x"]),
        ("map", as_plain_data, "disco_rq.client.arguments.as_plain_data"),
        ("map", None, None),
        ("params", {"a": 1}, "{'a': 1}"),
        ("required_files", [Path("x/b"), "a"], ["a", "b"]),
        ("required_files", {"b": b"", "a": b""}, ["a", "b"]),
        ("required_modules", ["a", ("b", "c.py")], ["a", "b"]),
        ("save", Path("/out"), "/out"),
        ("scheduler", {"max_cores": 1}, {"max_cores": 1}),
        ("sort", True, True),
    ],
)
def test_an_argument_is_told_as_plain_data(argument: str, value: object, as_told: object) -> None:
    assert as_plain_data(argument, value) == as_told


@pytest.mark.parametrize(
    "params", ["x" * 10_000, list(range(10_000)), Params(**{f"x{i}": i for i in range(999)})]
)
def test_long_params_are_cut(params: object) -> None:
    assert len(as_plain_data("params", params)) <= 501


def test_params_that_cannot_be_shown_are_no_error() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "Shy instance" in as_plain_data("params", Params(shy=Shy()))


def test_names_that_are_no_utf8_are_told_readably() -> None:
    assert as_plain_data("input", ["raw://caf\udce9"]) == ["raw://caf\\udce9"]
    assert as_plain_data("required_files", {"caf\udce9": b""}) == ["caf\\udce9"]
    assert as_plain_data("params", Params(text="\udce9")).encode()

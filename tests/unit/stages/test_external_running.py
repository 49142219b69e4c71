"""External programs at work: good ones, and those that die, hang or say nonsense."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import external
from disco_rq.client.submission import build
from disco_rq.errors import DataError, JobFailure, ProgramError, TaskTimeout
from disco_rq.external import ExternalProgram
from disco_rq.model import JobSpec, TaskId
from disco_rq.runtime import RunningTask, enter_task
from disco_rq.stages import external as running
from disco_rq.stages.external import RunningProgram, running_program
from tests.cluster.conftest import wait_until
from tests.external import ECHO, PROLOGUE, python_program

Make = Callable[..., ExternalProgram]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda body, **options: python_program(tmp_path / "program.py", body, **options)


def talk(program: ExternalProgram, directory: Path, use: Callable[[RunningProgram], Any]) -> Any:
    with running_program(program, directory) as process:
        return use(process)


def mapped(program: ExternalProgram, directory: Path, *given: Any, entries: Iterable[Any] = ()) -> list[Any]:
    def use(process: RunningProgram) -> list[Any]:
        lists = list(process.answers(given or entries))
        process.finish_map()
        return lists

    lists: list[Any] = talk(program, directory, use)
    return lists


def reduced(program: ExternalProgram, directory: Path, *pairs: Any) -> list[Any]:
    given: list[Any] = talk(program, directory, lambda process: list(process.reduced(iter(pairs))))
    return given


# -- programs that behave


def test_a_line_is_the_value_of_an_empty_key_and_a_pair_is_a_pair(make: Make, tmp_path: Path) -> None:
    lists = mapped(make(ECHO), tmp_path, "line", b"\xff", ("k", 5), ["k", 0.5], "\udcff")

    assert lists == [[(b"", b"line")], [(b"", b"\xff")], [(b"k", b"5")], [(b"k", b"0.5")], [(b"", b"\xff")]]


def test_text_comes_back_as_str(make: Make, tmp_path: Path) -> None:
    assert mapped(make(ECHO, text=True), tmp_path, "ü", b"\xff") == [[("", "ü")], [("", "\udcff")]]


def test_a_map_may_answer_nothing_or_much(make: Make, tmp_path: Path) -> None:
    program = make("while (kv := pair()): write(*[kv] * int(kv[1]))\n")

    assert [len(answer) for answer in mapped(program, tmp_path, "0", "3", "0", "1000")] == [0, 3, 0, 1000]


def test_params_come_before_the_first_pair(make: Make, tmp_path: Path) -> None:
    program = build(
        "job",
        ["raw://a"],
        {"map": make("while pair(): write((b'params', params))\n"), "ext_params": {"a": "b"}},
        None,
    )
    assert program.functions.map.params == b"8\n1 a 1 b\n"

    assert mapped(program.functions.map, tmp_path, "x") == [[(b"params", b"1 a 1 b\n")]]


def test_it_runs_among_its_files_which_no_other_directory_has(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("here")
    (tmp_path / "prog").write_text(
        PROLOGUE
        + "while pair(): write((os.environ['LD_LIBRARY_PATH'].encode(), open('data.txt', 'rb').read()))\n"
    )
    (tmp_path / "prog").chmod(0o755)
    program = external([tmp_path / "prog", tmp_path / "data.txt"])
    (tmp_path / "task").mkdir()

    [[(libraries, content)]] = mapped(program, tmp_path / "task", "x")

    assert content == b"here"
    assert libraries.decode().split(os.pathsep)[0] == str(tmp_path / "task" / ".program")


def test_full_pipes_on_both_sides_block_nobody(make: Make, tmp_path: Path) -> None:
    # It writes much before it has read all, to both of its outputs, and is sent more than a pipe holds.
    big = b"x" * 3_000_000
    body = (
        "while (kv := pair()):\n"
        "    sys.stderr.write('e' * 99 + '\\n' * 3000)\n"
        "    write((b'k', kv[1]), (b'k', kv[1]))\n"
    )

    assert mapped(make(body), tmp_path, big, big) == [[(b"k", big)] * 2] * 2


def test_a_reduce_gives_out_lists_at_any_time(make: Make, tmp_path: Path) -> None:
    body = (
        "write((b'first', b''))\n"
        "count = 0\n"
        "while (kv := pair()):\n"
        "    count += 1\n"
        "    if count % 1000 == 0: write(kv, kv)\n"
        "write()\n"
        "write((b'count', b'%d' % count))\n"
    )

    given = reduced(make(body), tmp_path, *((i, "v") for i in range(2500)))

    assert given == [(b"first", b""), *[(b"999", b"v")] * 2, *[(b"1999", b"v")] * 2, (b"count", b"2500")]


def test_a_reduce_that_answers_before_it_reads_blocks_nobody(make: Make, tmp_path: Path) -> None:
    body = "for i in range(50): write((b'k', b'v' * 100_000))\nwhile pair(): pass\n"

    assert len(reduced(make(body), tmp_path, *[("k", "v" * 100_000)] * 50)) == 50


def test_a_reduce_may_end_without_output_and_a_map_without_entries(make: Make, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    assert reduced(make("while pair(): pass\n"), tmp_path / "a", ("k", "v")) == []
    assert mapped(make(ECHO), tmp_path / "b") == []


# -- programs that do not


def failure(kind: type[Exception], program: ExternalProgram, directory: Path, *entries: Any) -> str:
    with pytest.raises(kind) as caught:
        mapped(program, directory, *entries or ("x",))
    return str(caught.value)


def test_the_exit_status_is_told_with_the_last_words(make: Make, tmp_path: Path) -> None:
    body = "for i in range(9): print('line', i, file=sys.stderr)\nsys.exit(3)\n"

    text = failure(ProgramError, make(body), tmp_path)

    assert "external program program.py ended with exit status 3 before it had answered every pair" in text
    assert text.endswith("its last words: line 4 | line 5 | line 6 | line 7 | line 8")


def test_a_signal_is_told_and_lets_another_node_try(make: Make, tmp_path: Path) -> None:
    text = failure(DataError, make("os.kill(os.getpid(), signal.SIGSEGV)\n"), tmp_path)

    assert "was killed by signal 11 (SIGSEGV)" in text


def test_a_failure_after_the_last_answer_counts(make: Make, tmp_path: Path) -> None:
    assert "exit status 2 after its last list" in failure(
        ProgramError, make(ECHO + "sys.exit(2)\n"), tmp_path
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("print('hello')\n", "announces a list of 1819043176 pairs"),
        ("pair(); write(); write(); time.sleep(60)\n", "more lists than it gets pairs"),
        (
            "pair(); sys.stdout.buffer.write(b'\\1\\0\\0\\0\\5')\n",
            "exit status 0 before it had answered every pair",
        ),
        ("pair(); os.close(1); time.sleep(60)\n", "closed its stdout before it had answered every pair"),
    ],
)
def test_a_breach_of_the_protocol_is_told(
    body: str, told: str, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "GRACE_S", 0.5)

    assert told in failure(ProgramError, make(body), tmp_path)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("pair(); pair(); sys.exit(0)\n", "exit status 0 before it had read every pair"),
        (
            "while pair(): pass\nsys.stdout.buffer.write(b'\\1\\0\\0\\0')\n",
            "exit status 0 in the middle of a list",
        ),
        ("while pair(): pass\nsys.exit('sorry')\n", "exit status 1 before its end; its last words: sorry"),
    ],
)
def test_a_reduce_that_ends_too_soon_is_told(body: str, told: str, make: Make, tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as caught:
        reduced(make(body), tmp_path, *[("k", "v" * 1000)] * 5000)

    assert told in str(caught.value)


def test_a_map_that_goes_on_behind_its_last_answer_is_ended(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "GRACE_S", 0.2)
    before = time.monotonic()

    assert mapped(make(ECHO + "time.sleep(60)\n"), tmp_path, "x") == [[(b"", b"x")]]
    assert time.monotonic() - before < 10


def has_ended(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_whatever_happens_the_program_and_its_children_are_gone(make: Make, tmp_path: Path) -> None:
    body = "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\n" + (
        "while pair(): write((b'%d' % os.getpid(), b'%d' % child.pid))\n"
    )
    pids: list[int] = []

    def use(process: RunningProgram) -> None:
        answer = next(process.answers(["x"]))
        assert isinstance(answer, list)
        [(program, child)] = answer
        pids.extend([int(program), int(child)])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        talk(make(body), tmp_path, use)

    wait_until(lambda: all(map(has_ended, pids)))


@pytest.mark.parametrize("entry", [None, True, {"a": 1}, ("k", None), ("a", "b", "c")])
def test_a_type_that_no_program_takes_is_named(entry: Any, make: Make, tmp_path: Path) -> None:
    text = failure(ProgramError, make(ECHO), tmp_path, entry)

    assert "takes keys and values that are str, bytes, int or float, and this value is of type" in text


def test_an_error_of_the_reader_comes_behind_the_answers_before_it(make: Make, tmp_path: Path) -> None:
    def entries() -> Iterator[str]:
        yield "a"
        yield "b"
        raise DataError("torn")

    got = []

    def use(process: RunningProgram) -> None:
        for answer in process.answers(entries()):
            got.append(answer)

    with pytest.raises(DataError, match="torn"):
        talk(make(ECHO), tmp_path, use)
    assert got == [[(b"", b"a")], [(b"", b"b")]]


def test_a_time_limit_that_strikes_in_the_reader_waits_for_no_answer(make: Make, tmp_path: Path) -> None:
    def entries() -> Iterator[str]:
        yield "a"
        raise TaskTimeout("too long")

    before = time.monotonic()
    with pytest.raises(TaskTimeout):
        mapped(make("time.sleep(30)\n"), tmp_path, entries=entries())
    assert time.monotonic() - before < 20


def test_what_cannot_be_started_here_is_for_another_node(tmp_path: Path) -> None:
    (tmp_path / "prog").write_text("#!/no/such/interpreter\n")
    (tmp_path / "prog").chmod(0o755)

    text = failure(DataError, external([tmp_path / "prog"]), tmp_path)

    assert "prog cannot be started on this node: No such file or directory" in text
    assert "interpreter" in text


# -- stderr


class Told:
    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> int:
        self.messages.append(text)
        return 1


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    spec = JobSpec("job@20260101-000000-aaaa", 1, 0, has_map=True, has_reduce=False)
    enter_task(RunningTask(spec, TaskId("map", 0), "host", "m:1", list, told))  # type: ignore[arg-type]
    yield told
    enter_task(None)


def test_messages_are_sent_and_other_lines_are_logged(
    make: Make, tmp_path: Path, told: Told, capsys: pytest.CaptureFixture[str]
) -> None:
    body = (
        "sys.stderr.write('**<MSG> one\\n**<MSG>two\\nplain\\n')\n"
        + ECHO
        + "sys.stderr.write('without an end')\n"
    )

    mapped(make(body), tmp_path, "x")

    assert told.messages == ["one", "two"]
    assert capsys.readouterr().err == "plain\nwithout an end\n"


@pytest.mark.parametrize(("command", "kind"), [("ERR", JobFailure), ("DAT", DataError)])
def test_an_error_line_ends_the_job_or_the_attempt(
    command: str, kind: type[Exception], make: Make, tmp_path: Path, told: Told
) -> None:
    body = f"sys.stderr.write('**<{command}> no good\\n')\nsys.exit(1)\n"

    assert failure(kind, make(body), tmp_path) == "no good"


@pytest.mark.parametrize("run", [mapped, reduced])
@pytest.mark.parametrize("status", [0, 1])
def test_an_error_line_without_an_end_is_one_too(
    run: Callable[..., Any], status: int, make: Make, tmp_path: Path, told: Told
) -> None:
    program = make(f"{ECHO}sys.stderr.write('**<ERR> no good')\nsys.stderr.flush()\nsys.exit({status})\n")

    with pytest.raises(JobFailure, match="no good"):
        run(program, tmp_path, ("k", "v"))

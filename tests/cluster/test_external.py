"""External programs as map and reduce of whole jobs, compiled and in shell, well behaved and not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import Disco, external, func, result_iterator
from disco_rq.examples import external as examples
from disco_rq.external import ExternalProgram
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import death, pairs, run, wait_for_death
from tests.conftest import require_program
from tests.external import ECHO, python_program

EXAMPLES = Path(examples.__path__[0])
TEXT = ["the quick brown fox", "jumps over", "the lazy dog and the quick hound"]

Make = Callable[..., ExternalProgram]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda body, **options: python_program(tmp_path / "program.py", body, **options)


@pytest.fixture(scope="module")
def first_letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example in C, compiled."""
    program = tmp_path_factory.mktemp("c") / "first_letters"
    source = EXAMPLES / "first_letters.c"
    subprocess.run(
        [require_program("gcc"), "-Wall", "-Wextra", "-Werror", "-O2", "-o", program, source], check=True
    )
    return program


@pytest.fixture
def lines(tmp_path: Path) -> str:
    (tmp_path / "lines").write_text("\n".join(TEXT) + "\n")
    return str(tmp_path / "lines")


def words_by_letter(least: int) -> list[tuple[str, str]]:
    return sorted((word[0], word) for line in TEXT for word in line.split() if len(word) >= least)


def test_a_map_in_c_gets_its_params_and_sends_messages(disco: Disco, first_letters: Path, lines: str) -> None:
    job = run(disco, input=[lines], map=external([first_letters], text=True), ext_params={"least": "4"})

    assert sorted(pairs(job)) == words_by_letter(4)
    assert "3 lines" in [message for _, (_, _, message) in job.events()]


def test_a_map_in_c_and_a_reduce_in_shell_over_several_partitions(
    disco: Disco, first_letters: Path, lines: str
) -> None:
    job = run(
        disco,
        input=[lines, f"file://{lines}"],
        map=external([first_letters], text=True),
        reduce=external([EXAMPLES / "longest.sh"], text=True),
        nr_reduces=3,
        sort=True,
    )

    longest: dict[str, str] = {}
    for letter, word in words_by_letter(1):
        longest[letter] = max(word, longest.get(letter, ""), key=len)
    assert {key: len(value) for key, value in pairs(job)} == {k: len(v) for k, v in longest.items()}
    assert len(pairs(job)) == len(longest)
    assert "that was all" in job.log("reduce:0")


def test_a_program_is_told_whether_it_is_the_map_or_the_reduce(disco: Disco, make: Make, lines: str) -> None:
    both = make("while (kv := pair()): write((' '.join([kv[0].decode(), *sys.argv[1:]]).encode(), b''))\n")

    job = run(disco, input=[lines], map=both, reduce=both, nr_reduces=1)

    assert {key for key, _ in pairs(job)} == {b" map reduce"}


def test_a_program_goes_with_combiner_partition_and_python_on_the_other_side(
    disco: Disco, make: Make, lines: str
) -> None:
    def combiner(key: bytes, value: Any, buffer: dict[bytes, int], done: bool, params: Any) -> Any:
        if done:
            return list(buffer.items())
        buffer[key] = buffer.get(key, 0) + int(value)
        return None

    split = "while (kv := pair()): write(*[(word, b'1') for word in kv[1].split()])\n"
    job = run(
        disco,
        input=[lines],
        map=make(split),
        combiner=combiner,
        partition=lambda key, nr_reduces, params: len(key) % nr_reduces,
        nr_reduces=2,
        sort=True,
        reduce=func.sum_reduce,
    )

    words = [word.encode() for line in TEXT for word in line.split()]
    results = job.wait()
    even, odd = (list(result_iterator([address])) for address in results)
    assert even == [(word, words.count(word)) for word in sorted(set(words)) if len(word) % 2 == 0]
    assert odd == [(word, words.count(word)) for word in sorted(set(words)) if len(word) % 2 == 1]


def test_a_reduce_gets_the_numbers_of_a_python_map_as_text(disco: Disco, make: Make) -> None:
    total = "total = 0\nwhile (kv := pair()): total += int(kv[1])\nwrite((b'total', b'%d' % total))\n"

    job = run(
        disco,
        input=["raw://1", "raw://20", "raw://300"],
        map=lambda e, params: [(e, int(e))],
        reduce=make(total),
        nr_reduces=1,
    )

    assert pairs(job) == [(b"total", b"321")]


def test_a_map_runs_one_program_for_all_its_inputs_and_its_init_sees_the_entries(
    disco: Disco, make: Make, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / name).write_text(f"{name}1\n{name}2\n")
    numbered = "n = 0\nwhile (kv := pair()):\n    n += 1\n    write((b'%d' % n, kv[1]))\n"

    job = run(
        disco,
        input=[str(tmp_path / "in")],
        files_per_task=3,
        map=make(numbered, text=True),
        map_init=lambda entries, params: next(entries),
        status_interval=2,
    )

    assert pairs(job) == [("1", "a2"), ("2", "b2"), ("3", "c2")]  # the init meets the start of each file
    assert "map:0: 2 entries mapped" in [message for _, (_, _, message) in job.events()]


def test_what_happened_says_the_entry_the_program_and_its_last_words(
    disco: Disco, make: Make, lines: str
) -> None:
    body = "write_one = write(pair()); pair(); sys.exit('cannot go on')\n"

    text = death(disco, input=[lines], map=make(body))

    assert "map:0, attempt 1 on localhost: ProgramError: the external program program.py ended" in text
    assert f"before it had answered every pair; its last words: cannot go on (in entry 2 of {lines}" in text


def test_an_error_line_ends_the_job_with_its_text(disco: Disco, make: Make) -> None:
    text = death(disco, map=make("pair(); sys.stderr.write('**<ERR> no such thing\\n'); time.sleep(60)\n"))

    assert "JobFailure: no such thing" in text


def test_a_program_that_a_signal_killed_runs_again(disco: Disco, make: Make, tmp_path: Path) -> None:
    once = f"if not os.path.exists({str(tmp_path / 'mark')!r}):\n    open({str(tmp_path / 'mark')!r}, 'x')\n"

    job = run(disco, map=make(once + "    os.kill(os.getpid(), 9)\n" + ECHO, text=True))

    assert pairs(job) == [("", "entry")]
    assert [attempt["outcome"] for attempt in job.story("map:0")] == ["data", "done"]
    assert "signal 9 (SIGKILL)" in job.story("map:0")[0]["error"]


def test_an_exit_status_asks_task_retries(disco: Disco, make: Make, tmp_path: Path) -> None:
    once = f"if not os.path.exists({str(tmp_path / 'mark')!r}):\n    open({str(tmp_path / 'mark')!r}, 'x')\n"

    job = run(disco, map=make(once + "    sys.exit(1)\n" + ECHO, text=True), task_retries=1)

    assert pairs(job) == [("", "entry")]


HANG = """
open({mark!r}, "w").write(str(os.getpid()))
while pair(): time.sleep(600)
"""


def pid_in(mark: Path) -> int:
    return int(wait_until(lambda: mark.exists() and mark.read_text()))


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("phase", ["map", "reduce"])
def test_a_program_that_hangs_is_ended_by_the_task_timeout(
    phase: str, disco: Disco, make: Make, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    functions: dict[str, Any] = {"map": func.nop_map, "map_reader": one_pair}
    functions[phase] = make(HANG.format(mark=str(mark)))

    text = death(disco, task_timeout=0.5, **functions)

    assert f"{phase}:0" in text
    assert "TaskTimeout" in text
    assert wait_until(lambda: is_gone(pid_in(mark)))


def one_pair(fd: Any, size: int | None, fname: str) -> Iterator[tuple[str, str]]:
    yield "key", "value"


def test_kill_ends_the_program(disco: Disco, make: Make, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job = disco.new_job("small", ["raw://entry"], map=make(HANG.format(mark=str(mark))))
    pid = pid_in(mark)

    job.kill()

    assert wait_until(lambda: is_gone(pid))
    assert "it was killed" in wait_for_death(job)


def test_a_worker_that_dies_takes_its_program_along(disco: Disco, make: Make, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    job = disco.new_job("small", ["raw://entry"], map=make(HANG.format(mark=str(mark))))
    pid = pid_in(mark)
    mark.unlink()

    horse = psutil.Process(pid).parent()
    assert horse is not None
    os.kill(horse.pid, signal.SIGKILL)

    assert wait_until(lambda: is_gone(pid))
    assert pid_in(mark) != pid  # it runs again
    job.kill()


def test_a_program_too_large_for_the_pack_is_refused(disco: Disco, make: Make, tmp_path: Path) -> None:
    with open(tmp_path / "data.bin", "wb") as data:
        data.truncate(40 << 20)
    make(ECHO)

    with pytest.raises(ValueError, match=re.escape("map is too large to be sent to the workers: 40 MiB")):
        disco.new_job("small", ["raw://a"], map=external([tmp_path / "program.py", tmp_path / "data.bin"]))

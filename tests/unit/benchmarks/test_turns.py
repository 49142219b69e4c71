"""How ``make bench`` measures: whose costs count, whose answer is believed, who is left out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks import costs, table
from tests.benchmarks.rows import BY_HAND, Bound, Program, Row, Task
from tests.benchmarks.turns import ContestantDied, Runs, WrongAnswer, run_row

PYTHON = Program("python", "by_itself", "works.startup:run_python")


@contextmanager
def child(code: str) -> Iterator[int]:
    """A Python that has said it is ready and waits for its stdin to close; its pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nprint(flush=True)\ninput()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline()
        yield process.pid
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def row_of(*programs: Program, expected: object = None, bounds: tuple[Bound, ...] = ()) -> Row:
    return Row("row", "a row", lambda *_: Task({"times": 1}, expected=expected), programs, bounds, turns=1)


def test_the_time_of_a_process_that_has_ended_counts() -> None:
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    with child(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])") as pid:
        assert costs.cpu_s(pid) >= 0.3


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the kernel tells no PSS")
def test_memory_that_processes_share_counts_once() -> None:
    hold = "import os, signal\nheld = bytearray(b'x' * (64 << 20))\n"
    fork = "\nif not os.fork(): signal.pause()" * 2
    end = "\nimport atexit; atexit.register(os.killpg, os.getpgrp(), signal.SIGKILL)"
    with child(f"{hold}os.setpgrp(){fork}{end}") as pid:
        assert 64 << 20 <= costs.pss_bytes(pid) < 128 << 20


def test_a_tree_that_has_ended_costs_nothing() -> None:
    with child("") as pid:
        pass
    assert (costs.cpu_s(pid), costs.pss_bytes(pid)) == (0, 0)


def test_programs_with_the_known_answer_are_measured(tmp_path: Path) -> None:
    [runs] = run_row(row_of(PYTHON, expected=""), {}, tmp_path, rounds=1, scale=1)
    assert runs.value > 0
    assert runs.cpu is not None


def test_another_answer_ends_the_run_and_names_the_program(tmp_path: Path) -> None:
    with pytest.raises(WrongAnswer, match="python's answer"):
        run_row(row_of(PYTHON, expected={"other": 1}), {}, tmp_path, rounds=1, scale=1)


def test_a_peer_that_dies_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    row = Row("row", "a row", lambda *_: Task({"times": 1}), (PYTHON,), peers="startup:run_python", turns=1)
    [runs] = run_row(row, {"nobody": sys.executable}, tmp_path, rounds=1, scale=1)
    assert runs.program == "python"
    assert "nobody ended with 1; it is left out" in capfd.readouterr().out


def test_a_program_of_ours_that_dies_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ContestantDied, match="gone ended"):
        run_row(row_of(Program("gone", "by_itself", "works:gone")), {}, tmp_path, rounds=1, scale=1)


def test_a_peer_that_cannot_be_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def python_of(peer: str) -> str:
        raise OSError("no such package")

    monkeypatch.setattr(bench, "python_of", python_of)
    assert bench._peers(["ray"]) == {}
    assert "ray cannot be installed and is left out: no such package" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("bound", "said"),
    [
        (Bound(2.0, 1.0, BY_HAND), "ok: 1.50 <= 2.00, aim 1.00 of by hand"),
        (Bound(1.2, None, BY_HAND), "NO: 1.50 <= 1.20 of by hand"),
        (Bound(1.0, None, "ray"), ""),
        (Bound(2.0, 0.5), "NO: 3.00 s <= 2.00 s, aim 0.50 s"),
        (Bound(0.02, None, cpu=True), "ok: 10.0 ms CPU <= 20.0 ms CPU"),
        (Bound(None, 1.0, BY_HAND), "1.50, aim 1.00 of by hand"),
    ],
)
def test_a_bound_is_kept_missed_or_without_yardstick(bound: Bound, said: str) -> None:
    runs = [Runs("disco-rq", [1.0, 3.0, 4.0], [0.01]), Runs(BY_HAND, [2.0], [2.0], 3 << 20)]
    row = row_of(PYTHON, bounds=(bound,))
    assert table.verdicts(row, runs) == said
    assert table.missed([(row, runs)]) == (["row"] if "NO" in said else [])


def test_the_table_for_the_readme_has_a_line_for_each_program() -> None:
    runs = [Runs("disco-rq", [3.0], [4.0], 200 << 20), Runs(BY_HAND, [2.0], [2.0], 3 << 20)]
    assert table.markdown([(row_of(PYTHON), runs)]).splitlines()[2:] == [
        "| a row | disco-rq | 3.00 s | 4.00 s | 200 MiB |  |",
        "|  | by hand | 2.00 s | 2.00 s | 3 MiB | 1.50 times |",
    ]
    [told] = table.as_json([(row_of(PYTHON), runs)])
    assert [program["ratio"] for program in told["programs"]] == [1.0, 1.5]
    assert [program["cpu_ratio"] for program in told["programs"]] == [1.0, 2.0]
    assert "1.50 times   2.00 times" in table.plain([(row_of(PYTHON), runs)])

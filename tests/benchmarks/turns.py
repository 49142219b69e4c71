"""One row: every program in turn, each in processes of its own that begin and end with its turn."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import costs
from tests.benchmarks.contestant import digest
from tests.benchmarks.rows import BY_HAND, Program, Row, Task

ROOT = Path(__file__).parents[2]
MODULE = "tests.benchmarks.contestant"
WARM_SCALE = 0.002
END_TIMEOUT_S = 30


class WrongAnswer(AssertionError):
    """A program's answer is not that of the others."""


class ContestantDied(RuntimeError):
    """It ended without an answer; what it said is on stderr."""


@dataclass(slots=True)
class Runs:
    """What a program took in each round; the first round, whose memory was watched, is not in the times."""

    program: str
    values: list[float] = field(default_factory=list)
    """Seconds of a job, or of the whole work; in a row of memory bytes."""
    cpu_s: list[float] = field(default_factory=list)
    """Of one unit, all processes."""
    pss_bytes: int = 0
    """The most of all processes together."""
    note: str = ""

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def cpu(self) -> float | None:
        return statistics.median(self.cpu_s) if self.cpu_s else None


class Contestant:
    """A program's process and the pipes to it."""

    def __init__(self, program: Program, python: str) -> None:
        read, said = os.pipe()
        orders, write = os.pipe()
        self._process = subprocess.Popen(
            [
                python,
                "-m",
                MODULE,
                program.runner,
                program.target,
                str(orders),
                str(said),
            ],
            pass_fds=(orders, said),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(orders)
        os.close(said)
        self._orders = open(write, "w", buffering=1)  # noqa: SIM115 - closed by ``close``
        self._answers = open(read)  # noqa: SIM115
        self._program = program

    @property
    def pid(self) -> int:
        """Of the root of its tree."""
        return self._process.pid

    def told(self) -> dict[str, Any]:
        """What it says next."""
        line = self._answers.readline()
        if not line:
            raise ContestantDied(f"{self._program.name} ended with {self._process.wait(END_TIMEOUT_S)}")
        told: dict[str, Any] = json.loads(line)
        return told

    def run(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Run the program."""
        print(json.dumps({"given": given}), file=self._orders)
        return self.told()

    def digest(self) -> str:
        """Of its last answer."""
        print(file=self._orders)
        return str(self.told()["digest"])

    def close(self) -> None:
        """Let it end; whatever is left of its tree after a while is killed."""
        family = costs.tree(self.pid)
        self._orders.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            for process in family:
                if process.is_running():
                    process.kill()
            self._process.wait()
        self._answers.close()


@contextmanager
def contestant(program: Program, python: str, warm: Task) -> Iterator[Contestant]:
    """A program's processes, when it has done a small work of the same kind."""
    process = Contestant(program, python)
    try:
        process.told()
        process.run(warm.given)
        process.digest()
        yield process
    finally:
        process.close()


def run_row(row: Row, peers: Mapping[str, str], directory: Path, *, rounds: int, scale: float) -> list[Runs]:
    """``peers``: the Python of each. Raises ``WrongAnswer``; a peer that fails is told and left out."""
    task, warm = row.prepare(directory, scale), row.prepare(directory, min(scale, WARM_SCALE))
    programs = {program.name: (program, sys.executable) for program in row.programs}
    if row.peers:
        programs |= {
            name: (Program(name, f"by_{name}", f"works.{row.peers}"), python)
            for name, python in peers.items()
        }
    runs = {name: Runs(name) for name in programs}
    expected = None if task.expected is None else digest(task.expected)
    for number in range(rounds + 1 if row.turns is None else row.turns):
        is_watched = number == 0 and row.turns is None
        for name, (program, python) in list(programs.items()):
            try:
                found = _turn(row, runs, program, python, (task, warm), is_watched=is_watched)
            except ContestantDied as error:
                if name not in peers:
                    raise
                print(f"{row.name}: {error}; it is left out", flush=True)
                del programs[name], runs[name]
                continue
            if expected is not None and found != expected:
                raise WrongAnswer(
                    f"{row.name}: {name}'s answer is not that which is known or of the one before"
                )
            expected = found
    return [of for of in runs.values() if of.values]


def _turn(
    row: Row,
    runs: dict[str, Runs],
    program: Program,
    python: str,
    tasks: Sequence[Task],
    *,
    is_watched: bool,
) -> str:
    """The digest of the answer. A turn that is watched is not timed, save in a row that has but one."""
    task, warm = tasks
    of = runs[program.name]
    with contestant(program, python, warm) as process:
        if is_watched or row.turns is not None:
            with costs.PeakPss(process.pid) as watch:
                before = costs.cpu_s(process.pid)
                told = process.run(task.given)
                cpu_s = costs.cpu_s(process.pid) - before
            of.pss_bytes = watch.peak_bytes
        else:
            before = costs.cpu_s(process.pid)
            told = process.run(task.given)
            cpu_s = costs.cpu_s(process.pid) - before
        if not is_watched:
            of.values.append(told.get("value", told["wall_s"] / task.units))
            of.cpu_s.append(told.get("cpu_s", cpu_s / task.units))
            of.note = told.get("note", "")
            if (beside := told.get("beside")) is not None:
                runs.setdefault(BY_HAND, Runs(BY_HAND)).values.append(beside)
        return process.digest()

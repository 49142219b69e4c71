"""Programs that die of their own hand, once right before and once right after each step that they take.

A *step* is a Redis call or a rename, named by who takes it and what it is: ``horse: script put_oob of map``.
Nothing of the product knows of it: this puts itself around redis-py's calls and ``os.rename``, and calls the
ordinary entry points in forked children, again and again until none dies any more.

``python -m tests.chaos.deadly MARKS master NUMBER`` and ``… nodes NAME…`` run them; MARKS is the directory in
which each death leaves a file, so that it is died but once.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import redis
from redis.client import Pipeline
from redis.exceptions import NoScriptError

import disco_rq.outputs.server  # noqa: F401  imported once here, for all that are forked
from disco_rq.master.master import run_master
from disco_rq.node.node import run_node
from disco_rq.settings import Settings
from disco_rq.store.connection import script_sha, script_source
from disco_rq.store.line import Line

AGAIN_S = 0.01
TASK = re.compile(r"(map|reduce|check):\d+")
TOLD_AGAIN = ("commit_attempts",)
"""Scripts at which the first attempt of a task and a later one are two steps."""
JOB = re.compile(r"(\w+)@\d{8}-\d{6}-\w{4}", re.ASCII)


HARMLESS_ROUNDS, MOST_HARMLESS_ROUNDS = 2, 8
"""When so many rounds, one after the other, killed nobody, then all have died; more while a step is missing.
Luck can leave one out: a task that was handed back, or given to a slot that had just died, comes as a second
attempt. So one round in six has no first commit of the reduce of a small job.
"""


class Steps:
    """Told of every step of this process and its children; kills the process that takes one first."""

    def __init__(self, marks: Path, who: Callable[[], str]) -> None:
        self._marks = marks
        self._who = who
        self._survived: set[str] = set()

    def install(self) -> None:
        """Come between this process and its Redis calls and renames, for good."""
        client_class: Any = redis.Redis
        pipeline_class: Any = Pipeline
        call = client_class.execute_command
        execute, at_once = pipeline_class.execute, pipeline_class.immediate_execute_command

        def execute_command(client: Any, *args: Any, **options: Any) -> Any:
            return self._take(_name(args), lambda: call(client, *args, **options))

        def execute_pipeline(pipe: Pipeline, raise_on_error: bool = True) -> Any:
            if not pipe.command_stack:
                return execute(pipe, raise_on_error)
            names = ", ".join(dict.fromkeys(_name(queued[0]) for queued in pipe.command_stack))
            return self._take(f"[{names}]", lambda: execute(pipe, raise_on_error))

        def execute_at_once(pipe: Pipeline, *args: Any, **options: Any) -> Any:
            return self._take(_name(args), lambda: at_once(pipe, *args, **options))

        def around(name: str, act: Callable[..., None]) -> Callable[..., None]:
            return lambda *args, **kwargs: self._take(name, lambda: act(*args, **kwargs))

        def ask_over_line(line: Line, commands: Any) -> Any:
            names = ", ".join(dict.fromkeys(map(_name, commands)))
            step = f"{self._who()}: {names if len(commands) == 1 else f'[{names}]'}"
            self._die_once(f"before {step}")
            answers = ask(line, commands)
            if not any(isinstance(answer, NoScriptError) for answer in answers or ()):
                self._die_once(f"after {step}")
            return answers

        ask = Line.ask
        Line.ask = ask_over_line  # type: ignore[method-assign,assignment]
        client_class.execute_command = execute_command
        pipeline_class.execute = execute_pipeline
        pipeline_class.immediate_execute_command = execute_at_once
        os.rename, os.replace = around("rename", os.rename), around("rename", os.replace)
        os.link = around("link", os.link)

    def _take(self, name: str, act: Callable[[], Any]) -> Any:
        step = f"{self._who()}: {name}"
        self._die_once(f"before {step}")
        answer = act()
        self._die_once(f"after {step}")
        return answer

    def _die_once(self, moment: str) -> None:
        if moment in self._survived:
            return
        self._survived.add(moment)
        mark = self._marks / hashlib.sha1(moment.encode(), usedforsecurity=False).hexdigest()
        try:
            mark.symlink_to(moment[:1000])  # whole or not at all, whoever else kills us meanwhile
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def deaths(marks: Path) -> list[str]:
    """The moments at which something died so far: ``after master: TIME``."""
    return sorted(str(mark.readlink()) for mark in marks.iterdir())


def run_until_nobody_dies(marks: Path, run_round: Callable[[int], None], *steps: str) -> None:
    """Round after round, told their numbers, until nobody dies any more. At each of these steps somebody did,
    both before and after it.
    """
    harmless = number = 0
    while harmless < HARMLESS_ROUNDS or (harmless < MOST_HARMLESS_ROUNDS and _survived(marks, steps)):
        before, number = deaths(marks), number + 1
        run_round(number)
        harmless = harmless + 1 if deaths(marks) == before else 0
    assert_died(marks, *steps)


def assert_died(marks: Path, *steps: str) -> None:
    """At each of these steps somebody died, both before and after it."""
    survived = _survived(marks, steps)
    if survived:
        print("died:", *deaths(marks), sep="\n")
    assert not survived


def _survived(marks: Path, steps: Sequence[str]) -> list[str]:
    """Those moments, before and after these steps, at which nobody has died."""
    died = deaths(marks)
    moments = [f"{when} {step}" for step in steps for when in ("before", "after")]
    return [moment for moment in moments if not any(moment in death for death in died)]


def keep(runs: Sequence[Callable[[], None]]) -> None:
    """Run each in a child of its own, and again whenever it was killed; returns when none is left."""
    alive = {_forked(run): run for run in runs}
    while alive:
        pid, status = os.wait()
        run = alive.pop(pid)
        if os.WIFSIGNALED(status):
            time.sleep(AGAIN_S)
            alive[_forked(run)] = run


def _forked(run: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            run()
        except BaseException:
            logging.exception("a deadly program ends")
        finally:
            os._exit(0)
    return pid


def deadly_master(marks: Path, settings: Settings, token: str) -> None:
    """A master with a token that all its lives have, since none of them waits for the last one's lease."""
    Steps(marks, lambda: "master").install()
    run_master(settings, token)


def deadly_node(marks: Path, settings: Settings) -> None:
    """A node with one slot."""
    node = os.getpid()

    def who() -> str:
        if os.getpid() == node:
            return "node"
        if os.getppid() != node:
            return "horse"
        return "leases" if threading.current_thread().name == "leases" else "worker"

    Steps(marks, who).install()
    run_node(settings, 1)


def main(marks: Path, program: str, names: Sequence[str]) -> None:
    settings = Settings.from_env()
    if program == "master":
        keep([partial(deadly_master, marks, settings, name) for name in names])
    else:
        homes = [replace(settings, node=name, data=settings.data / name) for name in names]
        keep([partial(deadly_node, marks, home) for home in homes])


def _name(args: Any) -> str:
    """What a command is about, without the names of jobs, workers and batches in it."""
    words = [word.decode("latin-1") if isinstance(word, bytes) else str(word) for word in args]
    command = words[0].upper()
    if command in ("EVALSHA", "EVAL"):
        script = _scripts().get(words[1], "of RQ")
        phase = next((word.partition(":")[0] for word in words[3:] if TASK.fullmatch(word)), "")
        task = next((i for i, word in enumerate(words) if TASK.fullmatch(word)), None)
        if script in TOLD_AGAIN and task is not None and words[task + 1] != "1":
            script += " again"
        jobs = {found[1] for word in words[2:] if (found := JOB.search(word))}
        return " of ".join([f"script {script}", *filter(None, [phase, *jobs])])
    key = words[1] if len(words) > 1 else ""
    if key.startswith("rq:"):
        return f"{command} {':'.join(key.split(':')[:2])}"
    if key.startswith("disco:"):
        nameless = re.sub(r"(purges|wake|node):.*", r"\1", JOB.sub("JOB", key))
        return f"{command} {nameless}"
    return command


@cache
def _scripts() -> dict[str, str]:
    """The sha of each of our scripts, and its text, lead to its name."""
    files = (resources.files("disco_rq.store") / "scripts").iterdir()
    names = [file.name.removesuffix(".lua") for file in files if file.name.endswith(".lua")]
    names.remove("_lib")
    return {known: name for name in names for known in (script_sha(name), script_source(name))}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])

"""A person at a shell, for the tests of the command line."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from tests.cluster.terminal import Terminal, at_a_terminal

ASKING = {
    *("bad", "cat", "events", "failures", "info", "jobs", "log", "nodes", "oob", "pstats", "results"),
    *("blacklist", "clean", "drain", "forget", "kill", "pause", "purge", "resume", "whitelist"),
    *("doctor", "story", "submit", "tasks", "wait"),
}
"""Verbs that look at a cluster, or say a word to it: whichever process has imported the program will do."""


class Seen:
    """What came out of a command."""

    def __init__(self, out: str, err: str) -> None:
        self.out = out
        self.err = err

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def rows(self) -> list[list[str]]:
        """Of a table: the fields of each line below the header."""
        return [line.split("\t") for line in self.lines[1:]]

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class User:
    """Types commands in a directory, with a state of their own, and maybe at a running cluster."""

    def __init__(self, home: Path, cluster: str | None = None) -> None:
        self.home = home
        self.env = {**os.environ, "XDG_STATE_HOME": str(home / "state")}
        self.env.pop("DISCO_RQ_REDIS", None)
        if cluster:
            self.env["DISCO_RQ_REDIS"] = cluster

    def types(self, *words: str, status: int = 0, stdout: int | IO[Any] = subprocess.PIPE) -> Seen:
        """Wait for a command, which must leave with ``status``."""
        if words[0] in ASKING and stdout == subprocess.PIPE:
            return self._asks(words, status)
        with self.starts(*words, stdout=stdout) as going:
            out, err = going.communicate(timeout=60)
        assert going.returncode == status, err
        return Seen(out or "", err)

    def _asks(self, words: tuple[str, ...], status: int) -> Seen:
        """In a process that is forked from one that has imported the program: half a second less of work."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            streams = {
                1: f"/proc/{os.getpid()}/fd/{out.fileno()}",
                2: f"/proc/{os.getpid()}/fd/{err.fileno()}",
            }
            going = _WARM.Process(target=run_verb, args=(words, self.home, self.env, streams))
            going.start()
            going.join(60)
            if going.is_alive():
                going.kill()
            out.seek(0)
            err.seek(0)
            seen = Seen(out.read(), err.read())
        assert going.exitcode == status, seen.err or seen.out
        return seen

    @contextmanager
    def starts(self, *words: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on; killed if the test did not end it."""
        command = [sys.executable, "-m", "disco_rq.cli", *words]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        with subprocess.Popen(command, cwd=self.home, env=self.env, text=True, **streams) as going:
            try:
                yield going
            finally:
                going.kill()

    def at_a_terminal(self, *words: str) -> AbstractContextManager[Terminal]:
        """A command that may ask."""
        return at_a_terminal([sys.executable, "-m", "disco_rq.cli", *words], self.home, self.env)


def run_verb(words: tuple[str, ...], home: Path, env: dict[str, str], streams: dict[int, str]) -> None:
    """The whole life of the process of a verb."""
    from disco_rq.cli import main

    os.chdir(home)
    os.environ.clear()
    os.environ.update(env)
    for number, path in streams.items():
        os.dup2(os.open(path, os.O_WRONLY), number)
    main(words)


_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(
    ["disco_rq.cli.app", "disco_rq.cli.doctor", "disco_rq.cli.jobs", "disco_rq.cli.run"]
)

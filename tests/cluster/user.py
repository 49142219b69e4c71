"""A person at a shell, for the tests of the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from tests.cluster.terminal import Terminal, at_a_terminal


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
        with self.starts(*words, stdout=stdout) as going:
            out, err = going.communicate(timeout=60)
        assert going.returncode == status, err
        return Seen(out or "", err)

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

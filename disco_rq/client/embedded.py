"""The embedded cluster: a private Redis server, a master and workers, for as long as their owner lives.

The owner starts one process (``clusterhost``) and holds a pipe to it. That process owns all others; when the
pipe closes, by ``close``, at exit, or because the owner was killed, it ends them and deletes the directory.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import shutil
import subprocess
import sys
import weakref
from functools import partial
from pathlib import Path
from typing import Self

from disco_rq.errors import DiscoError, SettingsError
from disco_rq.machine import hashseed
from disco_rq.machine.redisserver import private_directory

START_TIMEOUT_S = 20.0
"""For how long the cluster's own process waits for its parts; it says then which one is not there."""
ANSWER_TIMEOUT_S = START_TIMEOUT_S + 10
"""For how long its owner waits for that process: it has to start, too."""
STOP_TIMEOUT_S = 10.0
OPEN, CLOSED = "open", "closed"
"""Whether the page asks for a token where there is no secret, as ``clusterhost`` is told."""


class EmbeddedCluster:
    """A cluster on this machine, on a unix socket that only this user can open."""

    def __init__(self, workers: int | None = None, *, has_open_page: bool = False) -> None:
        """Start it and return when it can run jobs. ``workers``: default one for each core we may use.

        ``has_open_page``: without a secret, its page is open to everybody on this machine; else to whoever
        has ``http_url``.
        """
        if workers is None:
            workers = (
                len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            )
        if not isinstance(workers, int) or workers < 1:
            raise SettingsError(f"workers={workers!r}: the embedded cluster takes a whole number from 1 on")
        self.directory = private_directory()
        self._owner = os.getpid()
        # The child finds modules where its owner does, so that what runs here runs there.
        paths = json.dumps([str(Path(entry).absolute()) for entry in sys.path])
        start = f"import sys; sys.path[:] = {paths}; from disco_rq.clusterhost import main; main()"
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                start,
                str(self.directory),
                str(workers),
                OPEN if has_open_page else CLOSED,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, hashseed.NAME: hashseed.HASH_SEED},
            start_new_session=True,  # Ctrl-C is the owner's; it closes the cluster
        )
        atexit.register(self.close)
        os.register_at_fork(after_in_child=partial(_let_go, weakref.ref(self)))
        try:
            said = self._wait_until_ready()
            self.url = said["url"]
            self.http_url = said["http"]
            """Of its web page, with the token that opens it if that is its own; empty if it serves none,
            ``http_problem`` says why then.
            """
            self.http_problem = said["problem"]
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process that owns the cluster's other processes."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process and delete the directory. Idempotent. In a fork of its owner it does nothing."""
        if os.getpid() != self._owner:
            return
        atexit.unregister(self.close)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def let_go(self) -> None:
        """In a fork of its owner: it is the owner's, which may end before the fork does."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _wait_until_ready(self) -> dict[str, str]:
        """The first line that the child says: its addresses, or what is wrong."""
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(ANSWER_TIMEOUT_S):
                raise DiscoError(f"the embedded cluster did not start within {ANSWER_TIMEOUT_S:.0f} s")
        answer = self._process.stdout.readline().decode()
        if not answer:
            raise DiscoError("the embedded cluster ended while it started")
        said: dict[str, str] = json.loads(answer)
        if "error" in said:
            raise DiscoError(f"the embedded cluster cannot start: {said['error']}")
        return said


def _let_go(cluster: weakref.ref[EmbeddedCluster]) -> None:
    if (owned := cluster()) is not None:
        owned.let_go()

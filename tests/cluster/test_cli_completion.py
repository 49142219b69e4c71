"""TAB in a real bash: verbs, options, and names that Redis tells, or nothing if it does not."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco
from disco_rq.cli.completion import SHELL_PATIENCE_S
from disco_rq.runtime import put
from tests.conftest import require_program


class Shell:
    """A bash that has eaten our completion, and in which somebody types and then presses TAB."""

    def __init__(self, home: Path, url: str | None) -> None:
        self._bash = require_program("bash")
        program = home / "disco-rq"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m disco_rq.cli "$@"\n')
        program.chmod(0o755)
        self.env = {**os.environ, "PATH": f"{home}:{os.environ['PATH']}", "XDG_STATE_HOME": str(home)}
        self.env.pop("DISCO_RQ_REDIS", None)
        if url:
            self.env["DISCO_RQ_REDIS"] = url

    def tab(self, *words: str) -> list[str]:
        """What completes the last word."""
        listed = " ".join(map(shlex.quote, words))
        script = f"""
            eval "$(disco-rq completion bash)"
            complete -p disco-rq > /dev/null || exit 3
            [[ $COMP_WORDBREAKS != *[@:]* ]] || exit 4
            COMP_WORDS=({listed}) COMP_CWORD={len(words) - 1}
            _disco_rq_completion disco-rq
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        told = subprocess.run(
            [self._bash, "--norc", "-c", script], env=self.env, capture_output=True, text=True, timeout=30
        )
        # compopt is refused where no TAB was pressed; nothing else may be said.
        assert [line for line in told.stderr.splitlines() if "compopt" not in line] == []
        assert told.returncode == 0
        return told.stdout.split()


def one(line: str, params: object) -> list[tuple[str, int]]:
    return [(line, 1)]


def test_verbs_and_options_are_completed_without_a_cluster(tmp_path: Path) -> None:
    shell = Shell(tmp_path, None)

    assert shell.tab("disco-rq", "pu") == ["purge"]
    assert shell.tab("disco-rq", "purge", "--o") == ["--older"]
    assert shell.tab("disco-rq", "tasks", "x@1", "--phase", "") == ["map", "reduce"]
    assert shell.tab("disco-rq", "info", "") == []


def test_names_of_jobs_and_nodes_are_completed(tmp_path: Path, disco: Disco) -> None:
    shell = Shell(tmp_path, disco.url)
    job = disco.new_job("to_complete", ["raw://a"], map=one)
    job.wait(30)

    assert shell.tab("disco-rq", "info", "to_comp") == [job.name]
    assert shell.tab("disco-rq", "info", job.name[:-2]) == [job.name]  # behind the @
    assert job.name in shell.tab("disco-rq", "kill", "another@1", "")
    assert shell.tab("disco-rq", "drain", "loc") == ["localhost"]
    shell.env.pop("DISCO_RQ_REDIS")
    assert shell.tab("disco-rq", "info", "--redis", disco.url, "to_comp") == [job.name]
    job.purge()


def put_and_give(line: str, params: object) -> list[tuple[str, int]]:
    put(f"key:{line}", 1)
    return [(line, 1)]


def as_they_are(pairs: Iterable[Any], params: object) -> Iterable[Any]:
    return pairs


def test_tasks_and_oob_results_of_a_job_are_completed(tmp_path: Path, disco: Disco) -> None:
    shell = Shell(tmp_path, disco.url)
    job = disco.new_job(
        "to-complete", ["raw://a", "raw://b"], map=put_and_give, reduce=as_they_are, nr_reduces=1
    )
    job.wait(30)

    assert shell.tab("disco-rq", "info", "@to-c") == ["@to-complete"]
    assert shell.tab("disco-rq", "story", job.name, "") == ["map:0", "map:1", "reduce:0"]
    assert shell.tab("disco-rq", "log", "@to-complete", "map:1") == ["map:1"]
    assert shell.tab("disco-rq", "oob", "get", "to-com", "key:") == ["key:a", "key:b"]
    assert shell.tab("disco-rq", "story", "nonesuch", "") == []
    job.purge()


def test_a_redis_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """Not for the 5 s of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        silent.settimeout(60)
        held = pool.submit(held_s, silent)
        shell = Shell(tmp_path, f"redis://127.0.0.1:{silent.getsockname()[1]}")

        assert shell.tab("disco-rq", "info", "") == []

        assert held.result() < 5 - SHELL_PATIENCE_S


def held_s(silent: socket.socket) -> float:
    """For how long the first who comes waits for an answer."""
    connection, _ = silent.accept()
    with connection:
        connection.settimeout(60)
        began = time.monotonic()
        while connection.recv(4096):
            pass
        return time.monotonic() - began


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "nonsense://", "unix:///nowhere"])
def test_a_redis_that_is_not_there_completes_nothing(tmp_path: Path, url: str) -> None:
    assert Shell(tmp_path, url).tab("disco-rq", "info", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_one_for_each_shell(shell: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "disco_rq.cli", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "_DISCO_RQ_COMPLETE" in told.stdout
    assert told.stderr == ""

"""The data directory of a node: what its tasks have made.

Everything lies under one root: ``<job>/map-3.1`` (output of the first attempt of map 3), beside it
``map-3.1.log`` (what it printed), ``map-3.1.prof`` (its profile) and ``map-3.1.bad`` (the entries that it has
left out), ``<job>/required/`` (what the job brings along) and ``tmp/`` (work in progress). ``.node-id`` holds
a random word that the node also tells in Redis: who finds the same word at the same path may read the files
directly. ``.cluster-id`` holds the word of the cluster that the node has joined, where jobs are signed.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from disco_rq.machine.orphans import Gone, end_strays
from disco_rq.model import JOB_NAME, TaskId
from disco_rq.outputs.addresses import BAD_SUFFIX, output_name
from disco_rq.outputs.jobmarks import JobMarks
from disco_rq.outputs.purged import PurgedJobs
from disco_rq.outputs.underway import NOTE

__all__ = ["CLUSTER_ID", "NODE_ID", "TMP", "DataDir", "Scratch"]

NODE_ID = ".node-id"
CLUSTER_ID = ".cluster-id"
TMP = "tmp"
SUFFIX = re.compile(r"\.(?:out|log|bad|required|now)$")
LIFE = re.compile(r"-[0-9a-f]{6}$")
"""The end of a worker's name, another one in each of its lives; before it stands its place in the node."""


@dataclass(frozen=True)  # without slots, for what is worked out once
class Scratch:
    """The files of one process: the directory in which its tasks work, and beside it what they print and
    write.
    """

    directory: Path

    @cached_property
    def log(self) -> Path:
        return self.directory.with_name(self.directory.name + ".log")

    @cached_property
    def now(self) -> Path:
        """Which attempt runs, once it has for a while."""
        return self.directory.with_name(self.directory.name + NOTE)

    @cached_property
    def out(self) -> Path:
        """The output of an attempt while it is written."""
        return self.directory.with_name(self.directory.name + ".out")

    @cached_property
    def bad(self) -> Path:
        """The bad entries of an attempt while they are written."""
        return self.directory.with_name(self.directory.name + BAD_SUFFIX)

    @cached_property
    def required(self) -> Path:
        """The files that a job brings along, while they are written."""
        return self.directory.with_name(self.directory.name + ".required")

    def empty(self) -> None:
        """Delete what is in the directory."""
        for name in os.listdir(self.directory):  # noqa: PTH208  a third of the time
            entry = self.directory / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)  # what a task left behind may still be at work

    def remove(self) -> None:
        """Delete it all. Idempotent."""
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.required, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        self.now.unlink(missing_ok=True)
        self.out.unlink(missing_ok=True)
        self.bad.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class DataDir:
    """The data directory of the node that this process works for."""

    root: Path

    def prepare(self) -> str:
        """Make the directory, for its owner only. If it is there, what is made in it is. Returns the node's
        word.
        """
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.root / TMP).mkdir(mode=0o700, exist_ok=True)
        (self.root / TMP).chmod(0o700)  # an earlier version's may be open
        return self._noted(NODE_ID, secrets.token_hex(8))

    def cluster(self) -> str | None:
        """The word of the cluster that the node belongs to; None if it has joined none."""
        try:
            return (self.root / CLUSTER_ID).read_text()
        except FileNotFoundError:
            return None

    def join(self, cluster: str) -> str:
        """Belong to that cluster for good, unless the node belongs to one. Returns the one that it is."""
        return self._noted(CLUSTER_ID, cluster)

    def _noted(self, name: str, word: str) -> str:
        """What a file of one word says; this word, if there is none yet."""
        file = self.root / name
        if not file.exists():
            aside = self.root / TMP / f"{name}.{os.getpid()}"
            aside.write_text(word)
            with contextlib.suppress(FileExistsError):  # another worker of this node was first
                os.link(aside, file)
            aside.unlink()
        return file.read_text()

    def output(self, job: str, task: TaskId, attempt: int) -> Path:
        return self.job(job) / output_name(task, attempt)

    def log(self, job: str, task: TaskId, attempt: int) -> Path:
        return self.job(job) / f"{output_name(task, attempt)}.log"

    def profile(self, job: str, task: TaskId, attempt: int) -> Path:
        return self.job(job) / f"{output_name(task, attempt)}.prof"

    def bad(self, job: str, task: TaskId, attempt: int) -> Path:
        return self.job(job) / f"{output_name(task, attempt)}{BAD_SUFFIX}"

    def required(self, job: str) -> Path:
        """The files that a job brings along; all its tasks on this node share them."""
        return self.job(job) / "required"

    def job(self, name: str) -> Path:
        """The directory of a job. ``ValueError`` for what is no job's name: no path leaves the root."""
        if not JOB_NAME.fullmatch(name):
            raise ValueError(f"not a job's name: {name!r}")
        return self.root / name

    def marks(self, job: str) -> JobMarks:
        """What is noted of a job that has files here."""
        return JobMarks(self.job(job))

    def scratch(self, worker: str, pid: int) -> Scratch:
        """Where one process of a worker keeps what does not outlive its attempts."""
        return Scratch(self.root / TMP / f"{worker}.{pid}")

    def sweep(self, worker: str) -> None:
        """Delete the scratch files of processes that are gone, and what need not be remembered. What their
        tasks have left running ends before: nobody else would end it after a node that died.

        ``worker``: who begins just now. Those that had its place before are gone, whatever their pids say.
        """
        self.purged.sweep()
        tmp = self.root / TMP
        stale = [entry for entry in tmp.iterdir() if _is_stale(entry, worker)]
        names = {SUFFIX.sub("", entry.name) for entry in stale}
        scratches = [Scratch(tmp.resolve() / name) for name in names]
        end_strays([Gone(_pid_of(one.directory), one.directory, one.log) for one in scratches])
        for entry in stale:
            # Another worker of the node may be sweeping, too, and what is not ours to delete stays.
            with contextlib.suppress(OSError):
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink()

    def purge(self, job: str) -> None:
        """Delete every file of a job. Idempotent. Where jobs are signed, it is remembered."""
        directory = self.job(job)
        self.note_purged(job)
        shutil.rmtree(directory, ignore_errors=True)

    def note_purged(self, job: str) -> None:
        """Where jobs are signed: it is remembered that this one is purged, so that it is not run again."""
        if self.cluster() is not None:
            self.purged.note(job)

    @property
    def purged(self) -> PurgedJobs:
        """The jobs that are gone for good."""
        return PurgedJobs(self.root)

    def jobs(self) -> list[str]:
        """The jobs that have files here."""
        return [entry.name for entry in self.root.iterdir() if JOB_NAME.fullmatch(entry.name)]


def _pid_of(directory: Path) -> int:
    return int(directory.name.rpartition(".")[2])


def _is_stale(entry: Path, worker: str) -> bool:
    """Whether the process whose scratch file it is has gone."""
    owner, _, pid = SUFFIX.sub("", entry.name).rpartition(".")
    if not pid.isdecimal():
        return False
    # By its pid alone it may seem to be there: dead, but reaped by nobody yet, or somebody else's by now.
    is_replaced = owner != worker and LIFE.sub("", owner) == LIFE.sub("", worker)
    return is_replaced or not _alive(int(pid))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's, or no process at all
        pass
    return True

"""Where task outputs lie: ``disco://node/job/file`` addresses, and the node directories behind them.

A node keeps everything under one data directory: ``<job>/map-3.1`` (output of the first attempt of map 3),
beside it ``map-3.1.log`` (what it printed) and ``map-3.1.prof`` (its profile), ``<job>/required/`` (what
the job brings along) and ``tmp/`` (work in progress). ``.node-id`` holds a random word that the node also
tells in Redis: who finds the same word at the same path may read the files directly.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from disco_rq.datawire import is_sealed, tokens
from disco_rq.errors import DataError
from disco_rq.model import JOB_NAME, NODE_NAME, TaskId
from disco_rq.version import PROTOCOL, __version__

ADDRESS = re.compile(rf"disco://({NODE_NAME.pattern})/({JOB_NAME.pattern})/((?:map|reduce)-\d+\.\d+)")
NODE_ID = ".node-id"
TMP = "tmp"


def output_name(task: TaskId, attempt: int) -> str:
    """File name of an attempt's output; its log has ``.log`` behind it."""
    return f"{task.phase}-{task.index}.{attempt}"


def output_address(node: str, job: str, task: TaskId, attempt: int) -> str:
    return f"disco://{node}/{job}/{output_name(task, attempt)}"


def split_address(address: str) -> tuple[str, str, str]:
    """Node, job and file name of an output's address. ``DataError`` for anything else."""
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise DataError("not the address of a task output", url=address)
    node, job, name = match.groups()
    return node, job, name


def map_task_of(job: str, address: str | None) -> TaskId | None:
    """The map of the job whose output is at the address, or None if it is no such output."""
    match = ADDRESS.fullmatch(address or "")
    if match is None or match[2] != job or not match[3].startswith("map-"):
        return None
    return TaskId("map", int(match[3].removeprefix("map-").partition(".")[0]))


@dataclass(frozen=True, slots=True)
class Scratch:
    """The files of one process: the directory in which its tasks work, and beside it what they print and
    write.
    """

    directory: Path

    @property
    def log(self) -> Path:
        return self.directory.with_name(self.directory.name + ".log")

    @property
    def out(self) -> Path:
        """The output of an attempt while it is written."""
        return self.directory.with_name(self.directory.name + ".out")

    @property
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
        self.out.unlink(missing_ok=True)


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
        word_file = self.root / NODE_ID
        if not word_file.exists():
            aside = self.root / TMP / f"{NODE_ID}.{os.getpid()}"
            aside.write_text(secrets.token_hex(8))
            with contextlib.suppress(FileExistsError):  # another worker of this node was first
                os.link(aside, word_file)
            aside.unlink()
        return word_file.read_text()

    def about(self) -> dict[str, str]:
        """What the node tells the others of itself."""
        return {
            "host": socket.gethostname(),
            "data": str(self.root),
            "word": self.prepare(),
            "python": platform.python_version(),
            "version": __version__,
            "protocol": str(PROTOCOL),
        }

    def output(self, job: str, task: TaskId, attempt: int) -> Path:
        return self.job(job) / output_name(task, attempt)

    def log(self, job: str, task: TaskId, attempt: int) -> Path:
        return self.job(job) / f"{output_name(task, attempt)}.log"

    def required(self, job: str) -> Path:
        """The files that a job brings along; all its tasks on this node share them."""
        return self.job(job) / "required"

    def job(self, name: str) -> Path:
        """The directory of a job. ``ValueError`` for what is no job's name: no path leaves the root."""
        if not JOB_NAME.fullmatch(name):
            raise ValueError(f"not a job's name: {name!r}")
        return self.root / name

    def scratch(self, worker: str, pid: int) -> Scratch:
        """Where one process of a worker keeps what does not outlive its attempts."""
        return Scratch(self.root / TMP / f"{worker}.{pid}")

    def sweep(self) -> None:
        """Delete the scratch files of processes that are gone."""
        for entry in (self.root / TMP).iterdir():
            pid = re.search(r"\.(\d+)(?:\.out|\.log|\.required)?$", entry.name)
            if pid and not _alive(int(pid[1])):
                # Another worker of the node may be sweeping, too.
                shutil.rmtree(entry, ignore_errors=True) if entry.is_dir() else entry.unlink(missing_ok=True)

    def purge(self, job: str) -> None:
        """Delete every file of a job. Idempotent."""
        shutil.rmtree(self.job(job), ignore_errors=True)

    def jobs(self) -> list[str]:
        """The jobs that have files here."""
        return [entry.name for entry in self.root.iterdir() if JOB_NAME.fullmatch(entry.name)]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@dataclass(frozen=True, slots=True)
class Server:
    """Where a node serves its files, and what opens it: a secret, for this node only."""

    url: str
    token: str | None = field(repr=False)


class Locator:
    """From a ``disco://`` address to the file, where this process may read it directly, or to its server."""

    def __init__(
        self,
        about: Callable[[str], dict[str, str]],
        own: tuple[str, Path] | None = None,
        secret: bytes | None = None,
    ) -> None:
        """``about``: what a node tells of itself. ``own``: this process' node and data directory, if it has
        one. ``secret``: the cluster's.
        """
        self._about = about
        self._roots: dict[str, Path | None] = dict([own]) if own else {}
        self._secret = secret

    def path(self, address: str) -> Path | None:
        """The file behind an address, there or not; None if its node's files cannot be read from here.

        ``DataError`` if there is no such node.
        """
        node, job, name = split_address(address)
        if node not in self._roots:
            self._roots[node] = readable_root(self._of(node, address))
        root = self._roots[node]
        return None if root is None else root / job / name

    def server(self, address: str) -> Server:
        """The data server of an address' node, as told now: it may move. ``DataError`` if it has none, and as
        ``server_of``.
        """
        node = split_address(address)[0]
        about = self._of(node, address)
        if "url" not in about:
            raise DataError(
                f"the files of node {node} ({about['host']}) cannot be read from here, and it serves none: "
                "run 'disco-rq node' there",
                url=address,
            )
        return server_of(node, about, self._secret)

    def _of(self, node: str, address: str) -> dict[str, str]:
        about = self._about(node)
        if "word" not in about:
            raise DataError(f"there is no node {node}", url=address)
        return about


def server_of(node: str, about: Mapping[str, str], secret: bytes | None) -> Server:
    """The data server of which a node tells. ``DataError``, which blames no file, if somebody else may have
    told it: the node's token must not go there.
    """
    url = about["url"]
    if not is_sealed(secret, node, url, about.get("url_seal", "")):
        raise DataError(f"the address of node {node}, {url}, is not signed with the DISCO_RQ_SECRET here")
    return Server(url, next(iter(tokens(secret, node)), None))


def readable_root(about: dict[str, str]) -> Path | None:
    """The directory of a node, if it is the same one here."""
    root = Path(about["data"])
    try:
        return root if (root / NODE_ID).read_text() == about["word"] else None
    except (OSError, ValueError):  # not there, not ours to read, or not a text
        return None

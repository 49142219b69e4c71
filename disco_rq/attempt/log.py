"""What a task prints: print, logging and the output of child processes, kept as its attempt's log, capped."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import IO

LOG_CAP = 64 << 10
"""Bytes of an attempt's log that are kept: its first half and its last, when there is more."""

GROWTH_CAP = 4 << 20
"""A log that is longer while it is written is cut, so that no ``print`` in a loop fills the disk."""
_HEAD_BYTES = LOG_CAP // 2 - 256


class AttemptLog:
    """File descriptors 1 and 2 of a horse lead to one file; after each attempt its content is put by."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._streams: tuple[IO[str], ...] = ()

    def capture(self) -> None:
        """Send all that this process and its children print or log to the file; our own log lines go on as
        before.
        """
        _keep_own_logging()
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        sys.stdout.flush()
        sys.stderr.flush()
        self._lead_here()

    def _lead_here(self) -> None:
        """Descriptors 1 and 2, the streams over them, and what logs."""
        os.dup2(self._fd, 1)
        os.dup2(self._fd, 2)
        out, err = (
            open(number, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            for number in (1, 2)
        )
        sys.stdout, sys.stderr = self._streams = out, err
        logging.root.handlers[:] = []
        logging.basicConfig(stream=err, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    def has_content(self) -> bool:
        """True if something was printed since the last time. What a task did to the streams is undone."""
        try:
            for stream in self._streams:
                stream.flush()
            is_intact = sys.stdout is self._streams[0] and sys.stderr is self._streams[1]
        except (OSError, ValueError):  # closed
            is_intact = False
        if is_intact:
            os.dup2(self._fd, 1)  # it may have closed the descriptors only
            os.dup2(self._fd, 2)
        else:
            self._lead_here()
        return os.fstat(self._fd).st_size > 0

    def keep(self, path: Path) -> None:
        """Put what was printed since the last time under ``path``."""
        keep_capped(self._fd, os.fstat(self._fd).st_size, path)
        os.ftruncate(self._fd, 0)


def keep_capped(fd: int, size: int, path: Path) -> None:
    """Copy an open log of ``size`` bytes to ``path``, at most ``LOG_CAP`` of it."""
    if size <= LOG_CAP:
        text = os.pread(fd, size, 0)
    else:
        half = LOG_CAP // 2
        left_out = f"\n... {size - LOG_CAP} bytes left out ...\n".encode()
        text = os.pread(fd, half - len(left_out), 0) + left_out + os.pread(fd, half, size - half)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(text)


def cut_short(log: Path, left_out: int) -> int:
    """Of a log that has grown very long while it is written, keep the beginning only, and say so there.

    ``left_out``: bytes of it that were left out before. Returns how many are now. What is written meanwhile
    comes behind: every writer appends.
    """
    try:
        size = log.stat().st_size
        if size <= GROWTH_CAP:
            return left_out
        left_out += size - _HEAD_BYTES
        os.truncate(log, _HEAD_BYTES)
        with log.open("ab") as file:
            file.write(f"\n... {left_out} bytes left out while it was written ...\n".encode())
    except OSError:  # it ends just now; or the disk is full, and the next time is soon
        pass
    return left_out


def salvage(log: Path, path: Path) -> None:
    """Keep the log of a process that died in an attempt."""
    try:
        fd = os.open(log, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(fd).st_size
        if size:
            keep_capped(fd, size, path)
    finally:
        os.close(fd)


def _keep_own_logging() -> None:
    """RQ's and our own log records are the operator's, not the task's: they keep going to the worker's
    stderr.
    """
    workers_stderr = open(os.dup(2), "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    handler = logging.StreamHandler(workers_stderr)
    if logging.root.handlers:
        handler.setFormatter(logging.root.handlers[0].formatter)
    for name in ("rq", "rq.worker", "rq.job", "disco_rq"):
        logger = logging.getLogger(name)
        if logger.handlers or logger.parent is logging.root:
            logger.handlers[:] = [handler]
            logger.propagate = False

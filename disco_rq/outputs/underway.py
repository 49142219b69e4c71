"""How far an attempt is that runs, and what it prints: beside the file to which its process prints stands
which one it is, and how many entries it has read.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["NOTE", "SUFFIX", "SoFar", "so_far", "write_note"]

SUFFIX = ".live"
"""Of an attempt's name, where the end of what it has printed so far is asked for."""
TAIL_BYTES = 16 << 10
"""So much of the end is told."""
NOTE = ".now"
_NOTE_MAX_BYTES = 1024
_ENTRIES = re.compile(rb"[0-9]{19}")


class SoFar(NamedTuple):
    """Of an attempt that runs. Nothing is known of one that has not run for long, or does not run."""

    log: bytes = b""
    """The end of what it has printed."""
    nr_entries: int | None = None
    """So many it has read; a reduce, of pairs."""

    @property
    def text(self) -> str:
        return self.log.decode(errors="replace")


def write_note(note: Path, job: str, name: str, nr_entries: int) -> None:
    """Beside the log of a process: it runs the attempt ``name``, as outputs are called, and is so far."""
    text = f"{job} {name} {nr_entries:019}".encode()  # always as long: it is written over the last one
    fd = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(fd, text, 0)
    finally:
        os.close(fd)


def so_far(tmp: Path, job: str, name: str) -> SoFar:
    """How far the attempt is, by the scratch files of its node."""
    wanted = f"{job} {name}".encode()
    for note in tmp.glob(f"*{NOTE}"):
        with suppress(OSError):  # it has just ended
            named, _, nr_entries = _end_of(note, _NOTE_MAX_BYTES).rpartition(b" ")
            if named == wanted and _ENTRIES.fullmatch(nr_entries):
                return SoFar(_end_of(note.with_suffix(".log"), TAIL_BYTES), int(nr_entries))
    return SoFar()


def _end_of(path: Path, most: int) -> bytes:
    # A link could lead elsewhere, and a pipe would hold us up.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        about = os.fstat(fd)
        return os.pread(fd, most, max(about.st_size - most, 0)) if stat.S_ISREG(about.st_mode) else b""
    finally:
        os.close(fd)

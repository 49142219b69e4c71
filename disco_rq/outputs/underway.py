"""What an attempt prints that runs: beside the file to which its process prints stands which one it is."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["NOTE", "SUFFIX", "TAIL_BYTES", "end_of_log", "note_of"]

SUFFIX = ".live"
"""Of an attempt's name, where the end of what it has printed so far is asked for."""
TAIL_BYTES = 16 << 10
"""So much of the end is told."""
NOTE = ".now"
_NOTE_MAX_BYTES = 1024


def note_of(job: str, name: str) -> str:
    """What stands beside the log of a process that runs the attempt ``name``, as outputs are called."""
    return f"{job} {name}"


def end_of_log(tmp: Path, job: str, name: str) -> bytes:
    """The end of what the attempt has printed so far, of the scratch files of its node. Empty: nothing, it
    has not run for long, or does not run.
    """
    wanted = note_of(job, name).encode()
    for note in tmp.glob(f"*{NOTE}"):
        with suppress(OSError):  # it has just ended
            if _end_of(note, _NOTE_MAX_BYTES) == wanted:
                return _end_of(note.with_suffix(".log"), TAIL_BYTES)
    return b""


def _end_of(path: Path, most: int) -> bytes:
    # A link could lead elsewhere, and a pipe would hold us up.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        about = os.fstat(fd)
        return os.pread(fd, most, max(about.st_size - most, 0)) if stat.S_ISREG(about.st_mode) else b""
    finally:
        os.close(fd)

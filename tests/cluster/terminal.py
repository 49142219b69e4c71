"""A terminal with a command in it, and somebody who types when it asks."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 60.0


class Terminal:
    """What a command has shown, and what is typed at it."""

    def __init__(self, fd: int, going: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self._going = going
        self._shown = ""

    def shows(self, text: str) -> str:
        """All that it shows up to that text; waits for it."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self._shown:
            assert time.monotonic() < deadline, f"{text!r} is not shown:\n{self._shown}"
            if not self._read():
                raise AssertionError(f"it ended without {text!r}:\n{self._shown}")
        before, _, self._shown = self._shown.partition(text)
        return before

    def types(self, line: str) -> None:
        os.write(self._fd, line.encode() + b"\n")

    def interrupts(self) -> None:
        """With Ctrl-C."""
        os.write(self._fd, b"\x03")

    def ends(self) -> tuple[str, int]:
        """What it shows at last, and the status with which it leaves."""
        while self._read():
            pass
        return self._shown, self._going.wait(PATIENCE_S)

    def _read(self) -> bool:
        """Whether there may be more."""
        if not select.select([self._fd], [], [], PATIENCE_S)[0]:
            return True
        try:
            part = os.read(self._fd, 65536)
        except OSError:  # EIO: nobody has it open any more
            return False
        self._shown += part.decode().replace("\r\n", "\n")
        return bool(part)


@contextmanager
def at_a_terminal(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> Iterator[Terminal]:
    """Start a command there. It is killed if it has not ended."""
    ours, theirs = pty.openpty()
    try:
        going = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C reaches it
        )
        os.close(theirs)
        try:
            yield Terminal(ours, going)
        finally:
            going.kill()
            going.wait()
    finally:
        os.close(ours)

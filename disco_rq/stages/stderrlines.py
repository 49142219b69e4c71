"""What an external program says on stderr: ``**<MSG> text``, ``**<ERR> text``, ``**<DAT> text``; or a log."""

from __future__ import annotations

import re
import sys
from collections import deque

from disco_rq import runtime

__all__ = ["StderrLines"]

_LAST_WORDS = 5
_LINE_MAX_BYTES = 64 << 10
_COMMAND = re.compile(r"\*\*<(MSG|ERR|DAT)> ?(.*)")
_CALLS = {"MSG": runtime.msg, "ERR": runtime.err, "DAT": runtime.data_err}


class StderrLines:
    """Calls ``msg``, ``err`` and ``data_err`` for the program; its other lines go to the attempt's log."""

    def __init__(self) -> None:
        self._rest = b""
        self._last: deque[str] = deque(maxlen=_LAST_WORDS)

    @property
    def last_words(self) -> str:
        """The last lines that were no commands, in one."""
        return " | ".join(self._last)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises what the calls raise: ``JobFailure``, ``DataError``, a quota's."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_MAX_BYTES:
            lines.append(self._rest)
            self._rest = b""
        for number, line in enumerate(lines):
            try:
                self._take(line)
            except BaseException:
                self._rest = b"\n".join([*lines[number + 1 :], self._rest])  # for the log
                raise

    def finish(self) -> None:
        """The program has ended by itself: what is left is its last line. Raises as ``feed`` does."""
        rest, self._rest = self._rest, b""
        if rest:
            self._take(rest)

    def flush(self) -> None:
        """The program is no more: what is left goes to the log, as it is."""
        rest, self._rest = self._rest, b""
        if rest:
            self._log(rest.decode("utf-8", "backslashreplace"))

    def _take(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        command = _COMMAND.match(text)
        if command is not None:
            _CALLS[command[1]](command[2])
        else:
            self._log(text)

    def _log(self, text: str) -> None:
        if text.strip():
            self._last.append(text.strip())
        sys.stderr.write(f"{text}\n")

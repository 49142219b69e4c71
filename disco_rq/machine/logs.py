"""What our programs log, and how: to standard error, a line each."""

from __future__ import annotations

import logging
from typing import Any

from disco_rq.machine.escaping import escaped

__all__ = ["EMBEDDED", "PROGRAM", "LogFormatter", "log_to_stderr"]

PROGRAM = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""Of a master, a node and their processes."""
EMBEDDED = "disco-rq: %(message)s"
"""Of an embedded cluster, which talks into its owner's terminal: warnings only."""


def log_to_stderr(text: str = PROGRAM) -> None:
    """Called once by each program, and by nothing else. ``text``: one of the two above."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(text))
    logging.basicConfig(level=logging.INFO if text == PROGRAM else logging.WARNING, handlers=[handler])


class LogFormatter(logging.Formatter):
    """What others said, in a message or an exception, moves no cursor and forges no line."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return escaped(super().formatMessage(record), one_line=True)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return escaped(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return escaped(super().formatStack(stack_info))

"""What our programs log, and how: to standard error, a line each."""

from __future__ import annotations

import logging

__all__ = ["EMBEDDED", "PROGRAM", "log_to_stderr"]

PROGRAM = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""Of a master, a node and their processes."""
EMBEDDED = "disco-rq: %(message)s"
"""Of an embedded cluster, which talks into its owner's terminal: warnings only."""


def log_to_stderr(text: str = PROGRAM) -> None:
    """Called once by each program, and by nothing else. ``text``: one of the two above."""
    logging.basicConfig(level=logging.INFO if text == PROGRAM else logging.WARNING, format=text)
